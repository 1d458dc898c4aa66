"""What a fault costs: how many reads, and how long until the bus, and the very read that was hit, work again.

    python -m tests.contract.recovery            # measures all, prints the table

The fault hits one read. Reads go round as on a bus: two lengths from one device, one from its neighbour; a read whose
shape is barred is left out, as the poller leaves it out. Times are in timeouts, from the hit request on, for a timeout
of 0.67 s or more: where a late reply is waited for, 3 timeouts of it are never less than 2 s.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from unittest import mock

from gateway.protocols.modbus_pdu import ReadRequest, Table
from tests.contract.bench import ALL, COUNT, LATE_NS, TIMEOUT_NS, Bench, cancelled_in_flight, plugged
from tests.contract.faults import faults_of
from tests.support.modbus_server import Answer, Asked, Fault

STATED = """
                      own tcp      | own rtu      | own rtu/tcp  | pymodbus tcp | pymodbus rtu
late                  1  1.6  1.7  | 1  1.6  1.7  | 1  1.6  1.7  | 1  1.2  4.2  | 1  1.2  4.2
late_exception        1  1.6  1.7  | 2  1.6  4.2  | 2  1.6  4.2  | 1  1.2  4.2  | 1  1.2  4.2
silent                1  1.1  4.2  | 1  1.1  4.2  | 1  1.1  4.2  | 1  1.2  4.2  | 1  1.2  4.2
truncated             2  1.2  4.2  | 1  1.1  4.2  | 1  1.1  4.2  | 1  1.2  4.2  | 1  1.2  4.2
rest_with_the_next    2  1.2  4.2  | 1  1.6  1.7  | 1  1.6  1.7  | 2  4.2  4.2  | 2  4.2  4.2
slow_bytes            0  0.6  0.6  | 0  0.6  0.6  | 0  0.6  0.6  | 0  0.6  0.6  | 0  0.6  0.6
too_slow_bytes        2  1.2  4.2  | 1  1.6  1.7  | 1  1.6  1.7  | 2  4.2  4.2  | 2  4.2  4.2
wrong_crc                          | 1  1.1  4.2  | 1  1.1  4.2  |              | 1  1.2  4.2
wrong_data_byte                    | 1  1.1  4.2  | 1  1.1  4.2  |              | 1  1.2  4.2
wrong_length_byte     1  0.1  4.2  | 1  1.1  4.2  | 1  1.1  4.2  | 1  0.2  4.2  | 1  1.2  4.2
wrong_mbap_length     3  0.3  4.2  |              |              | 1  0.2  4.2  |
miscounted            1  0.1  4.2  | 1  1.1  4.2  | 1  1.1  4.2  | 1  0.2  4.2  | 1  1.2  4.2
fewer_registers       1  0.1  4.2  | 1  1.1  4.2  | 1  1.1  4.2  | 1  0.2  4.2  | 1  0.2  4.2
more_registers        1  0.1  4.2  | 1  1.1  4.2  | 1  1.1  4.2  | 1  0.2  4.2  | 1  0.2  4.2
wrong_unit            1  0.1  4.2  | 1  1.1  4.2  | 1  1.1  4.2  | 1  1.2  4.2  | 1  1.2  4.2
wrong_function        1  0.1  4.2  | 1  1.1  4.2  | 1  1.1  4.2  | 1  0.2  4.2  | 1  0.2  4.2
wrong_transaction     1  1.1  4.2  |              |              | 1  1.2  4.2  |
garbage_before        2  0.2  4.2  | 0  0.1  0.1  | 0  0.1  0.1  | 1  1.2  4.2  | 1  1.2  4.2
unit_id_before        2  0.2  4.2  | 0  0.1  0.1  | 0  0.1  0.1  | 1  1.2  4.2  | 1  1.2  4.2
echo_before                        | 0  0.1  0.1  | 0  0.1  0.1  |              | 1  1.2  4.2
echo_only                          | 1  1.1  4.2  | 1  1.1  4.2  |              | 1  1.2  4.2
twice                 0  0.1  0.1  | 0  0.1  0.1  | 0  0.1  0.1  | 0  0.1  0.1  | 0  0.1  0.1
hang_up               1  0.2  4.2  |              | 1  0.2  4.2  | 1  0.2  4.2  |
cancel                0  1.1  1.2  | 0  1.1  1.2  | 0  1.1  1.2  | 0  1.1  4.2  | 0  1.1  4.2
"""
"""Reads lost, timeouts until the bus works, timeouts until the hit read does. `test_recovery` holds the links to it."""

NAME_WIDTH = 20
HIT = 4  # the request that meets the fault
READS_AFTER = 9
PACE_NS = 4_000_000
GIVEN_UP = 30.0  # timeouts
AT_ONCE = 6  # scenarios that run side by side
CANCEL = "cancel"


@dataclass(frozen=True)
class Cost:
    """Of one fault."""

    lost: int  # reads that were made and gave nothing
    bus: float  # timeouts until any read succeeded
    read: float  # timeouts until a read of the hit shape succeeded

    def within(self, other: "Cost") -> bool:
        """Whether nothing of it is more."""
        return self.lost <= other.lost and self.bus <= other.bus and self.read <= other.read


def stated() -> dict[str, dict[tuple[str, str], Cost]]:
    """STATED by fault and link."""
    rows = [line for line in STATED.splitlines()[2:] if line]
    return {
        row.split()[0]: {
            link: Cost(int(cell[0]), float(cell[1]), float(cell[2]))
            for link, cell in zip(ALL, (cell.split() for cell in row[NAME_WIDTH:].split("|")), strict=True)
            if cell
        }
        for row in rows
    }


async def measure(driver: str, transport: str, name: str) -> tuple[Cost, list[str]]:
    """The cost of a fault of `faults_of`, or of CANCEL, and the wrong values that came."""
    async with plugged(driver, transport) as bench:
        hit_ns: list[int] = []
        fault = _a_little_later if name == CANCEL else faults_of(transport)[name]
        bench.server.faults[HIT] = lambda asked: _stamped(bench, hit_ns, fault, asked)
        lost, answered = 0, dict[tuple[int, int], int]()
        for number, (unit_id, request) in enumerate(_reads()):
            if bench.guard.barred(unit_id, request) is None:
                failed = len(bench.failed)
                if name == CANCEL and number == HIT - 1:
                    await cancelled_in_flight(bench, unit_id, request)
                elif await bench.ask(unit_id, request) and hit_ns:
                    answered.setdefault((unit_id, request.count), bench.clock.boot_ns())
                lost += len(bench.failed) - failed
            if (number > HIT + READS_AFTER and (1, COUNT) in answered) or _waited(bench, hit_ns) > GIVEN_UP:
                break
            await bench.clock.wire_wait(bench.after(PACE_NS))
        times = [(at_ns - hit_ns[0]) / TIMEOUT_NS for at_ns in answered.values()]
        never = GIVEN_UP * TIMEOUT_NS + hit_ns[0]
        return Cost(lost, min(times), (answered.get((1, COUNT), never) - hit_ns[0]) / TIMEOUT_NS), bench.wrong


async def measure_all(driver: str, transport: str) -> dict[str, tuple[Cost, list[str]]]:
    """By name of the fault."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> tuple[Cost, list[str]]:
        async with room:
            return await measure(driver, transport, name)

    names = [*faults_of(transport), CANCEL]
    async with asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(one(name), name=name) for name in names}
    return {name: task.result() for name, task in tasks.items()}


