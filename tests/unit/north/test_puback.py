"""`settle = "puback"`, and uplinks of plain messages, through the whole of north."""

import asyncio
from dataclasses import replace

import pytest

from gateway.model import BootMs, Row, SeqRanges, UtcMs
from gateway.north import puback
from gateway.north.effects import Complain
from gateway.testing.broker import FakeBroker, Published
from gateway.wire import receipt as wire_receipt
from tests.support.backlog import EPOCH, MemoryBacklog, make_batch, make_receipt
from tests.support.ioc import make_batch as full_batch
from tests.support.ioc import row
from tests.support.uplink import IOC, SERVERS, TOPICS, UplinkBench

OTHER = replace(IOC, name="telegraf", settle="puback")
PLAIN = replace(OTHER, format="json", topic="{root}/{gateway}/{device}")


@pytest.mark.parametrize(("reason", "settles"), [(0, True), (15, True), (16, False), (128, False), (151, False)])
def test_which_reasons_settle(reason: int, settles: bool) -> None:
    """Success does; nobody subscribes, and a refusal, do not."""
    assert puback.settles(reason) is settles


def test_a_receipt_made_up_names_the_content() -> None:
    """With the batch's own crc: what is in the window under this id is what was acknowledged."""
    batch = make_batch(4)
    assert puback.receipt(batch, UtcMs(9)).stored == ((4, batch.crc),)


def test_words_that_fit() -> None:
    """Nobody is told of missing receipts where none are sent."""
    assert puback.said(Complain("no_receipts")) is None
    assert puback.said(Complain("receipts_again", "no_receipts")) == Complain("taken_again")
    assert puback.said(Complain("batch_parked", (3, "unanswered"))) == Complain("batch_parked", (3, "unanswered"))
    held = frozenset({"no_receipts", "nobody_stores", "publish_refused"})
    assert puback.alarms(held) == {"nobody_subscribes", "publish_refused"}


async def listening(bench: UplinkBench, *topics: str) -> None:
    """Somebody subscribes to these."""
    reader = await bench.broker.connect(replace(SERVERS[0], client_id="reader"))
    for topic in topics:
        await reader.subscribe(topic)


async def test_a_puback_settles_where_that_is_asked_for() -> None:
    """Batches to somebody without receipts: settled by reason 0, no time of day is taken from it, status says so."""
    bench = UplinkBench(settings=OTHER)
    await listening(bench, TOPICS.data)
    bench.backlog.append()
    async with bench.running():
        await bench.clock.advance(100)
        assert bench.backlog.settled == SeqRanges.of_seqs([1])
        assert bench.uplink.status.settle == "puback"
    assert len(bench.sent()) == 1
    assert bench.nows == []


async def test_nobody_subscribes() -> None:
    """Reason 16 settles nothing: one alarm in fitting words, no flood, and all goes once somebody listens."""
    bench = UplinkBench(settings=OTHER)
    for _ in range(40):
        bench.backlog.append()
    async with bench.running():
        await bench.clock.advance(120_000)
        assert bench.backlog.settled == SeqRanges()
        assert bench.uplink.alarms == {"nobody_subscribes"}
        assert len(bench.sent()) < 20 + 120 / 10
        assert bench.backlog.parked == {}, "it is nobody's fault but the silence's"
        await listening(bench, TOPICS.data)
        await bench.clock.advance(400_000)
        assert bench.backlog.pending == []
        assert bench.uplink.alarms == frozenset()
    assert "taken_again" in bench.codes()
    assert not {"no_receipts", "receipts_again", "nobody_stores"} & set(bench.codes())


async def test_a_receipt_that_comes_all_the_same_counts() -> None:
    """The centre may start its ingest before anybody changes the file."""
    bench = UplinkBench(settings=OTHER)
    batch = bench.backlog.append()
    async with bench.running():
        await bench.clock.advance(100)
        await bench.broker.publish(TOPICS.receipt, wire_receipt.encode(make_receipt(batch)))
        await bench.clock.advance(100)
        assert bench.backlog.pending == []
    assert bench.nows == []


