"""Serve every bus of a site until told to stop."""

import asyncio
import signal
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import TypeAlias

import orjson

from gateway.profile.profile import ProtocolSource
from gateway.site import Bus, Device, Site
from simulators.commands import Commands
from simulators.control import Control
from simulators.device import ModbusDevice, StreamDevice, TalkDevice, TwinDevice, fields_of
from simulators.fault import Bent, Fault
from simulators.in_force import InForce
from simulators.knobs import Knob
from simulators.lane import Converter
from simulators.line import SerialLine, free
from simulators.moments import Alarm, boot_ns
from simulators.port import RealLine
from simulators.run import Run
from simulators.serve_rtu import RtuServer
from simulators.serve_stream import StreamServer
from simulators.serve_talk import TalkServer
from simulators.serve_tcp import Desk, TcpServer
from simulators.serve_twin import TwinServer
from simulators.signals import Signal, UnknownSignal, powers, signal_for
from simulators.targets import targets_of
from simulators.truth import TruthLog

ON_A_PTY = ("rtu", "stream", "talk")
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
STATE_NS = 20_000_000  # how often to see whether a bus changes its state

Server: TypeAlias = TcpServer | RtuServer | StreamServer | TalkServer | TwinServer
Tables: TypeAlias = Mapping[str, Mapping[str, object]]  # the [signal] tables, by "device.field"
Signals: TypeAlias = Mapping[str, Mapping[str, Signal]]  # by device, by field
NO_CONVERTERS: Mapping[str, Converter] = {}


def signals_of(site: Site, tables: Tables, seed: int) -> dict[str, dict[str, Signal]]:
    """The signals of each device, by field; raises UnknownSignal, also for a table that is of no field at all."""
    devices = [device for bus in site.buses for device in bus.devices]
    known = {f"{device.name}.{field.name}" for device in devices for field in device.profile.fields}
    if strange := sorted(set(tables) - known):
        raise UnknownSignal(f"no such device.field: {', '.join(strange)}")
    return {device.name: _signals(device, tables, seed) for device in devices}


async def serve(
    site: Site,
    signals: Signals,
    *,
    truth: Path | None = None,
    ports: Path | None = None,
    seconds: float | None = None,
    faults: Iterable[Fault] = (),
    converters: Mapping[str, Converter] = NO_CONVERTERS,
    control: Path | None = None,
    seed: int = 1,
    tell: Callable[[Mapping[str, str]], None] | None = None,
    real: bool = False,
) -> None:
    """Until SIGTERM, SIGINT or `seconds` have passed. `ports` is written, whole, when everything can be asked.

    It is a JSON object: the endpoint of each bus by its name, which tells the port where the site says port 0.
    `tell` is called with the same. `converters` stand before the TCP buses of these names; `control` is the socket for
    `simctl`; with `real` a serial bus is a port of this machine, and no pty.
    """
    with ExitStack() as files:
        run = Run(TruthLog(truth), InForce(seed), line=RealLine if real else SerialLine)
        files.callback(run.truth.close)
        for fault in faults:
            run.in_force.add(fault)
        knobs = _knobs(site, signals, run, everything=control is not None)
        async with AsyncExitStack() as stack:
            if not real:
                _make_room(site.buses)
            servers: dict[str, Server] = {}
            for bus in site.buses:
                servers[bus.name] = server = _server(bus, _turned(signals, knobs), run, converters.get(bus.name))
                await stack.enter_async_context(server)
            if control is not None:
                commands = Commands(targets_of(site), knobs, run.in_force)
                await stack.enter_async_context(Control(control, commands, run))
            endpoints = {name: server.endpoint for name, server in servers.items()}
            if ports is not None:
                announce(ports, endpoints)
            if tell is not None:
                tell(endpoints)
            await _run(servers, run, seconds)


def _signals(device: Device, tables: Tables, seed: int) -> dict[str, Signal]:
    fields = fields_of(device)
    power = powers(fields)
    return {
        field.name: signal_for(
            device.name, field, seed, tables.get(f"{device.name}.{field.name}"), power.get(field.name, 0)
        )
        for field in fields
    }


def _make_room(buses: Iterable[Bus]) -> None:
    """Before any pty is opened: a left-over link could seem alive when its number is given out again."""
    for bus in buses:
        if bus.transport in ON_A_PTY:
            free(Path(bus.endpoint))


def _knobs(site: Site, signals: Signals, run: Run, *, everything: bool) -> dict[str, Knob]:
    """Of all fields, or of those that a fault bends: what cannot change needs none."""
    bent = {fault.target for fault in run.in_force.faults() if isinstance(fault.act, Bent)}
    fields = {
        f"{device.name}.{field.name}": (field, signals[device.name][field.name])
        for bus in site.buses
        for device in bus.devices
        for field in fields_of(device)
    }
    return {
        key: Knob(key, field, signal, run.in_force, run.now_ms)
        for key, (field, signal) in fields.items()
        if everything or key in bent
    }


def _turned(signals: Signals, knobs: Mapping[str, Knob]) -> Callable[[Device], Mapping[str, Signal]]:
    """The signals of a device, with a knob where there is one."""
    return lambda device: {
        name: knobs.get(f"{device.name}.{name}", signal) for name, signal in signals[device.name].items()
    }


def _server(
    bus: Bus, signals: Callable[[Device], Mapping[str, Signal]], run: Run, converter: Converter | None
) -> Server:
    if bus.transport == "stream":
        (device,) = bus.devices
        return StreamServer(bus, StreamDevice(device, signals(device)), run)
    if any(isinstance(device.profile.source, ProtocolSource) for device in bus.devices):
        return TwinServer(bus, [TwinDevice(device, signals(device)) for device in bus.devices], run)
    if bus.talks:
        return TalkServer(bus, [TalkDevice(device, signals(device)) for device in bus.devices], run)
    devices = {device.unit_id: ModbusDevice(device, signals(device), tells=run.truth.kept) for device in bus.devices}
    if bus.transport == "rtu":
        return RtuServer(bus, devices, run)
    return TcpServer(bus.transport, bus.endpoint, Desk(bus.transport, devices, run, converter))


def announce(path: Path, endpoints: Mapping[str, str]) -> None:
    """Write where each bus can be asked, whole or not at all."""
    whole = path.with_name(path.name + ".new")
    whole.write_bytes(orjson.dumps(endpoints, option=orjson.OPT_INDENT_2) + b"\n")
    whole.replace(path)


async def _run(servers: Mapping[str, Server], run: Run, seconds: float | None) -> None:
    """A bus that fails ends everything: half a district that looks whole would be a lie."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(server.run(), name=f"bus {name}") for name, server in servers.items()]
        tasks.append(group.create_task(run.truth.keep_flushing(), name="truth"))
        tasks.append(group.create_task(_keep_turning(servers, run), name="states of buses"))
        await stopped(seconds)
        for task in tasks:
            task.cancel()


async def _keep_turning(servers: Mapping[str, Server], run: Run) -> None:
    """Let ports vanish and servers refuse when it is time, and come back."""
    ill: set[str] = set()
    with Alarm() as alarm:
        while True:
            for name in ill | set(run.in_force.stateful()):
                state = run.in_force.state(name, run.now_ms())
                await servers[name].turn(state)
                ill = ill | {name} if state else ill - {name}
            await alarm.until(boot_ns() + STATE_NS)


async def stopped(seconds: float | None) -> None:
    """Return at SIGTERM, SIGINT or after so long."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
