"""A technician's exchanges on a bus that this daemon owns, over the control socket: `bus` and `ask`.

    bus   {"target": a bus's name, its port or host}    which bus that is, its line and devices; `no_such_bus`
    ask   {"bus": …, "unit_id": 1..255, "question": …, "timeout_ms": …}
          question: [table, address, count], or [level, object] of function 43/14: nothing here ever writes
          answers {"data": hex, "sent_ns": …, "first_ns": …, "done_ns": …} or {"failure": …, "detail": …}

What a job makes of it (scan, probe) runs in the process of who asked: the daemon keeps no library of profiles and no
state of a job, and a job that is given up leaves nothing behind. An exchange goes between polls (`south.turns`), or is
told `bus_busy` before the client loses patience. Registers that a profile says must never be read are not read for
anybody: reading may empty a counter.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from gateway.control.server import Handler
from gateway.errors import BadReply, BusBusy, DeviceException, GatewayError, LinkDown, Malformed, NoReply
from gateway.profile.profile import ModbusSource
from gateway.protocols.modbus_pdu import ReadDeviceId, ReadRequest, Table, encode_request
from gateway.site import Bus
from gateway.south.turns import Asks

ANSWER_MAX_S = 4.0  # a client waits 5 s for each answer
TIMEOUT_MS_MAX = 2000.0
UNIT_ID_MAX = 255
PORT = 502


class HasAsks(Protocol):
    """A bus loop."""

    @property
    def asks(self) -> Asks | None:
        """None where nobody may ask: a stream, a bus that is only listened to."""
        ...


class NoSuchBus(GatewayError):
    """This gateway has no bus of that name, port or host."""

    code = "no_such_bus"


class BusNotAsked(GatewayError):
    """On this bus nobody is asked: its device sends by itself, or another master asks."""

    code = "bus_not_asked"


def job_handlers(buses: Sequence[Bus], loops: Sequence[HasAsks]) -> Mapping[str, Handler]:
    """The requests of jobs; `loops` in the order of the site's buses."""
    jobs = _Jobs(buses, loops)
    return {"bus": jobs.bus, "ask": jobs.ask}


class _Jobs:
    def __init__(self, buses: Sequence[Bus], loops: Sequence[HasAsks]) -> None:
        self._buses = dict(zip((bus.name for bus in buses), zip(buses, loops, strict=True), strict=True))

    async def bus(self, arguments: dict[str, object]) -> AsyncIterator[object]:
        target = arguments.get("target")
        for bus, _ in self._buses.values():
            if isinstance(target, str) and _is_meant(bus, target):
                yield {
                    "name": bus.name,
                    "transport": bus.transport,
                    "endpoint": bus.endpoint,
                    "line": [bus.line.baud, bus.line.bits, bus.line.parity, bus.line.stop_bits],
                    "devices": [[device.name, device.unit_id, device.profile.ref] for device in bus.devices],
                }
                return
        raise NoSuchBus(str(target))

    async def ask(self, arguments: dict[str, object]) -> AsyncIterator[object]:
        bus, loop = self._buses.get(str(arguments.get("bus")), (None, None))
        if bus is None or loop is None:
            raise NoSuchBus(str(arguments.get("bus")))
        if loop.asks is None:
            raise BusNotAsked(bus.name)
        unit_id, timeout_ms = _unit_id(arguments.get("unit_id")), _timeout_ms(arguments.get("timeout_ms"))
        question = _question(arguments.get("question"))
        if _is_in_hole(bus, unit_id, question):
            yield {"failure": "never_read", "detail": ""}
        else:
            yield await _asked(loop.asks, unit_id, question, timeout_ms)


async def _asked(asks: Asks, unit_id: int, question: ReadRequest | ReadDeviceId, timeout_ms: float) -> object:
    try:
        async with asyncio.timeout(ANSWER_MAX_S):
            reply = await asks.ask(unit_id, question, timeout_ms)
    except TimeoutError:
        return {"failure": BusBusy.code, "detail": f"no time for it in {ANSWER_MAX_S:g} s"}
    except DeviceException as refusal:
        return {"failure": refusal.code, "detail": refusal.exception}
    except (NoReply, BadReply, LinkDown) as error:
        return {"failure": error.code, "detail": str(error)}
    return {
        "data": reply.data.hex(),
        "sent_ns": reply.t_sent_ns,
        "first_ns": reply.t_first_ns,
        "done_ns": reply.t_done_ns,
    }


def _is_meant(bus: Bus, target: str) -> bool:
    if target in (bus.name, bus.endpoint):
        return True
    if bus.transport in ("rtu", "stream"):
        return target.startswith("/") and Path(target).resolve() == Path(bus.endpoint).resolve()
    return bus.endpoint == f"{target}:{PORT}"


def _unit_id(written: object) -> int:
    if not isinstance(written, int) or not 0 <= written <= UNIT_ID_MAX:
        raise Malformed("schema", "unit_id is a number up to 255")
    return written


def _timeout_ms(written: object) -> float:
    if not isinstance(written, (int, float)) or not 1 <= written <= TIMEOUT_MS_MAX:
        raise Malformed("schema", f"timeout_ms is a number up to {TIMEOUT_MS_MAX:g}")
    return written


def _question(written: object) -> ReadRequest | ReadDeviceId:
    """Raises Malformed: also for what is no read, and outside the limits of Modbus."""
    question: ReadRequest | ReadDeviceId | None = None
    try:
        match written:
            case [str(table), int(address), int(count)]:
                question = ReadRequest(Table(table), address, count)
            case [int(level), int(object_id)]:
                question = ReadDeviceId(level, object_id)
        if question is not None:
            encode_request(question)
    except ValueError:
        question = None
    if question is None:
        raise Malformed("schema", "a question is [table, address, count] or [level, object]")
    return question


def _is_in_hole(bus: Bus, unit_id: int, question: ReadRequest | ReadDeviceId) -> bool:
    """Whether it touches what a profile at this unit_id says must never be read."""
    if isinstance(question, ReadDeviceId):
        return False
    first, last = question.address, question.address + question.count - 1
    holes = (
        hole
        for device in bus.devices
        if device.unit_id == unit_id and isinstance(device.profile.source, ModbusSource)
        for hole in device.profile.source.never_read
    )
    return any(table is question.table and first <= end and begin <= last for table, begin, end in holes)
