"""[[bus]] and [[device]] -> buses with their devices, groups and periods, and what does not fit together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TypeAlias

from gateway.config.alarms import compile_alarms, compile_fast
from gateway.config.findings import Findings
from gateway.config.gateway import BusConfig, DeviceConfig, GatewayConfig, SimulatorConfig
from gateway.config.meaning import chunks, corrections, derived, no_report, report
from gateway.config.talking import first_request, is_asked, not_shared
from gateway.model import Group
from gateway.profile import plugins
from gateway.profile.profile import Field, Line, LocalSource, ModbusSource, Profile, ProtocolSource, SerialSource
from gateway.profile.types import duration_ms, serial_line
from gateway.protocols import declared
from gateway.protocols.plugin import needs_port
from gateway.site import Bus, Device, Polled, Report, Serve
from gateway.toml_file import nearest
from gateway.toml_lines import Step

EVERY_MS = {"fast": 1_000, "normal": 10_000, "slow": 60_000}
BOX = "gateway/self@1"
BOX_PERIOD_MIN_MS = 1_000
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


def compile_box(config: GatewayConfig, profiles: Mapping[str, Profile], findings: Findings) -> Device | None:
    """This box as a device: one group, of all that its profile knows. A simulator is no box."""
    written, profile = config.box, profiles.get(BOX)
    if not written.on or profile is None or isinstance(config, SimulatorConfig):
        return None
    period_ms = duration_ms(written.every)
    if not BOX_PERIOD_MIN_MS <= period_ms <= PERIOD_MAX_MS:
        problem = f"{period_ms} ms: from {BOX_PERIOD_MIN_MS} ms to one day"
        findings.report("impossible_period", problem, "box", "every")
    fields = profile.reported
    names, letters = tuple(field.name for field in fields), "".join(field.letter for field in fields)
    group = Group(written.name, profile.kind, profile.ref, names, letters)
    return Device(written.name, profile, 0, (Polled(group, fields, period_ms),))


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
            if bus.mode == "push":
                yield self._pushed(bus)
                continue
            end = bus.port or bus.host or ""
            if end in ends and not end.endswith(":0"):
                self._findings.report("doubled_endpoint", f"{end} is also that of {ends[end]}", "bus", n)
            ends.setdefault(end, bus.name)
            if end.endswith(":0") and not isinstance(self._config, SimulatorConfig):
                self._findings.report("bad_host", f"{end}: only a simulator may take any free port", "bus", n, "host")
            yield self._bus(n, bus)

    def _bus(self, n: int, bus: BusConfig) -> Bus:
        devices = self._devices(bus)
        serial = self._serial(n, bus, devices)
        if bus.port and bus.port.startswith("/dev/tty"):
            detail = f"{bus.port} may name another port after a restart: by-id/ or by-path/ does not"
            self._findings.note("unstable_port", detail, "bus", n, "port")
        transport = serial or _transport(bus)
        if transport in {"ascii", "udp"} and isinstance(self._config, SimulatorConfig):
            detail = f"framing = {transport} is planned for simulators, but this version does not serve it"
            self._findings.report("not_built_yet", detail, "bus", n, "framing")
        if transport == "tcp" or bus.link == "pymodbus":
            self._refuse_sleepers(n, devices)
        if bus.mode == "listen":
            self._refuse_walked(n, devices)
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

    def _pushed(self, bus: BusConfig) -> Bus:
        """What programs of this box hand in, of whatever profile: how that is read elsewhere means nothing here."""
        local = LocalSource()
        devices = (replace(each, profile=replace(each.profile, source=local)) for each in self._devices(bus))
        return Bus(bus.name, "push", bus.link, "", Line(), tuple(devices), mode=bus.mode)

    def _serial(self, n: int, bus: BusConfig, devices: Sequence[Device]) -> str:
        """The transport where serial devices are on the bus, else ""; what they do not go with is reported."""
        found = [device for device in devices if not isinstance(device.profile.source, ModbusSource | LocalSource)]
        if not found:
            return ""
        for device in found if len(devices) > 1 else ():
            if detail := not_shared(device, devices):
                self._findings.report("not_alone", f"{detail}: nothing else can be on {bus.name}", "bus", n)
                break
        if bus.host:
            self._refuse_host(n, bus, found)
        if bus.link == "pymodbus":
            self._findings.report("wrong_bus", f"{found[0].name} does not speak Modbus", "bus", n, "link")
        if bus.mode == "listen":
            self._findings.report("wrong_bus", f"{found[0].name} does not speak Modbus", "bus", n, "mode")
        if not is_asked(found[0]):
            return "stream"
        return "talk_over_tcp" if bus.host else "talk"

    def _refuse_host(self, n: int, bus: BusConfig, found: Sequence[Device]) -> None:
        """Through a converter that passes bytes on, only what answers a question is sure to be new."""
        for device in found:
            source = device.profile.source
            if not is_asked(device):
                detail = (
                    f"{device.name} sends by itself, and a converter may keep what it sent: {bus.name} needs a port"
                )
                self._findings.report("wrong_bus", detail, "bus", n, "host")
            elif isinstance(source, ProtocolSource) and (why := needs_port(plugins.find(source.protocol))):
                detail = f"{source.protocol} {why}: {bus.name} needs a port"
                self._findings.report("wrong_bus", detail, "bus", n, "host")
        if bus.framing:
            detail = f"{found[0].name} has a framing of its own: bytes are passed on as they are"
            self._findings.report("wrong_bus", detail, "bus", n, "framing")

    def _refuse_sleepers(self, n: int, devices: Sequence[Device]) -> None:
        """Bytes that are no frame cannot be sent there."""
        for device in devices:
            if isinstance(device.profile.source, ModbusSource) and device.profile.source.wake:
                detail = f"{device.name} has to be woken first: only our own RTU links can do that"
                self._findings.report("wrong_bus", detail, "bus", n)

    def _refuse_walked(self, n: int, devices: Sequence[Device]) -> None:
        """Where their values stand is found by asking."""
        for device in devices:
            if isinstance(device.profile.source, ModbusSource) and device.profile.source.sunspec:
                detail = f"{device.name} is a SunSpec device: it has to be asked where its values stand"
                self._findings.report("wrong_bus", detail, "bus", n, "mode")

    def _serve(self, n: int, bus: BusConfig, transport: str) -> Serve | None:
        if bus.serve is None:
            return None
        if transport in {"stream", "talk", "talk_over_tcp"}:
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
        sources = [device.profile.source for device in devices]
        lines = {source.line for source in sources if not isinstance(source, LocalSource)}
        if bus.port and len(lines) > 1:
            texts = " and ".join(sorted(f"{line.baud} {line.bits}{line.parity}{line.stop_bits}" for line in lines))
            self._findings.report("lines_differ", f"its devices come with {texts}", "bus", n)
        return min(lines, key=lambda line: line.baud) if lines else Line()

    def _on(self, bus: BusConfig, n: int, entry: DeviceConfig) -> Device | None:
        """The device, when it is on this bus and its profile is known."""
        profile = self._profile(entry)
        if entry.bus != bus.name or profile is None:
            return None
        if isinstance(profile.source, LocalSource) and bus.mode != "push":
            detail = f'{entry.name} is handed in by a program: its bus has mode = "push"'
            self._findings.report("wrong_bus", detail, "device", n, "bus")
        polled = tuple(self._polled(n, entry, profile))
        writable = tuple(self._writable(n, entry, profile))
        unit_id, address = self._unit_id(n, entry, profile), self._address(n, entry, profile)
        corrected = tuple(corrections(n, entry, profile, self._findings))
        variant = entry.variant or ""
        return Device(entry.name, profile, unit_id, polled, writable, variant, address, corrected)

    def _devices(self, bus: BusConfig) -> list[Device]:
        """Those of a bus; what is computed may be of others on it."""
        places = [(m, device) for m, entry in enumerate(self._config.device) if (device := self._on(bus, m, entry))]
        before = [device for _, device in places]
        return [self._completed(m, device, before, bus) for m, device in places]

    def _completed(self, n: int, device: Device, others: Sequence[Device], bus: BusConfig) -> Device:
        """What is computed of its own values and of others', and what these set off."""
        entry, findings = self._config.device[n], self._findings
        device = replace(device, derived=tuple(derived(n, entry, device, others, findings)))
        if bus.mode == "push":
            no_report(n, entry, findings)
        asked = bus.mode == "poll" and (isinstance(device.profile.source, ModbusSource) or is_asked(device))
        fast = compile_fast(n, entry, device, findings, asked=asked)
        return replace(device, alarms=compile_alarms(n, entry, device, findings), fast=fast)

    def _profile(self, entry: DeviceConfig) -> Profile | None:
        """What the device is: its profile, or the variant of it that is named."""
        if entry.variant is None:
            return self._profiles.get(entry.profile)
        return self._variants.get(entry.profile, {}).get(entry.variant)

    def _unit_id(self, n: int, entry: DeviceConfig, profile: Profile) -> int:
        if not isinstance(profile.source, ModbusSource) or self._is_pushed(entry):
            if entry.unit_id is not None:
                self._findings.report("bad_value", "a serial device has no unit_id", "device", n, "unit_id")
            return 0
        unit_id = entry.unit_id or profile.source.unit_id
        for m, other in enumerate(self._config.device[:n]):
            if other.bus == entry.bus and self._wants(other) == unit_id and not self._share(profile, other):
                detail = f"unit_id {unit_id} is also that of {other.name} (device[{m}]) on {entry.bus}"
                self._findings.report("doubled_unit_id", detail, "device", n, "unit_id")
                break
        if unit_id > UNIT_ID_MAX:
            detail = f"{unit_id}: the specification ends at {UNIT_ID_MAX}"
            self._findings.note("unit_id_unusual", detail, "device", n, "unit_id")
        return unit_id

    def _address(self, n: int, entry: DeviceConfig, profile: Profile) -> str:
        """What stands for {address} in its profile; "" where nothing does."""
        source = profile.source
        if isinstance(source, ProtocolSource):
            return self._protocol_address(n, entry, source)
        poll = source.poll if isinstance(source, SerialSource) else None
        if not isinstance(source, SerialSource) or poll is None or not poll.address or self._is_pushed(entry):
            if entry.address is not None:
                self._findings.report("bad_value", f"{profile.ref} has no address", "device", n, "address")
            return ""
        address = entry.address or poll.address
        try:
            request = first_request(poll, address)
            declared.reply_framing(poll, source.framing, address)
        except ValueError as error:
            self._findings.report("bad_value", str(error), "device", n, "address")
            return address
        for m, other in enumerate(self._config.device[:n]):
            if other.bus == entry.bus and self._asked(other) == request:
                detail = f"address {address} is also that of {other.name} (device[{m}]) on {entry.bus}"
                self._findings.report("doubled_address", detail, "device", n, "address")
                break
        return address

    def _protocol_address(self, n: int, entry: DeviceConfig, source: ProtocolSource) -> str:
        """By which a protocol asks for it."""
        address = source.address if entry.address is None else entry.address
        for m, other in enumerate(self._config.device[:n]):
            profile = self._profile(other) if other.bus == entry.bus else None
            theirs = profile.source if profile else None
            if not isinstance(theirs, ProtocolSource) or theirs.protocol != source.protocol:
                continue
            if address == (theirs.address if other.address is None else other.address):
                detail = f"address {address} is also that of {other.name} (device[{m}]) on {entry.bus}"
                self._findings.report("doubled_address", detail, "device", n, "address")
                break
        for detail in plugins.complaints(plugins.find(source.protocol), address, ()):
            self._findings.report("bad_value", detail, "device", n, "address")
        return address

    def _asked(self, entry: DeviceConfig) -> bytes | None:
        """What a serial device is asked first; two that are asked the same would both answer."""
        profile = self._profile(entry)
        source = profile.source if profile else None
        poll = source.poll if isinstance(source, SerialSource) else None
        try:
            return first_request(poll, entry.address or "") if poll else None
        except ValueError:
            return None  # told where it stands

    def _wants(self, entry: DeviceConfig) -> int | None:
        profile = self._profile(entry)
        if profile is None or not isinstance(profile.source, ModbusSource) or self._is_pushed(entry):
            return None
        return entry.unit_id or profile.source.unit_id

    def _share(self, profile: Profile, entry: DeviceConfig) -> bool:
        """Whether these are two models of one SunSpec device; a simulated one has one model."""
        other = self._profile(entry)
        if other is None or isinstance(self._config, SimulatorConfig):
            return False
        one, two = (each.source.sunspec if isinstance(each.source, ModbusSource) else None for each in (profile, other))
        return one is not None and two is not None and one != two

    def _is_pushed(self, entry: DeviceConfig) -> bool:
        return any(bus.mode == "push" for bus in self._config.bus if bus.name == entry.bus)

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
                yield Polled(group, (*fields, *profile.behind(fields)), period_ms, policy)

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
        source, pushed = profile.source, self._is_pushed(entry)
        least_ms = (isinstance(source, SerialSource) and not pushed and source.period_ms) or PERIOD_MIN_MS
        if not least_ms <= period_ms <= PERIOD_MAX_MS:
            problem = f"{period_ms} ms: from {least_ms} ms to one day"
            self._findings.report("impossible_period", problem, *steps)
        return period_ms


def _transport(bus: BusConfig) -> str:
    if bus.port:
        return "ascii" if bus.framing == "ascii" else "rtu"
    return {"rtu": "rtu_over_tcp", "udp": "udp"}.get(bus.framing or "", "tcp")
