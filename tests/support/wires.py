"""A Modbus link in memory, and a way to wait for it on a FakeClock."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeVar

from gateway.protocols.modbus_frame import Frame, encode_rtu
from gateway.protocols.modbus_pdu import ReadRequest, Table
from gateway.testing.clock import FakeClock

T = TypeVar("T")
MS = 1_000_000
STEPS_MAX = 100_000


def holding(count: int, address: int = 0) -> ReadRequest:
    """Function 3."""
    return ReadRequest(Table.HOLDING, address, count)


def reply(count: int, value: int = 1, unit_id: int = 1) -> bytes:
    """An RTU reply to `holding(count)`, every register the same."""
    return encode_rtu(Frame(unit_id, bytes((3, 2 * count)) + value.to_bytes(2, "big") * count))


def data(count: int, value: int = 1) -> bytes:
    """What a link makes of `reply`."""
    return value.to_bytes(2, "big") * count


def scripted(answers: Mapping[int, Iterable[tuple[float, bytes]]]) -> Callable[[bytes], Iterable[tuple[float, bytes]]]:
    """The script of a MemoryStream: what follows the first write (0), the second (1) and so on; else silence."""
    asked = iter(range(STEPS_MAX))
    return lambda _sent: answers.get(next(asked), ())


async def passing(clock: FakeClock, awaitable: Awaitable[T]) -> T:
    """The result of `awaitable`, with as much virtual time as it takes."""
    waiting = asyncio.ensure_future(awaitable)
    for _ in range(STEPS_MAX):
        await clock.advance(0.25)
        if waiting.done():
            return await waiting
    waiting.cancel()
    raise AssertionError("still waiting")