def _reads() -> Iterator[tuple[int, ReadRequest]]:
    """Request HIT is the second of the hit shape (1, COUNT)."""
    for turn in count():
        yield 1, ReadRequest(Table.HOLDING, 100 + 16 * turn, COUNT)
        yield 1, ReadRequest(Table.HOLDING, 101 + 16 * turn, COUNT + 1)
        yield 2, ReadRequest(Table.HOLDING, 102 + 16 * turn, COUNT)


def _stamped(bench: Bench, hit_ns: list[int], fault: Fault, asked: Asked) -> list[Answer]:
    hit_ns.append(bench.clock.boot_ns())
    return list(fault(asked))


def _waited(bench: Bench, hit_ns: list[int]) -> float:
    return (bench.clock.boot_ns() - hit_ns[0]) / TIMEOUT_NS if hit_ns else 0.0


def _a_little_later(asked: Asked) -> list[Answer]:
    return [(0.3 * TIMEOUT_NS / 1e9, asked.good())]


def main() -> None:
    """Print the table."""
    with mock.patch("gateway.south.links.late.LATE_MIN_NS", LATE_NS):
        table = {link: asyncio.run(measure_all(*link)) for link in ALL}
    for name in dict.fromkeys(name for rows in table.values() for name in rows):
        cells = []
        for link in ALL:
            cost, wrong = table[link].get(name, (None, []))
            cell = "" if cost is None else f"{cost.lost}  {cost.bus:.1f}  {cost.read:.1f}"
            cells.append(f"{cell + ' WRONG' * bool(wrong):13}")
        print(f"{name:{NAME_WIDTH}} ", "| ".join(cells))


if __name__ == "__main__":
    main()
