"""Reads a stretch of registers, whatever a device lets through. Only reads.

A read is at most 125 registers. Exceptions 2 and 3 halve it, until single refused registers are left; so a hole in the
map costs its edges, not its neighbours. A read without an answer is repeated once, by another length so that its late
answer is not taken for this one's; two in a row without one end the probe, since the device, not the map, is at fault.
"""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TypeAlias

from gateway.errors import BadReply, DeviceError, DeviceException, NoReply
from gateway.protocols.modbus_pdu import READ_BITS_MAX, READ_REGISTERS_MAX, ReadRequest, Table, unpack_bits
from gateway.south.turns import Asks

NOT_HERE = (2, 3)  # exceptions: no such address, not so many
BUSY = (5, 6)
TRIES_MAX = 3  # of one read that is answered by "busy"
TABLES_OF_BITS = (Table.COIL, Table.DISCRETE)


@dataclass(frozen=True, slots=True)
class Words:
    """Registers (bits as 0 and 1) that were read."""

    address: int
    words: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """One address that the device refuses."""

    address: int
    exception: int


@dataclass(frozen=True, slots=True)
class Ended:
    """From here on nothing was read."""

    address: int
    cause: DeviceError


Step: TypeAlias = Words | Refused | Ended


async def read_stretch(
    asks: Asks, unit_id: int, table: Table, first: int, last: int, timeout_ms: float
) -> AsyncIterator[Step]:
    """Each address of first..last once, in rising order; raises LinkDown."""
    most = READ_BITS_MAX if table in TABLES_OF_BITS else READ_REGISTERS_MAX
    left = deque((at, min(most, last + 1 - at)) for at in range(first, last + 1, most))
    silences = busy = 0
    while left:
        address, count = left.popleft()
        try:
            reply = await asks.ask(unit_id, ReadRequest(table, address, count), timeout_ms)
        except DeviceException as refusal:
            silences = 0
            if refusal.exception in BUSY and busy < TRIES_MAX:
                busy += 1
                left.appendleft((address, count))
            elif refusal.exception in NOT_HERE and count > 1:
                _halve(left, address, count)
            else:
                busy = 0
                for at in range(address, address + count):
                    yield Refused(at, refusal.exception)
        except (NoReply, BadReply) as error:
            silences += 1
            if silences > 1:
                yield Ended(address, error)
                return
            _halve(left, address, count)
        else:
            silences = busy = 0
            yield Words(address, _words(table, reply.data, count))


def _halve(left: deque[tuple[int, int]], address: int, count: int) -> None:
    """The same again in two reads; of one that cannot be halved, just the same."""
    half = (count + 1) // 2
    if count > half:
        left.appendleft((address + half, count - half))
    left.appendleft((address, half))


def _words(table: Table, data: bytes, count: int) -> tuple[int, ...]:
    if table in TABLES_OF_BITS:
        return tuple(map(int, unpack_bits(data, count)))
    return tuple(int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2))
