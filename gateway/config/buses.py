"""[[bus]] and [[device]] -> buses with their devices, groups and periods, and what does not fit together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TypeAlias

from gateway.config.alarms import compile_alarms, compile_fast
from gateway.config.findings import Findings
from gateway.config.gateway import BusConfig, DeviceConfig, GatewayConfig, SimulatorConfig
from gateway.config.meaning import chunks, corrections, derived, report
from gateway.model import Group
from gateway.profile.profile import Field, Line, ModbusSource, Profile, SerialSource
from gateway.profile.types import duration_ms, serial_line
from gateway.site import Bus, Device, Polled, Report, Serve
from gateway.toml_file import Step, nearest

EVERY_MS = {"fast": 1_000, "normal": 10_000, "slow": 60_000}
PERIOD_MIN_MS = 50
PERIOD_MAX_MS = 86_400_000
RTU_BITS = 8
Variants: TypeAlias = Mapping[str, Mapping[str, Profile]]
UNIT_ID_MAX = 247  # by the specification; some devices answer above it


def compile_buses(
    config: GatewayConfig,
    profiles: Mapping[str, Profile],
    findings: Findings,
    variants: Variants = MappingProxyType({}),
) -> tuple[Bus, ...]:
    """In the order of the file; groups of a device by period. `variants` are profiles by ref and name."""
    return tuple(_Compiler(config, profiles, findings, variants).buses())


class _Compiler:
    """What every step needs: the file, the profiles, where to put what is found."""

    def __init__(
        self, config: GatewayConfig, profiles: Mapping[str, Profile], findings: Findings, variants: Variants
    ) -> None:
        self._config = config
        self._profiles = profiles
        self._findings = findings
        self._variants = variants

    def buses(self) -> Iterator[Bus]:
        names = [bus.name for bus in self._config.bus]
        for n, device in enumerate(self._config.device):
            if device.bus not in names:
                self._findings.report("unknown_bus", f"{device.bus}{nearest(device.bus, names)}", "device", n, "bus")
            if device.profile not in self._profiles:
                detail = f"{device.profile}{nearest(device.profile, sorted(self._profiles))}"
                self._findings.report("unknown_profile", detail, "device", n, "profile")
            elif device.variant and self._profile(device) is None:
                known = list(self._variants.get(device.profile, {}))
                detail = f"{device.profile} has no variant {device.variant}{nearest(device.variant, known)}"
                self._findings.report("unknown_variant", detail, "device", n, "variant")
        ends: dict[str, str] = {}
        for n, bus in enumerate(self._config.bus):
            end = bus.port or bus.host or ""
            if end in ends and not end.endswith(":0"):
                self._findings.report("doubled_endpoint", f"{end} is also that of {ends[end]}", "bus", n)
            ends.setdefault(end, bus.name)
            if end.endswith(":0") and not isinstance(self._config, SimulatorConfig):
                self._findings.report("bad_host", f"{end}: only a simulator may take any free port", "bus", n, "host")
            yield self._bus(n, bus)

    def _bus(self, n: int, bus: BusConfig) -> Bus:
        places = [(m, device) for m, entry in enumerate(self._config.device) if (device := self._on(bus, m, entry))]
        before = [device for _, device in places]
        devices = [self._with_derived(m, device, before) for m, device in places]
        streams = [device for device in devices if isinstance(device.profile.source, SerialSource)]
        if streams and len(devices) > 1:
            detail = f"{streams[0].name} sends by itself: nothing else can be on {bus.name}"
            self._findings.report("not_alone", detail, "bus", n)
        if streams and bus.host:
            self._findings.report(
                "wrong_bus", f"{streams[0].name} is a serial device: {bus.name} needs a port", "bus", n, "host"
            )
        if streams and bus.link == "pymodbus":
            self._findings.report("wrong_bus", f"{streams[0].name} does not speak Modbus", "bus", n, "link")
        if bus.port and bus.port.startswith("/dev/tty"):
            detail = f"{bus.port} may name another port after a restart: by-id/ or by-path/ does not"
            self._findings.note("unstable_port", detail, "bus", n, "port")
        transport = "stream" if streams else _transport(bus)
        if transport in {"ascii", "udp"} and isinstance(self._config, SimulatorConfig):
            detail = f"framing = {transport} is planned for simulators, but this version does not serve it"
            self._findings.report("not_built_yet", detail, "bus", n, "framing")
        if transport == "tcp" or bus.link == "pymodbus":
            self._refuse_sleepers(n, devices)
        line = self._line(n, bus, devices)
        if transport == "rtu" and line.bits != RTU_BITS:
            self._findings.report("bad_line", "Modbus RTU needs 8 data bits", "bus", n, "line")
        return Bus(
            name=bus.name,
            transport=transport,
            driver=bus.link,
            endpoint=bus.port or bus.host or "",
            line=line,
            devices=tuple(devices),
            rs485=bus.rs485,
            mode=bus.mode,
            serve=self._serve(n, bus, transport),
        )

    def _refuse_sleepers(self, n: int, devices: Sequence[Device]) -> None:
        """Bytes that are no frame cannot be sent there."""
        for device in devices:
            if isinstance(device.profile.source, ModbusSource) and device.profile.source.wake:
                detail = f"{device.name} has to be woken first: only our own RTU links can do that"
                self._findings.report("wrong_bus", detail, "bus", n)

    def _serve(self, n: int, bus: BusConfig, transport: str) -> Serve | None:
        if bus.serve is None:
            return None
        if transport == "stream":
            self._findings.report("wrong_bus", f"{bus.name} does not speak Modbus", "bus", n, "serve")
        for other in self._config.bus[:n]:
            if other.serve and other.serve.tcp == bus.serve.tcp:
                detail = f"{bus.serve.tcp} also serves {other.name}"
                self._findings.report("doubled_endpoint", detail, "bus", n, "serve", "tcp")
        host, _, port = bus.serve.tcp.rpartition(":")
        return Serve(host.strip("[]"), int(port))

    def _line(self, n: int, bus: BusConfig, devices: Sequence[Device]) -> Line:
        """As written; else as the devices come from their makers, when they agree."""
        if bus.line:
            return serial_line(bus.line)
        lines = {device.profile.source.line for device in devices}
        if bus.port and len(lines) > 1:
            texts = " and ".join(sorted(f"{line.baud} {line.bits}{line.parity}{line.stop_bits}" for line in lines))
            self._findings.report("lines_differ", f"its devices come with {texts}", "bus", n)
        return min(lines, key=lambda line: line.baud) if lines else Line()

    def _on(self, bus: BusConfig, n: int, entry: DeviceConfig) -> Device | None:
        """The device, when it is on this bus and its profile is known."""
        profile = self._profile(entry)
        if entry.bus != bus.name or profile is None:
            return None
        polled = tuple(self._polled(n, entry, profile))
        writable = tuple(self._writable(n, entry, profile))
        unit_id = self._unit_id(n, entry, profile)
        corrected = tuple(corrections(n, entry, profile, self._findings))
        alarms = compile_alarms(n, entry, polled, self._findings)
        fast = compile_fast(n, entry, bus, polled, self._findings)
        variant = entry.variant or ""
        return Device(entry.name, profile, unit_id, polled, writable, variant, corrected, alarms=alarms, fast=fast)

    def _with_derived(self, n: int, device: Device, others: Sequence[Device]) -> Device:
        entry = self._config.device[n]
        return replace(device, derived=tuple(derived(n, entry, device, others, self._findings)))

    def _profile(self, entry: DeviceConfig) -> Profile | None:
        """What the device is: its profile, or the variant of it that is named."""
        if entry.variant is None:
            return self._profiles.get(entry.profile)
        return self._variants.get(entry.profile, {}).get(entry.variant)

    def _unit_id(self, n: int, entry: DeviceConfig, profile: Profile) -> int:
        if isinstance(profile.source, SerialSource):
            if entry.unit_id is not None:
                self._findings.report("bad_value", "a serial stream has no unit_id", "device", n, "unit_id")
            return 0
        unit_id = entry.unit_id or profile.source.unit_id
        for m, other in enumerate(self._config.device[:n]):
            if other.bus == entry.bus and self._wants(other) == unit_id:
                detail = f"unit_id {unit_id} is also that of {other.name} (device[{m}]) on {entry.bus}"
                self._findings.report("doubled_unit_id", detail, "device", n, "unit_id")
                break
        if unit_id > UNIT_ID_MAX:
            detail = f"{unit_id}: the specification ends at {UNIT_ID_MAX}"
            self._findings.note("unit_id_unusual", detail, "device", n, "unit_id")
        return unit_id

    def _wants(self, entry: DeviceConfig) -> int | None:
        profile = self._profile(entry)
        if profile is None or not isinstance(profile.source, ModbusSource):
            return None
        return entry.unit_id or profile.source.unit_id

    def _polled(self, n: int, entry: DeviceConfig, profile: Profile) -> Iterator[Polled]:
        known = [field.name for field in profile.fields if not field.hidden]
        for name in entry.fields:
            if name not in known:
                detail = f"{profile.ref} has no {name}{nearest(name, known)}"
                self._findings.report("unknown_field", detail, "device", n, "fields", name)
        together: dict[tuple[int, Report | None], list[Field]] = {}
        for field in profile.reported:
            period_ms = self._period_ms(n, entry, profile, field)
            key = (period_ms, report(n, entry, field, period_ms, self._findings))
            together.setdefault(key, []).append(field)
        for (period_ms, policy), alike in sorted(together.items(), key=lambda item: item[0][0]):
            for fields in chunks(entry, alike, policy):
                names, letters = tuple(field.name for field in fields), "".join(field.letter for field in fields)
                group = Group(entry.name, profile.kind, profile.ref, names, letters)
                yield Polled(group, (*fields, *_behind(fields, profile)), period_ms, policy)

    def _writable(self, n: int, entry: DeviceConfig, profile: Profile) -> Iterator[str]:
        """The fields that this site allows to be written, in the profile's order."""
        for field in profile.fields:
            own = entry.fields.get(field.name)
            steps: tuple[Step, ...] = ("device", n, "fields", field.name)
            if own and own.every and field.parameter:
                self._findings.report("bad_value", f"{field.name} is a setting: it is not polled", *steps, "every")
            if own and own.writable and field.write is None:
                detail = f"{profile.ref} does not allow {field.name} to be written"
                self._findings.report("not_writable", detail, *steps, "writable")
            elif own and own.writable:
                yield field.name

    def _period_ms(self, n: int, entry: DeviceConfig, profile: Profile, field: Field) -> int:
        own = entry.fields.get(field.name)
        of_class = getattr(entry.every, field.every)
        steps: tuple[Step, ...] = ("device", n, "every")
        period_ms = duration_ms(of_class) if of_class else EVERY_MS[field.every]
        if own and own.every:
            steps, period_ms = ("device", n, "fields", field.name, "every"), duration_ms(own.every)
        source = profile.source
        least_ms = source.period_ms if isinstance(source, SerialSource) else PERIOD_MIN_MS
        if not least_ms <= period_ms <= PERIOD_MAX_MS:
            problem = f"{period_ms} ms: from {least_ms} ms to one day"
            self._findings.report("impossible_period", problem, *steps)
        return period_ms


def _behind(fields: Sequence[Field], profile: Profile) -> Iterator[Field]:
    """The hidden fields that these are read with: not reported, so not in their group."""
    wanted = {field.scale_from for field in fields}
    return (field for field in profile.fields if field.hidden and field.name in wanted)


def _transport(bus: BusConfig) -> str:
    if bus.port:
        return "ascii" if bus.framing == "ascii" else "rtu"
    return {"rtu": "rtu_over_tcp", "udp": "udp"}.get(bus.framing or "", "tcp")
