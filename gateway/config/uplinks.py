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
TOPIC = "{root}/{gateway}/{device}"
UPLINKS_MAX = 2
SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt"


def compile_uplinks(config: GatewayConfig, folder: Path, findings: Findings) -> tuple[UplinkSettings, ...]:
    """In order; files that do not start with / count from `folder`."""
    if len(config.uplink) > UPLINKS_MAX:
        findings.report("out_of_bounds", f"{len(config.uplink)} uplinks, at most {UPLINKS_MAX}", "uplink", UPLINKS_MAX)
    for n, uplink in enumerate(config.uplink):
        _check_role(uplink, findings, n)
        for m, server in enumerate(uplink.server):
            _check_cover(server, findings, n, m)
    ids = (config.gateway.id, *(f"{config.gateway.id}-{uplink.name}" for uplink in config.uplink[1:]))
    return tuple(_uplink(uplink, client_id, folder) for uplink, client_id in zip(config.uplink, ids, strict=True))


def _check_role(uplink: UplinkConfig, findings: Findings, n: int) -> None:
    """The first is the IOC's, with batches; the second is somebody else's, with plain messages."""
    if n == 0 and uplink.format != "batch":
        findings.report("bad_value", "the first uplink is the centre's and takes batches", "uplink", n, "format")
    if n > 0 and uplink.format == "batch":
        detail = "a second uplink of batches is planned, but this version sends it json or influx"
        findings.report("not_built_yet", detail, "uplink", n)
    if uplink.settle == "puback":
        detail = f"{uplink.name}: what its broker acknowledged is never sent again, and a broker may lose it"
        findings.note("settled_by_broker", detail, "uplink", n, "settle")


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
        format=uplink.format,
        topic="" if uplink.format == "batch" else uplink.topic or TOPIC,
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
