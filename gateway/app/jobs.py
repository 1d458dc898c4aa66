"""A technician's exchanges on a bus that this daemon owns, over the control socket: `bus` and `ask`.

    bus   {"target": a bus's name, its port or host}    which bus that is, its line and devices; `no_such_bus`
    ask   {"bus": …, "unit_id": 0..255, "question": …, "timeout_ms": …}
          question: [table, address, count], or [level, object] of function 43/14: nothing here ever writes
          answers {"data": hex, "sent_ns": …, "first_ns": …, "done_ns": …} or {"failure": …, "detail": …}

What a job makes of it (scan, probe) runs in the process of who asked: the daemon keeps no library of profiles and no
state of a job, and a job that is given up leaves nothing behind. An exchange goes between polls (`south.turns`), or is
told `bus_busy` before the client loses patience. Registers that a profile says must never be read are not read for
anybody: reading may empty a counter. A device of the site is asked with its own pauses and at least its own timeout:
what is cut short leaves a reply owed, and polls would wait for it.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from gateway.control.server import Handler
from gateway.errors import BadReply, BusBusy, DeviceException, GatewayError, LinkDown, Malformed, NoReply
from gateway.profile.profile import ModbusSource
from gateway.protocols.modbus_pdu import ReadDeviceId, ReadRequest, Table, encode_request
from gateway.site import Bus
from gateway.south.links.link import PLAIN, Manner, manner_of
from gateway.south.reads.plan import Span
from gateway.south.turns import Asks
from gateway.wire import checked

ANSWER_MAX_S = 10.0  # a turn within 5 s, and the longest exchange; a client of jobs waits longer
TIMEOUT_MS_MIN, TIMEOUT_MS_MAX = 20.0, 2000.0
UNIT_ID_MAX = 255
ANY = 0  # unit_id: on a serial line all devices hear it, and some answer
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

    async def bus(self, arguments: dict[str, object]) -> AsyncGenerator[object, None]:
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

    async def ask(self, arguments: dict[str, object]) -> AsyncGenerator[object, None]:
        bus, loop = self._buses.get(str(arguments.get("bus")), (None, None))
        if bus is None or loop is None:
            raise NoSuchBus(str(arguments.get("bus")))
        if loop.asks is None:
            raise BusNotAsked(bus.name)
        unit_id = checked.integer(arguments.get("unit_id"), "unit_id", 0, UNIT_ID_MAX)
        timeout_ms = _timeout_ms(arguments.get("timeout_ms"))
        question = _question(arguments.get("question"))
        own = _sources(bus).get(unit_id)
        if own and _is_in_hole(own, question):
            yield {"failure": "never_read", "detail": ""}
        elif own:
            yield await _asked(loop.asks, unit_id, question, max(timeout_ms, own.timeout_ms), manner_of(own))
        elif _may_be_anybodys(bus, unit_id) and any(_is_in_hole(source, question) for source in _sources(bus).values()):
            yield {
                "failure": NoReply.code,
                "detail": "not asked: whoever answers may have what must never be read there",
            }
        else:
            yield await _asked(loop.asks, unit_id, question, timeout_ms, PLAIN)


async def _asked(
    asks: Asks, unit_id: int, question: ReadRequest | ReadDeviceId, timeout_ms: float, manner: Manner
) -> object:
    try:
        async with asyncio.timeout(ANSWER_MAX_S):
            reply = await asks.ask(unit_id, question, timeout_ms, manner)
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
    if bus.serial:
        return target.startswith("/") and _same_file(target, bus.endpoint)
    return bus.endpoint == f"{target}:{PORT}"


def _same_file(one: str, other: str) -> bool:
    try:
        return Path(one).resolve() == Path(other).resolve()
    except (OSError, RuntimeError, ValueError):  # no path: a link that leads to itself, a NUL
        return False


def _timeout_ms(written: object) -> float:
    if isinstance(written, bool) or not isinstance(written, int | float) or not 1 <= written <= TIMEOUT_MS_MAX:
        raise Malformed("schema", f"timeout_ms is a number up to {TIMEOUT_MS_MAX:g}")
    return max(written, TIMEOUT_MS_MIN)


def _question(written: object) -> ReadRequest | ReadDeviceId:
    """Raises Malformed: also for what is no read, and outside the limits of Modbus."""
    question: ReadRequest | ReadDeviceId | None = None
    try:
        match written:
            case [str(table), address, count]:
                question = ReadRequest(
                    Table(table), checked.integer(address, "address"), checked.integer(count, "count")
                )
            case [level, object_id]:
                question = ReadDeviceId(checked.integer(level, "level"), checked.integer(object_id, "object"))
        if question is not None:
            encode_request(question)
    except ValueError:
        question = None
    if question is None:
        raise Malformed("schema", "a question is [table, address, count] or [level, object]")
    return question


def _is_in_hole(source: ModbusSource, question: ReadRequest | ReadDeviceId) -> bool:
    """Whether it touches what the profile says must never be read."""
    if isinstance(question, ReadDeviceId):
        return False
    asked = Span(question.table, question.address, question.address + question.count - 1)
    return any(Span(*hole).touches(asked) for hole in source.never_read)


def _may_be_anybodys(bus: Bus, unit_id: int) -> bool:
    """Of a number that no device of the site has: over a network many do not look at it, on a line some answer to 0."""
    return not bus.serial or unit_id == ANY


def _sources(bus: Bus) -> Mapping[int, ModbusSource]:
    """By unit_id."""
    sources = ((device.unit_id, device.profile.source) for device in bus.devices)
    return {unit_id: source for unit_id, source in sources if isinstance(source, ModbusSource)}
