"""gateway.toml: who I am, where I send, which buses and devices I read. `config.compile` checks it as a whole.

A simulator's file is the same file with [signal], [fault] and [converter] besides: what its devices measure, how they
fail, and what stands between a TCP endpoint and them. A gateway refuses those keys.
"""

import re
from typing import Annotated, Any, ClassVar, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway.config.values import DerivedConfig, DeviceFieldConfig, FastConfig, ReportConfig
from gateway.profile.literals import REF
from gateway.profile.types import Duration, FieldName, Id, LineText, Text, refused
from gateway.toml_file import Strict

UNITS_BYTES = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
PORT_FOLDERS = ("by-id/", "by-path/")
MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883}
MODBUS_PORT = 502
FRAMINGS_OF_PORTS = ("rtu", "ascii")
FRAMINGS_OF_HOSTS = ("tcp", "rtu", "udp")
PORT_MAX = 65_535
LOOPBACK = "127.0.0.1"
LABEL_MAX = 63  # of one part of a host name, RFC 1035
TOPIC_NAMES = re.compile(r"\{(root|gateway|kind|device)\}")
TOPIC_MAX = 200
QUOTA_MIN_BYTES = 16 * 10**6  # less is mostly write-ahead log, and gives readings up within the hour


def size_bytes(text: str) -> int:
    """Text like 4 GB."""
    number, _, unit = text.partition(" ")
    if not number.isdecimal() or unit not in UNITS_BYTES:
        raise refused("bad_size", f"{text!r}: a whole number, a space, and KB, MB, GB or TB")
    return int(number) * UNITS_BYTES[unit]


def serial_port(text: str) -> str:
    """The path of a port: by-id/... and by-path/... stand for those folders of /dev/serial."""
    if text.startswith(PORT_FOLDERS) and ".." not in text:
        return f"/dev/serial/{text}"
    if text.startswith("/"):
        return text
    raise refused("bad_port", f"{text!r}: by-id/..., by-path/... or a path that starts with /")


def endpoint(text: str) -> str:
    """HOST or HOST:PORT as HOST:PORT."""
    parts = urlsplit(f"//{text}")
    host = parts.hostname or ""
    try:
        port = MODBUS_PORT if parts.port is None else parts.port
    except ValueError:
        port = -1
    fits = re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+(%\w+)?", host) and _labels_fit(host)
    if port < 0 or parts.netloc != text or "@" in text or not fits:
        raise refused("bad_host", f"{text!r}: a name or an address, with :PORT where it is not {MODBUS_PORT}")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def served(text: str) -> str:
    """:PORT is on this box alone; ADDRESS:PORT on what has that address, 0.0.0.0 on every network of the box."""
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isdecimal() and 0 < int(port) <= PORT_MAX):
        raise refused("bad_host", f"{text!r}: :PORT for this box alone, or ADDRESS:PORT")
    return endpoint(f"{host or LOOPBACK}:{port}")


def broker_url(text: str) -> SplitResult:
    """mqtt://HOST[:PORT] or mqtts://HOST[:PORT], and nothing else in it."""
    parts = urlsplit(text)
    if "@" in text:  # wherever it stands: a text that may hold a password is never shown
        raise refused(
            "secret_in_file", "no user or password in a URL: username and password_file are keys of their own"
        )
    try:
        good = parts.scheme in MQTT_PORTS and _labels_fit(parts.hostname or "") and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise refused("bad_url", f"{text.partition('?')[0]!r}: mqtt://HOST:PORT or mqtts://HOST:PORT")
    return parts


def topic_template(text: str) -> str:
    """A topic to publish to: levels of plain text and {root}, {gateway}, {kind}, {device}."""
    levels = TOPIC_NAMES.sub("x", text).split("/")
    plain = all(level and level.isprintable() and not set(level) & set("+#{}$ ") for level in levels)
    if not plain or {"up", "down"} & set(levels) or len(text) > TOPIC_MAX:
        raise refused("bad_topic", f"{text!r}: levels like city/{{gateway}}/{{device}}, of {TOPIC_MAX} letters at most")
    return text


def _labels_fit(host: str) -> bool:
    """Whether DNS could be asked for it: an empty or too long part of a name is refused before any question."""
    return all(0 < len(label) <= LABEL_MAX for label in host.removesuffix(".").split("."))


def _checked_size(text: str) -> str:
    if size_bytes(text) < QUOTA_MIN_BYTES:
        raise refused("out_of_bounds", f"{text!r}: at least {QUOTA_MIN_BYTES // 10**6} MB")
    return text


def _checked_url(text: str) -> str:
    broker_url(text)
    return text


def _for_all(value: Any) -> Any:  # noqa: ANN401 - what pydantic hands over
    """`every = "1s"` means every class of fields."""
    return {"fast": value, "normal": value, "slow": value} if isinstance(value, str) else value


