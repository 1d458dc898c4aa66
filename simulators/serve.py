"""Serve every bus of a site until told to stop."""

import asyncio
import signal
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import TypeAlias

import orjson

from gateway.site import Bus, Device, Site
from simulators.device import ModbusDevice, StreamDevice, fields_of
from simulators.line import free
from simulators.serve_rtu import RtuServer
from simulators.serve_stream import StreamServer
from simulators.serve_tcp import TcpServer
from simulators.signals import Signal, UnknownSignal, signal_for
from simulators.truth import TruthLog

ON_A_PTY = ("rtu", "stream")
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

Server: TypeAlias = TcpServer | RtuServer | StreamServer
Tables: TypeAlias = Mapping[str, Mapping[str, object]]  # the [signal] tables, by "device.field"


def signals_of(site: Site, tables: Tables, seed: int) -> dict[str, dict[str, Signal]]:
    """The signals of each device, by field; raises UnknownSignal, also for a table that is of no field at all."""
    devices = [device for bus in site.buses for device in bus.devices]
    known = {f"{device.name}.{field.name}" for device in devices for field in device.profile.fields}
    if strange := sorted(set(tables) - known):
        raise UnknownSignal(f"no such device.field: {', '.join(strange)}")
    return {device.name: _signals(device, tables, seed) for device in devices}


async def serve(
    site: Site,
    signals: Mapping[str, Mapping[str, Signal]],
    *,
    truth: Path | None = None,
    ports: Path | None = None,
    seconds: float | None = None,
) -> None:
    """Until SIGTERM, SIGINT or `seconds` have passed. `ports` is written, whole, when everything can be asked.

    It is a JSON object: the endpoint of each bus by its name, which tells the port where the site says port 0.
    """
    with ExitStack() as files:
        log = TruthLog(truth)
        files.callback(log.close)
        async with AsyncExitStack() as stack:
            _make_room(site.buses)
            servers: dict[str, Server] = {}
            for bus in site.buses:
                servers[bus.name] = server = _server(bus, signals, log)
                await stack.enter_async_context(server)
            if ports is not None:
                _announce(ports, {name: server.endpoint for name, server in servers.items()})
            await _run(servers, log, seconds)


def _signals(device: Device, tables: Tables, seed: int) -> dict[str, Signal]:
    return {
        field.name: signal_for(device.name, field, seed, tables.get(f"{device.name}.{field.name}"))
        for field in fields_of(device)
    }


def _make_room(buses: Iterable[Bus]) -> None:
    """Before any pty is opened: a left-over link could seem alive when its number is given out again."""
    for bus in buses:
        if bus.transport in ON_A_PTY:
            free(Path(bus.endpoint))


def _server(bus: Bus, signals: Mapping[str, Mapping[str, Signal]], log: TruthLog) -> Server:
    if bus.transport == "stream":
        (device,) = bus.devices
        return StreamServer(bus, StreamDevice(device, signals[device.name]), log)
    devices = {device.unit_id: ModbusDevice(device, signals[device.name]) for device in bus.devices}
    return (RtuServer if bus.transport == "rtu" else TcpServer)(bus, devices, log)


def _announce(path: Path, endpoints: Mapping[str, str]) -> None:
    whole = path.with_name(path.name + ".new")
    whole.write_bytes(orjson.dumps(endpoints, option=orjson.OPT_INDENT_2) + b"\n")
    whole.replace(path)


async def _run(servers: Mapping[str, Server], log: TruthLog, seconds: float | None) -> None:
    """A bus that fails ends everything: half a district that looks whole would be a lie."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(server.run(), name=f"bus {name}") for name, server in servers.items()]
        tasks.append(group.create_task(log.keep_flushing(), name="truth"))
        await _stopped(seconds)
        for task in tasks:
            task.cancel()


async def _stopped(seconds: float | None) -> None:
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
