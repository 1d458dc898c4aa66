"""Recalled batches on a connection: below fresh ones, over a lost connection, told in the status."""

from gateway.errors import SpoolFailed
from gateway.model import Batch, SeqRanges
from tests.support.backlog import EPOCH
from tests.support.uplink import UplinkBench


async def settled(bench: UplinkBench, count: int) -> list[Batch]:
    """So many batches, sent and settled."""
    made = [bench.backlog.append() for _ in range(count)]
    await bench.clock.advance(10)
    await bench.answer(*made)
    assert bench.backlog.pending == []
    return made


def recalled(bench: UplinkBench, count: int) -> list[Batch]:
    """What was sent after the first `count`."""
    return bench.sent()[count:]


async def test_what_is_asked_for_goes_again_as_it_was() -> None:
    """W-93, W-97: the same bytes; the status tells it while it lasts, at its begin and at its end."""
    bench = UplinkBench()
    async with bench.running():
        made = await settled(bench, 6)
        bench.uplink.resend(EPOCH, SeqRanges.of([(1, 6)]), SeqRanges())
        await bench.clock.advance(5_000)
        assert [batch.id.seq for batch in recalled(bench, 6)] == [1, 2, 3, 4]
        first, again = (
            bench.broker.payloads("city/hc-0001/up/data")[:1],
            bench.broker.payloads("city/hc-0001/up/data")[6:7],
        )
        assert first == again
        assert bench.statuses()[-1]["recalling"] == 6
        await bench.answer(*made)
        await bench.answer(*made)
        await bench.clock.advance(5_000)
        assert [batch.id.seq for batch in recalled(bench, 6)] == [1, 2, 3, 4, 5, 6]
        assert "recalling" not in bench.statuses()[-1]
    assert bench.backlog.pending == []


async def test_a_lost_connection_does_not_lose_what_was_asked_for() -> None:
    """It goes on with the next one."""
    bench = UplinkBench()
    async with bench.running():
        made = await settled(bench, 6)
        bench.uplink.resend(EPOCH, SeqRanges.of([(1, 6)]), SeqRanges())
        await bench.clock.advance(2_000)
        bench.broker.cut("hc-0001")
        await bench.clock.advance(30_000)
        assert bench.is_up()
        for _ in range(4):
            await bench.answer(*made)
            await bench.clock.advance(2_000)
        assert bench.uplink.status.recalling == 0
        assert {batch.id.seq for batch in recalled(bench, 6)} == {1, 2, 3, 4, 5, 6}


async def test_a_disk_that_fails_is_asked_again_later() -> None:
    """W-95: an error is not the answer that it is not kept."""
    bench = UplinkBench()
    async with bench.running():
        made = await settled(bench, 1)
        bench.backlog.failures.append(SpoolFailed("disk I/O error"))
        bench.uplink.resend(EPOCH, SeqRanges.of([(1, 1)]), SeqRanges())
        await bench.clock.advance(2_000)
        assert recalled(bench, 1) == []
        await bench.clock.advance(12_000)
        assert [batch.id for batch in recalled(bench, 1)] == [made[0].id]