Size: TypeAlias = Annotated[str, AfterValidator(_checked_size)]
Url: TypeAlias = Annotated[str, AfterValidator(_checked_url)]
Port: TypeAlias = Annotated[str, AfterValidator(serial_port)]
Host: TypeAlias = Annotated[str, AfterValidator(endpoint)]
Topic: TypeAlias = Annotated[str, AfterValidator(topic_template)]
Served: TypeAlias = Annotated[str, AfterValidator(served)]
Degrees: TypeAlias = Annotated[float, Field(ge=-180, le=180)]


class AreaConfig(Strict):
    """Where the gateway belongs, in which scheme of areas."""

    scheme: Text
    code: Text
    name: Text


class LocationConfig(Strict):
    """WGS 84 degrees, and what people say of the place."""

    lat: Annotated[float, Field(ge=-90, le=90)]
    lon: Degrees
    note: dict[Literal["vi", "en"], Text] = Field(default_factory=dict)


class IdentityConfig(Strict):
    """[gateway]."""

    id: Id
    root: Id = "city"
    area: AreaConfig | None = None
    location: LocationConfig | None = None
    commands: Annotated[tuple[Literal["write", "renew", "maintenance"], ...], Field(max_length=16)] = ()


class ClockConfig(Strict):
    """[clock]: whose word makes the time trusted."""

    trust: Literal["kernel", "system", "rtc", "ioc"] = "kernel"


class SpoolConfig(Strict):
    """[spool]."""

    path: Text = "/var/lib/gateway/spool"
    quota: Size = "4 GB"
    archive_days: Annotated[int, Field(ge=0, le=3650)] = 60


class ServerConfig(Strict):
    """[[uplink.server]]: one door to the store. Files are PEM; passwords stand in files of their own."""

    url: Url
    ca: Text | None = None
    certificate: Text | None = None
    key: Text | None = None
    crl: Text | None = None
    username: Text | None = None
    password_file: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_password(cls, values: Any) -> Any:  # noqa: ANN401 - what pydantic hands over
        if isinstance(values, dict) and "password" in values:
            raise refused("secret_in_file", "no password in this file: password_file names the file that holds it")
        return values

    @model_validator(mode="after")
    def _fit(self) -> "ServerConfig":
        files = (self.ca, self.certificate, self.key, self.crl)
        if self.url.startswith("mqtt:") and any(files):
            raise refused("bad_value", "ca, certificate, key and crl mean nothing without TLS: write mqtts://")
        if (self.certificate is None) != (self.key is None):
            raise refused("bad_value", "certificate and key go together")
        if self.password_file and not self.username:
            raise refused("bad_value", "a password goes with a username")
        return self


class UplinkConfig(Strict):
    """[[uplink]]: one way out."""

    name: Id
    network: Literal["wired", "mobile", "scarce"] = "wired"
    budget_mb: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    settle: Literal["receipt", "puback"] = "receipt"
    format: Literal["batch", "json", "influx"] = "batch"
    topic: Topic | None = None
    server: Annotated[tuple[ServerConfig, ...], Field(min_length=1, max_length=8)]

    @model_validator(mode="after")
    def _fit(self) -> "UplinkConfig":
        if self.format != "batch" and self.settle != "puback":
            raise refused("bad_value", f'format = "{self.format}" needs settle = "puback": no receipts come from there')
        if self.format == "batch" and self.topic is not None:
            raise refused("bad_value", "batches have topics of their own: topic is of json and influx")
        return self


class ServeConfig(Strict):
    """serve = { tcp = ":1502" } of a bus: others read it through us."""

    tcp: Served
    read_only: bool = True

    @model_validator(mode="after")
    def _only_reads(self) -> "ServeConfig":
        if not self.read_only:
            raise refused("not_built_yet", "read_only = false is planned, but this version lets nobody write")
        return self


class BusConfig(Strict):
    """[[bus]]: a serial port or a TCP endpoint."""

    name: Id
    port: Port | None = None
    host: Host | None = None
    line: LineText | None = None
    link: Literal["own", "pymodbus"] = "own"
    framing: Literal["tcp", "rtu", "ascii", "udp", "tls"] | None = None
    rs485: bool = False
    mode: Literal["poll", "listen", "push"] = "poll"
    serve: ServeConfig | None = None

    @model_validator(mode="after")
    def _one_medium(self) -> "BusConfig":
        if self.mode == "push":
            if self.model_fields_set - {"name", "mode"}:
                raise refused("bad_value", "what programs of this box hand in has no port, no host and no line")
            return self
        if (self.port is None) == (self.host is None):
            raise refused("bad_value", "either port or host")
        if self.framing == "tls":
            raise refused("not_built_yet", "framing = tls is planned, but this version does not do it")
        if self.framing in ("ascii", "udp") and self.link != "pymodbus":
            raise refused("bad_value", f'framing = {self.framing} needs link = "pymodbus"')
        if self.framing and self.framing not in (FRAMINGS_OF_PORTS if self.port else FRAMINGS_OF_HOSTS):
            raise refused("bad_value", f"framing = {self.framing} needs {'a host' if self.port else 'a port'}")
        if self.host and self.line:
            raise refused("bad_value", "line is of a port; behind a host it is set in the converter")
        if self.rs485 and (self.host or self.link == "pymodbus"):
            raise refused("bad_value", "rs485 is of a port, and of our own link")
        if self.mode == "listen" and (self.host or self.link == "pymodbus" or self.serve):
            raise refused("bad_value", "who listens has a port, our own link, and nothing to serve")
        return self


