"""[[uplink]] -> where and how to send."""

from ipaddress import ip_address
from pathlib import Path

from gateway.config.findings import Findings
from gateway.config.gateway import MQTT_PORTS, GatewayConfig, ServerConfig, UplinkConfig, broker_url
from gateway.seams import Broker, Tls
from gateway.site import UplinkSettings

MAX_AGE_MS = {"wired": 1_000, "mobile": 10_000, "scarce": 60_000}
KEEPALIVE_S = {"wired": 15, "mobile": 60, "scarce": 60}
STATUS_INTERVAL_MS = {"wired": 60_000, "mobile": 300_000, "scarce": 300_000}
SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt"


def compile_uplinks(config: GatewayConfig, folder: Path, findings: Findings) -> tuple[UplinkSettings, ...]:
    """In order; files that do not start with / count from `folder`."""
    if len(config.uplink) > 1:
        findings.report("not_built_yet", "a second uplink is planned, but this version has one", "uplink", 1)
    for n, uplink in enumerate(config.uplink):
        for m, server in enumerate(uplink.server):
            _check_cover(server, findings, n, m)
    return tuple(_uplink(uplink, config.gateway.id, folder) for uplink in config.uplink)


def _check_cover(server: ServerConfig, findings: Findings, uplink: int, number: int) -> None:
    """Without TLS everybody on the way can read, forge receipts and, with a username, take the password."""
    url = broker_url(server.url)
    if url.scheme == "mqtt" and not _is_here(url.hostname or ""):
        taken = "readings and the password go" if server.password_file else "readings go"
        detail = f"{taken} to {url.hostname} in clear text, and receipts could be forged"
        findings.note("clear_text", detail, "uplink", uplink, "server", number, "url")


def _is_here(host: str) -> bool:
    """Whether nothing leaves this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _uplink(uplink: UplinkConfig, client_id: str, folder: Path) -> UplinkSettings:
    return UplinkSettings(
        name=uplink.name,
        servers=tuple(_broker(server, client_id, uplink.network, folder) for server in uplink.server),
        network=uplink.network,
        max_age_ms=MAX_AGE_MS[uplink.network],
        status_interval_ms=STATUS_INTERVAL_MS[uplink.network],
        settle=uplink.settle,
        budget_mb=uplink.budget_mb,
        password_files=tuple(_secret(server.password_file or "", folder) for server in uplink.server),
    )


def _broker(server: ServerConfig, client_id: str, network: str, folder: Path) -> Broker:
    url = broker_url(server.url)
    return Broker(
        host=url.hostname or "",
        port=url.port or MQTT_PORTS[url.scheme],
        client_id=client_id,
        tls=_tls(server, folder) if url.scheme == "mqtts" else None,
        username=server.username or "",
        keepalive_s=KEEPALIVE_S[network],
    )


def _tls(server: ServerConfig, folder: Path) -> Tls:
    names = (server.ca or SYSTEM_CA, server.certificate, server.key, server.crl)
    return Tls(*(str(folder / name) if name else "" for name in names))


def _secret(name: str, folder: Path) -> str:
    """A name alone is a systemd credential: `$CREDENTIALS_DIRECTORY` is known where it is read."""
    return str(folder / name) if "/" in name else name
