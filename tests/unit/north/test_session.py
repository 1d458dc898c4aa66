"""One connection's life: effects done, messages taken."""

from dataclasses import replace

import orjson
import pytest

from gateway.errors import SpoolFailed
from gateway.model import SeqRanges, UtcMs
from gateway.wire import command as wire_command
from gateway.wire import receipt as wire_receipt
from gateway.wire.command import Command
from tests.support.backlog import GATEWAY, make_receipt
from tests.support.uplink import TOPICS, UplinkBench


async def test_a_batch_goes_up_and_is_settled_by_its_receipt() -> None:
    """The whole way: append, publish, receipt, settle, ack; the IOC's now is handed on."""
    bench = UplinkBench()
    async with bench.running():
        batch = bench.backlog.append()
        await bench.clock.advance(10)
        assert bench.sent() == [replace(batch, order=0)]
        assert bench.backlog.out == {batch.id}
        assert bench.backlog.pending == [1]
        await bench.answer(batch)
        assert bench.backlog.pending == []
        assert bench.backlog.out == frozenset()
        assert [message.topic for message in bench.connection.acked] == [TOPICS.receipt]
        assert bench.nows == [(60_010, 60_020, make_receipt().now)]
        assert bench.uplink.status.last_receipt_ms == bench.clock.utc_ms() - 10
        assert bench.uplink.status.in_flight == 0


async def test_a_server_that_never_acknowledges_is_left() -> None:
    """120 s with publishes out and no PUBACK: another connection."""
    bench = UplinkBench()
    async with bench.running():
        bench.broker.hold_pubacks = True
        bench.backlog.append()
        await bench.clock.advance(119_000)
        assert len(bench.broker.connects) == 1
        bench.broker.hold_pubacks = False
        await bench.clock.advance(5_000)
        assert len(bench.broker.connects) == 2
        assert bench.sent() != []


async def test_publishes_never_exceed_the_servers_receive_maximum() -> None:
    """A backlog of 50 against a server that takes 3 at a time, status included."""
    bench = UplinkBench()
    bench.broker.receive_maximum = 3
    for _ in range(50):
        bench.backlog.append()
    async with bench.running():
        for _ in range(20):
            await bench.answer(*[batch for batch in bench.backlog.batches if batch.id in bench.backlog.out])
        assert bench.backlog.pending == []
        assert bench.connection.in_flight_max == 3


async def test_every_command_is_answered() -> None:
    """Known, unknown, expired, repeated: an outcome each."""
    bench = UplinkBench()
    now = bench.clock.utc_ms()
    async with bench.running():
        for name, id_, expires in (
            ("renew", "c-1", now + 60_000),
            ("renew", "c-1", now + 60_000),
            ("renew", "c-2", now - 1),
            ("dance", "c-3", now + 60_000),
        ):
            await bench.broker.publish(
                TOPICS.command, wire_command.encode_command(Command(id_, UtcMs(expires), name, {}))
            )
            await bench.clock.advance(10)
        outcomes = [orjson.loads(payload) for payload in bench.broker.payloads(TOPICS.outcome)]
        assert [(outcome["id"], outcome["ok"], outcome["code"]) for outcome in outcomes] == [
            ("c-1", True, "done"),
            ("c-1", False, "repeated"),
            ("c-2", False, "expired"),
            ("c-3", False, "unknown_command"),
        ]


async def test_a_command_outlives_its_connection() -> None:
    """Cut while it is carried out: it goes on, receipts are not held up by it, and the next connection hears of it."""
    bench = UplinkBench()
    async with bench.running():
        bench.hold.clear()
        asked = Command("c-1", UtcMs(bench.clock.utc_ms() + 60_000), "renew", {})
        await bench.broker.publish(TOPICS.command, wire_command.encode_command(asked))
        batch = bench.backlog.append()
        await bench.clock.advance(10)
        await bench.answer(batch)
        assert bench.backlog.pending == []
        bench.broker.cut(GATEWAY)
        await bench.clock.advance(10)
        bench.hold.set()
        await bench.clock.advance(60_000)
        assert len(bench.broker.connects) > 1
        (payload,) = bench.broker.payloads(TOPICS.outcome)
        assert wire_command.decode_outcome(payload).code == "done"


@pytest.mark.parametrize("topic", [TOPICS.receipt, TOPICS.command])
async def test_what_cannot_be_read_is_counted_and_acked(topic: str) -> None:
    """A stranger's bytes neither end the session nor block what comes after."""
    bench = UplinkBench()
    async with bench.running():
        await bench.broker.publish(topic, b"\xff not json")
        await bench.clock.advance(10)
        assert bench.counters.total("north_malformed") == 1
        assert len(bench.connection.acked) == 1
        assert bench.is_up()


async def test_a_receipt_for_what_is_not_out_is_counted() -> None:
    """Twice the same receipt: once settled, once counted."""
    bench = UplinkBench()
    async with bench.running():
        batch = bench.backlog.append()
        await bench.clock.advance(10)
        await bench.answer(batch)
        await bench.answer(batch)
        assert bench.backlog.settled == SeqRanges.of_seqs([1])
        assert bench.counters.get("receipts_not_in_flight") == 1


async def test_a_refused_batch_ends_up_parked_on_disk() -> None:
    """Four refusals: the spool is told to park it."""
    bench = UplinkBench()
    async with bench.running():
        batch = bench.backlog.append()
        await bench.clock.advance(10)
        refusal = wire_receipt.encode(make_receipt(refused=((1, "schema"),)))
        for _ in range(4):
            await bench.broker.publish(TOPICS.receipt, refusal)
            await bench.clock.advance(10)
        assert bench.backlog.parked == {batch.id: "refused:schema"}
        assert len(bench.sent()) == 4
        assert "batch_parked" in bench.codes()


async def test_a_disk_that_fails_is_asked_again() -> None:
    """A read that raises SpoolError neither ends the session nor loses a batch."""
    bench = UplinkBench()
    bench.backlog.failures += [SpoolFailed(), SpoolFailed(), SpoolFailed()]
    bench.backlog.append()
    async with bench.running():
        await bench.clock.advance(31_000)
        assert {batch.id.seq for batch in bench.sent()} == {1}
        assert bench.counters.get("north_disk_retries", code="spool_failed") == 3


async def test_nobody_stores_is_an_alarm_until_a_receipt_comes() -> None:
    """PUBACK 16: the broker is there, the ingest is not."""
    bench = UplinkBench()
    async with bench.running():
        batch = bench.backlog.append()
        await bench.clock.advance(10)
        assert bench.uplink.alarms == {"nobody_stores"}
        await bench.answer(batch)
        assert bench.uplink.alarms == frozenset()
        assert bench.codes() == ["uplink_up", "nobody_stores", "receipts_again"]


async def test_a_broker_whose_quota_is_exceeded_for_a_while() -> None:
    """PUBACK 151 for every batch: an alarm, nothing parked, nothing settled; then it takes them, and all arrive."""
    bench = UplinkBench()
    bench.broker.puback = lambda message: 151 if message.topic == TOPICS.data else None
    async with bench.running():
        batches = [bench.backlog.append() for _ in range(5)]
        await bench.clock.advance(60_000)
        assert "publish_refused" in bench.uplink.alarms
        assert bench.backlog.pending == [1, 2, 3, 4, 5]
        assert bench.backlog.parked == {}
        bench.broker.puback = lambda _: None
        await bench.clock.advance(400_000)
        await bench.answer(*batches)
        assert bench.backlog.pending == []
        assert bench.uplink.alarms == frozenset()