class EveryConfig(Strict):
    """How often the fields of a class are read."""

    fast: Duration | None = None
    normal: Duration | None = None
    slow: Duration | None = None


class BoxConfig(Strict):
    """[box]: the gateway itself as a device."""

    on: bool = True
    name: Id = "box"
    every: Duration = "60s"


class DeviceConfig(Strict):
    """[[device]]: a pinned profile at one unit_id on one bus."""

    not_built: ClassVar[frozenset[str]] = frozenset({"correct", "serve"})

    name: Id
    bus: str
    profile: Annotated[str, Field(pattern=REF)]
    variant: Id | None = None
    unit_id: Annotated[int, Field(ge=1, le=255)] | None = None
    address: Annotated[str, Field(pattern=r"^[0-9A-Za-z]{1,16}$")] | None = None
    every: Annotated[EveryConfig, BeforeValidator(_for_all)] = EveryConfig()
    fast: FastConfig | None = None
    report: ReportConfig | None = None
    fields: dict[str, DeviceFieldConfig] = Field(default_factory=dict)
    derived: Annotated[dict[FieldName, DerivedConfig], Field(max_length=32)] = Field(default_factory=dict)


class GatewayConfig(Strict):
    """The whole file."""

    not_built: ClassVar[frozenset[str]] = frozenset({"report", "derived", "serve"})

    config_version: Literal[1]
    gateway: IdentityConfig
    clock: ClockConfig = ClockConfig()
    spool: SpoolConfig = SpoolConfig()
    uplink: Annotated[tuple[UplinkConfig, ...], Field(min_length=1)]
    bus: tuple[BusConfig, ...] = ()
    device: tuple[DeviceConfig, ...] = ()
    box: BoxConfig = BoxConfig()


def _flat(value: Any) -> Any:  # noqa: ANN401 - what pydantic hands over
    """[signal.meter-1.voltage_l1] is the signal "meter-1.voltage_l1"."""
    if not isinstance(value, dict):
        return value
    flat: dict[str, object] = {}
    for device, entry in value.items():
        if "." in device or not isinstance(entry, dict):
            flat[device] = entry
        else:
            flat |= {f"{device}.{field}": table for field, table in entry.items()}
    return flat


def _listed(value: Any) -> Any:  # noqa: ANN401 - what pydantic hands over
    """One table of a name is a list of one; [fault.meter-1.voltage_l1] is of "meter-1.voltage_l1"."""
    if not isinstance(value, dict):
        return value
    listed: dict[str, object] = {}
    for name, entry in value.items():
        if (
            isinstance(entry, dict)
            and entry
            and all(isinstance(inner, dict | list | tuple) for inner in entry.values())
        ):
            listed |= {f"{name}.{field}": _some(inner) for field, inner in entry.items()}
        else:
            listed[name] = _some(entry)
    return listed


def _some(entry: object) -> object:
    return (entry,) if isinstance(entry, dict) else entry


class ConverterConfig(Strict):
    """[converter.BUS]: what stands between a TCP endpoint and the line with the devices."""

    line: LineText | None = None  # the speed of that line; without it no time passes on it
    absent: Annotated[int, Field(ge=1, le=11)] | None = None  # the exception for a unit_id that does not answer
    timeout: Duration = "500ms"  # how long it waits for such a one
    shared: bool = True  # one queue for all devices


class SimulatorConfig(GatewayConfig):
    """The whole file of a simulator: "device.field" -> a table that `simulators` reads."""

    signal: Annotated[
        dict[Annotated[str, Field(pattern=r"^[a-z0-9-]+\.[a-z0-9_]+$")], dict[str, Any]], BeforeValidator(_flat)
    ] = Field(default_factory=dict)
    fault: Annotated[
        dict[Annotated[str, Field(pattern=r"^[a-z0-9-]+(\.[a-z0-9_]+)?$")], tuple[dict[str, Any], ...]],
        BeforeValidator(_listed),
    ] = Field(default_factory=dict)
    converter: dict[Id, ConverterConfig] = Field(default_factory=dict)
