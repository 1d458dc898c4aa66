"""P8 where it is hardest: several replies late in a row, from a device or a converter that queues what it is asked."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest

from gateway.protocols.modbus_pdu import ReadRequest, Request, Table, encode_exception
from tests.contract.bench import (
    ALL,
    COUNT,
    EVERY_LINK,
    PATIENT_NS,
    TIMEOUT_S,
    Bench,
    plugged,
)
from tests.contract.faults import late_by, under_the_newest_transaction
from tests.support.modbus_server import Answer, Asked, Fault

LATE_BY = (1.5, 2.2, 2.5, 3.5)  # timeouts, each, one after the other
READS = 200
LAST = 50  # of them, which have to be good again
PLAIN_BITS = [pytest.param(9, 10, id="9-10"), pytest.param(10, 9, id="10-9")]


async def three_late_then_reads(driver: str, transport: str, queues: str, fault: Fault) -> Bench:
    """Requests 4, 5 and 6 meet the fault; then 200 reads back to back, of as many shapes as bars leave free."""
    async with plugged(driver, transport) as bench:
        bench.server.queues = queues
        bench.server.faults |= dict.fromkeys((4, 5, 6), fault)
        while len(bench.server.asked) < 6:
            await _read(bench, len(bench.server.asked))
        for at in range(READS - LAST):
            await _read(bench, at)
        failed = len(bench.failed)
        for at in range(LAST):
            await _read(bench, at)
        assert bench.wrong == []
        assert len(bench.failed) - failed <= 2  # a busy machine may miss one
        return bench


async def _read(bench: Bench, at: int) -> bool:
    """One after the other, of four lengths; every fourth from the neighbour."""
    unit_id, count = (2, COUNT) if at % 4 == 3 else (1, COUNT + at % 4)
    return await bench.ask_when_free(unit_id, ReadRequest(Table.HOLDING, 100 + 4 * at, count))


async def at_once(*scenarios: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """They only wait, so they wait together."""
    async with asyncio.TaskGroup() as group:
        for number, scenario in enumerate(scenarios):
            group.create_task(scenario(), name=f"scenario {number}")


@EVERY_LINK
async def test_three_late_replies_of_a_slave_that_queues(driver: str, transport: str) -> None:
    """Late by 1.5 to 3.5 timeouts each, on top of each other; then 200 reads, not one of them wrong, the last good."""
    await at_once(*(partial(three_late_then_reads, driver, transport, "unit", late_by(by)) for by in LATE_BY))


@EVERY_LINK
async def test_three_late_replies_that_are_overtaken(driver: str, transport: str) -> None:
    """The same from something that answers the next request first."""
    await at_once(*(partial(three_late_then_reads, driver, transport, "none", late_by(by)) for by in LATE_BY))


@pytest.mark.parametrize(("driver", "transport"), [link for link in ALL if link[1] != "rtu"])
async def test_three_late_replies_behind_a_converter(driver: str, transport: str) -> None:
    """One queue for all of its devices; on TCP each reply has the right transaction."""
    await at_once(*(partial(three_late_then_reads, driver, transport, "shared", late_by(by)) for by in LATE_BY))


@pytest.mark.parametrize("driver", ["own", "pymodbus"])
@pytest.mark.parametrize("queues", ["unit", "shared"])
async def test_three_late_replies_under_the_newest_transaction(driver: str, queues: str) -> None:
    """A converter that gives whatever its line brings to whoever asked last."""

    async def scenario(by: float) -> None:
        async with plugged(driver, "tcp") as bench:
            bench.server.queues = queues
            bench.server.every = under_the_newest_transaction(bench.server, 0)
            bench.server.faults |= dict.fromkeys((4, 5, 6), under_the_newest_transaction(bench.server, by))
            for at in range(READS):
                await _read(bench, at)
            await bench.recover()
            assert bench.wrong == []

    await at_once(*(partial(scenario, by) for by in LATE_BY))


@EVERY_LINK
async def test_late_exceptions_in_a_row_are_nobodys(driver: str, transport: str) -> None:
    """Three of them, from a slave that queues: no read takes one for its own, and all are good again."""
    async with plugged(driver, transport) as bench:
        busy = encode_exception(3, 6)
        bench.server.faults |= dict.fromkeys((4, 5, 6), lambda asked: [(1.5 * TIMEOUT_S, asked.wire(busy))])
        for at in range(60):
            await _read(bench, at)
        await bench.recover()
        assert bench.wrong == []
        assert "device_exception" not in bench.failed


@EVERY_LINK
async def test_a_device_that_is_always_late_makes_no_wrong_value(driver: str, transport: str) -> None:
    """27 reads on a bus with a device slower than its timeout; its neighbour is heard."""
    async with plugged(driver, transport) as bench:
        late = late_by(1.5)
        bench.server.every = lambda asked: late(asked) if asked.frame.unit_id == 1 else [(0, asked.good())]
        await bench.poll(9)
        assert bench.wrong == []
        assert await bench.ask(2, ReadRequest(Table.INPUT, 1, 1), PATIENT_NS)


@EVERY_LINK
@pytest.mark.parametrize(("first", "second"), PLAIN_BITS)
async def test_coils_of_9_and_10_bits_have_one_length(driver: str, transport: str, first: int, second: int) -> None:
    """Both take two bytes: the late reply to one is not the other's."""
    async with plugged(driver, transport) as bench:
        bench.server.faults[1] = late_by(1.5)
        reads: list[Request] = [ReadRequest(Table.COIL, 3, first), ReadRequest(Table.COIL, 40, second)]
        assert not await bench.ask(1, reads[0])
        for at in range(20):
            await bench.ask(1, reads[(at + 1) % 2])
        assert await bench.ask_when_free(1, reads[1], PATIENT_NS)
        assert bench.wrong == []


@EVERY_LINK
async def test_a_late_reply_and_the_next_in_one_segment(driver: str, transport: str) -> None:
    """Both stand in the same bytes; the second is the answer."""
    async with plugged(driver, transport) as bench:
        kept: list[bytes] = []

        def keep(asked: Asked) -> list[Answer]:
            kept.append(asked.good())
            return []

        bench.server.faults |= {1: keep, 2: lambda asked: [(0, kept[0] + asked.good())]}
        assert not await bench.ask(1, ReadRequest(Table.HOLDING, 7, COUNT))
        await bench.ask_when_free(1, ReadRequest(Table.HOLDING, 90, COUNT + 1))
        await bench.recover()
        assert bench.wrong == []


@pytest.mark.parametrize(("driver", "transport"), [link for link in ALL if link[1] != "tcp"])
async def test_without_the_guard_a_late_reply_is_believed(driver: str, transport: str) -> None:
    """What the suite is worth: the same polls over the bare link do take a late reply for the next one's."""
    async with plugged(driver, transport) as bench:
        bench.server.faults[1] = late_by(1.5)
        assert not await bench.ask(1, ReadRequest(Table.HOLDING, 1, COUNT), bare=True)
        assert await bench.ask(1, ReadRequest(Table.HOLDING, 50, COUNT), PATIENT_NS, bare=True)
        assert len(bench.wrong) == 1
