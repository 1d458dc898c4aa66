"""SunSpec devices over real links, by our own loops: a model is found, followed when it moves, and never mistaken."""

import asyncio
from dataclasses import replace
from random import Random

import pytest

from gateway.clock.kernel import SystemClock
from gateway.counters import Counters
from gateway.model import Event, Row
from gateway.profile.profile import Line
from gateway.protocols.modbus_pdu import ReadRequest, decode_request, encode_exception, encode_reply
from gateway.site import Bus, Device
from gateway.south.bus import loops
from gateway.south.reads.memory import memory_of
from tests.support.modbus_server import Answer, Asked, ModbusServer
from tests.support.south import a_device, a_field, a_site
from tests.support.sunspec import OFFSETS, answer, numbered, sunspec_device, tag

PERIOD_MS = 100
USUAL = [(1, 66), (103, 50)]
LATER = [(1, 66), (64_901, 7), *[(160, 48)] * 6, (103, 50)]
FLOATS = [(1, 66), (64_901, 7), *[(160, 48)] * 6, (113, 60)]
TURNS, TURN_S = 200, 0.05


class Sun:
    """A SunSpec device as unit 1 beside a plain one as unit 2, and what our loop makes of them."""

    def __init__(self, server: ModbusServer, transport: str) -> None:
        self.words = numbered(40_000, USUAL)
        self.rows: list[Row] = []
        self.events: list[Event] = []
        server.every = self._says
        self.asked: list[ReadRequest] = []
        devices = tuple(map(_often, (sunspec_device(), a_device("plain", ([a_field(0)], PERIOD_MS), unit_id=2))))
        self.bus = Bus("bus-1", transport, "own", server.endpoint, Line(115_200), devices)
        self.memories = {device.name: memory_of(self.bus, device) for device in devices}

    async def run(self) -> None:
        """As the daemon does."""
        site = a_site(self.bus)
        on_row, on_event = self.rows.append, self.events.append
        (self.loop,) = loops(site, SystemClock("system"), Counters(), Random(1), on_row, on_event, self.memories)
        await self.loop.run()

    async def rows_after(self, number: int, many: int) -> list[tuple[object, ...]]:
        """The values of so many rows of the SunSpec device that came after the first `number` of all rows."""
        for _ in range(TURNS):
            found: list[tuple[object, ...]] = [row.values for row in self.rows[number:] if row.group.device == "m"]
            if len(found) >= many:
                break
            await asyncio.sleep(TURN_S)
        return found

    def _says(self, asked: Asked) -> list[Answer]:
        request = decode_request(asked.frame.pdu)
        assert isinstance(request, ReadRequest)
        if asked.frame.unit_id != 1:
            return [(0.0, asked.good())]
        self.asked.append(request)
        data = answer(self.words, request)
        pdu = encode_reply(request, data) if isinstance(data, bytes) else encode_exception(asked.frame.pdu[0], 2)
        return [(0.0, asked.wire(pdu))]


def _often(device: Device) -> Device:
    return replace(device, polled=tuple(replace(polled, period_ms=PERIOD_MS) for polled in device.polled))


def values(number: int) -> tuple[int, ...]:
    """Of the model of this number in the chain."""
    return tuple(tag(number, offset) for offset in OFFSETS)


@pytest.mark.parametrize("transport", ["tcp", "rtu"])
async def test_a_model_is_found_followed_and_not_mistaken(transport: str) -> None:
    """Moved while it is polled, then gone, with another at its place: the rows are its values, or there are none."""
    async with ModbusServer(transport) as server, asyncio.TaskGroup() as tasks:
        sun = Sun(server, transport)
        tasks.create_task(sun.run(), name="bus")
        assert await sun.rows_after(0, 2)
        before, sun.words = len(sun.rows), numbered(50_000, LATER)
        assert (await sun.rows_after(before, 4))[-1] == values(8)
        plain = len([row for row in sun.rows if row.group.device == "plain"])
        assert plain >= len(sun.rows) - plain  # it was never behind
        sun.words = numbered(50_000, FLOATS)
        for _ in range(TURNS):
            if sun.events:
                break
            await asyncio.sleep(TURN_S)
        after = len(sun.rows)
        await asyncio.sleep(0.5)
        sun.loop.stop()
    mine = [row.values for row in sun.rows if row.group.device == "m"]
    assert set(mine) == {values(1), values(8)}
    assert not [row for row in sun.rows[after:] if row.group.device == "m"]
    told = [(event.subject, event.code) for event in sun.events]
    assert told == [("m", "model_not_found")]
    assert "113 (60)" in str(sun.events[0].detail)


async def test_a_place_that_is_known_is_not_looked_for() -> None:
    """After a restart the first request is the row's own, header included."""
    async with ModbusServer("tcp") as server, asyncio.TaskGroup() as tasks:
        sun = Sun(server, "tcp")
        sun.memories["m"].place.keep(40_070)
        tasks.create_task(sun.run(), name="bus")
        assert await sun.rows_after(0, 2) == [values(1)] * 2
        sun.loop.stop()
    assert {request.address for request in sun.asked} == {40_070}