def filled(*items: list[Row]) -> MemoryBacklog:
    """Batches of these rows."""
    batches = [replace(full_batch(seq, rows), order=seq) for seq, rows in enumerate(items, 1)]
    assert all(batch.id.epoch == EPOCH for batch in batches)
    return MemoryBacklog(batches)


async def test_plain_messages_and_nothing_else() -> None:
    """No status, no catalog, no will, no subscription, QoS 1, not retained; settled when all were acknowledged."""
    bench = UplinkBench(settings=PLAIN, backlog=filled([row(0), row(1000)], [row(2000)]))
    await listening(bench, "city/hc-0001/meter-1")
    async with bench.running():
        await bench.clock.advance(5_000)
        assert bench.backlog.pending == []
        assert bench.connection.will is None
        assert bench.connection.filters == set()
    assert {(message.topic, message.qos, message.retain) for message in bench.broker.published} == {
        ("city/hc-0001/meter-1", 1, False)
    }
    assert len(bench.broker.published) == 3
    assert bench.counters.get("uplink_failures") == 0


async def test_a_batch_is_settled_by_its_worst_message() -> None:
    """One of three is refused: the others go, the batch is sent again whole, the same bytes, and then settles."""
    bench = UplinkBench(settings=PLAIN, backlog=filled([row(0), row(1000), row(2000)]))
    await listening(bench, "#")

    def second(_: Published) -> int | None:
        return 151 if len(bench.broker.published) == 2 else None

    bench.broker.puback = second
    async with bench.running():
        await bench.clock.advance(5_000)
        assert bench.backlog.pending == [1]
        assert bench.uplink.alarms == {"publish_refused"}
        await bench.clock.advance(30_000)
        assert bench.backlog.pending == []
    payloads = [message.payload for message in bench.broker.published]
    assert len(payloads) == 6
    assert sorted(payloads[:3]) == sorted(payloads[3:])


async def test_a_slow_one_holds_a_bounded_number() -> None:
    """No PUBACK comes: 2 batches of 10 messages are out, the rest waits on the disk."""
    bench = UplinkBench(settings=PLAIN, backlog=filled(*[[row(at) for at in range(50)] for _ in range(30)]))
    bench.broker.receive_maximum = 1000
    bench.broker.hold_pubacks = True
    async with bench.running():
        await bench.clock.advance(60_000)
        assert bench.connection.in_flight_max == 20
        assert len(bench.backlog.out) == 2


async def test_messages_that_no_packet_holds_are_told() -> None:
    """A server of small packets: an alarm, nothing settled, nothing lost."""
    bench = UplinkBench(settings=PLAIN, backlog=filled([row(0)]), broker=FakeBroker(maximum_packet_bytes=100))
    async with bench.running():
        await bench.clock.advance(5_000)
        assert bench.uplink.alarms == {"publish_refused"}
        assert bench.backlog.pending == [1]
    assert bench.broker.published == []


async def test_a_body_that_is_none_is_counted() -> None:
    """Never the end of the uplink: it is refused as a broker would, and waits."""
    bad = replace(make_batch(1), n=3)
    bench = UplinkBench(settings=PLAIN, backlog=MemoryBacklog([bad, replace(full_batch(2, [row(0)]), order=2)]))
    await listening(bench, "#")
    async with bench.running():
        await bench.clock.advance(5_000)
        assert bench.backlog.pending == [1]
    assert bench.counters.total("north_malformed") >= 1


async def test_what_is_pending_may_go_when_told_to_stop() -> None:
    """Within 2 s, and without a word more."""
    bench = UplinkBench(settings=PLAIN, backlog=filled([row(0)]))
    await listening(bench, "#")
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(bench.uplink.run(), name="uplink")
        await bench.clock.advance(10)
        connection = bench.connection
        bench.uplink.stop()
        await bench.clock.advance(4_000)
        assert run.done()
    assert bench.backlog.pending == []
    assert connection.closed_with == 0
    assert BootMs(0) < bench.clock.boot_ms()
