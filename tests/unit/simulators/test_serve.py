"""A whole site: its signals, its servers, and that it comes and goes as one."""

import asyncio
import json
from pathlib import Path

import pytest

from gateway.model import UtcMs
from simulators.line import PortTaken
from simulators.serve import serve, signals_of
from simulators.signals import Moment, UnknownSignal
from tests.unit.simulators.worlds import METER, bus, modbus_device, site, stream_device, until


def test_each_field_has_its_signal() -> None:
    """From its table, else by what it means."""
    world = site(bus("tcp", "127.0.0.1:0", modbus_device("meter-1", METER)))
    signals = signals_of(world, {"meter-1.voltage": {"kind": "constant", "value": 225.0}}, 1)
    assert sorted(signals["meter-1"]) == sorted(field.name for field in METER)
    assert signals["meter-1"]["voltage"](Moment(UtcMs(0))) == 225.0


def test_a_table_of_nothing_is_refused() -> None:
    """A name with a slip in it would be ignored."""
    world = site(bus("tcp", "127.0.0.1:0", modbus_device("meter-1", METER)))
    with pytest.raises(UnknownSignal, match=r"meter-1\.volts"):
        signals_of(world, {"meter-1.volts": {"kind": "ramp"}}, 1)


async def test_endpoints_are_told_when_all_can_be_asked(tmp_path: Path) -> None:
    """Port 0 became a port, a path a link; at the end both are gone."""
    wind = tmp_path / "wind"
    world = site(
        bus("tcp", "127.0.0.1:0", modbus_device("meter-1", METER)),
        bus("stream", str(wind), stream_device(), name="bus-2"),
    )
    ports = tmp_path / "ports"
    async with asyncio.TaskGroup() as group:
        task = group.create_task(serve(world, signals_of(world, {}, 1), ports=ports), name="world")
        await until(ports.exists)
        endpoints = json.loads(ports.read_text())
        assert wind.is_char_device()
        task.cancel()
    assert endpoints["bus-2"] == str(wind)
    port = int(endpoints["bus-1"].removeprefix("127.0.0.1:"))
    assert not wind.is_symlink()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_it_stops_when_its_time_is_over() -> None:
    """Without a task left behind."""
    world = site(bus("tcp", "127.0.0.1:0", modbus_device("meter-1", METER)))
    await serve(world, signals_of(world, {}, 1), seconds=0.05)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_bus_that_cannot_be_served_ends_all(tmp_path: Path) -> None:
    """Half a district that looks whole would be a lie."""
    (tmp_path / "wind").write_text("mine")
    world = site(
        bus("rtu", str(tmp_path / "rs485-1"), modbus_device("meter-1", METER)),
        bus("stream", str(tmp_path / "wind"), stream_device(), name="bus-2"),
    )
    with pytest.raises(PortTaken):
        await serve(world, signals_of(world, {}, 1), ports=tmp_path / "ports")
    assert not (tmp_path / "ports").exists()
    assert not (tmp_path / "rs485-1").is_symlink()
