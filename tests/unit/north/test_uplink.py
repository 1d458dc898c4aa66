"""The uplink: connects, serves, survives every loss, stops politely. On virtual time, with a broker in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from random import Random

import orjson
import pytest

from gateway.counters import Counters
from gateway.errors import PeerError, Refused, SpoolFailed
from gateway.model import Batch, BootMs, Event, SeqRanges, UtcMs
from gateway.north.uplink import Uplink
from gateway.seams import Broker
from gateway.site import UplinkSettings
from gateway.testing.broker import FakeBroker, FakeConnection
from gateway.testing.clock import FakeClock
from gateway.wire import batch as wire_batch
from gateway.wire import command as wire_command
from gateway.wire import receipt as wire_receipt
from gateway.wire.command import Command, Outcome
from gateway.wire.documents import Catalog, CatalogDevice, SouthStatus, SpoolStatus, Status, decode_status
from gateway.wire.topic import Topics
from tests.support.backlog import GATEWAY, MemoryBacklog, make_receipt

TOPICS = Topics("city", GATEWAY)
SERVERS = tuple(Broker(f"ioc-{n}", 8883, GATEWAY) for n in (1, 2))


@dataclass
class Bench:
    """An uplink with fakes on all sides, and an IOC that answers when told to."""

    backlog: MemoryBacklog = field(default_factory=MemoryBacklog)
    broker: FakeBroker = field(default_factory=FakeBroker)
    clock: FakeClock = field(default_factory=FakeClock)
    counters: Counters = field(default_factory=Counters)
    events: list[Event] = field(default_factory=list)
    nows: list[tuple[BootMs, BootMs, UtcMs]] = field(default_factory=list)
    devices_down: tuple[str, ...] = ()
    catalog: Catalog = field(default_factory=lambda: Catalog(GATEWAY, None, None, ()))
    uplink: Uplink = field(init=False)

    def __post_init__(self) -> None:
        """One uplink, two servers."""
        settings = UplinkSettings("ioc", SERVERS, "wired", 1_000, 60_000)
        self.uplink = Uplink(
            settings,
            TOPICS,
            self.broker.connect,
            self.backlog,
            self.clock,
            self.counters,
            Random(7),
            self.events.append,
            self.documents,
            lambda sent, arrived, now: self.nows.append((sent, arrived, now)),
            carry_out={"renew": self.renew},
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The uplink runs inside; it is stopped and over after."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.uplink.run(), name="uplink")
            await self.clock.advance(10)
            yield
            self.uplink.stop()
            await self.clock.advance(4_000)

    def documents(self) -> tuple[Status, Catalog]:
        """As app would make them."""
        spool = SpoolStatus("k3v9x2", (), len(self.backlog.pending), None, 0, 0)
        south = SouthStatus((), self.devices_down)
        utc = self.clock.utc_ms()
        return Status(GATEWAY, "1", "b00t", utc, "ntp", True, south, spool, self.uplink.status), self.catalog

    async def renew(self, command: Command) -> Outcome:
        """A command that can be carried out."""
        return Outcome(command.id, ok=True, code="done")

    @property
    def connection(self) -> FakeConnection:
        """The one that is up."""
        return self.broker.connections[GATEWAY]

    def is_up(self) -> bool:
        """As the status tells."""
        return self.uplink.status.connected

    def sent(self) -> list[Batch]:
        """All batches that reached the broker."""
        return [wire_batch.decode(payload) for payload in self.broker.payloads(TOPICS.data)]

    def statuses(self) -> list[dict[str, object]]:
        """All statuses, the will included."""
        return [decode_status(payload) for payload in self.broker.payloads(TOPICS.status)]

    def codes(self) -> list[str]:
        """Of all events."""
        return [event.code for event in self.events]

    async def answer(self, *batches: Batch) -> None:
        """The IOC stored these."""
        await self.broker.publish(TOPICS.receipt, wire_receipt.encode(make_receipt(*batches)))
        await self.clock.advance(10)


async def test_a_batch_goes_up_and_is_settled_by_its_receipt() -> None:
    """The whole way: append, publish, receipt, settle, ack; the IOC's now is handed on."""
    bench = Bench()
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


async def test_status_and_catalog_are_retained_at_once_and_again_when_they_change() -> None:
    """And the status every interval, whatever happens."""
    bench = Bench()
    async with bench.running():
        assert set(bench.broker.retained) == {TOPICS.status, TOPICS.catalog}
        assert len(bench.statuses()) == 1
        await bench.clock.advance(30_000)
        assert len(bench.statuses()) == 1
        bench.devices_down = ("meter-1",)
        await bench.clock.advance(3_000)
        assert len(bench.statuses()) == 2
        await bench.clock.advance(62_000)
        assert len(bench.statuses()) == 3
        assert len(bench.broker.payloads(TOPICS.catalog)) == 1
        bench.catalog = Catalog(GATEWAY, {"scheme": "gso-2025", "code": "20242", "name": "Hải Châu"}, None, ())
        await bench.clock.advance(3_000)
        assert len(bench.broker.payloads(TOPICS.catalog)) == 2


async def test_a_lost_connection_is_told_and_replaced_and_nothing_is_lost() -> None:
    """What was out goes again at once on the next connection; the will told the IOC meanwhile."""
    bench = Bench()
    async with bench.running():
        batches = [bench.backlog.append() for _ in range(3)]
        await bench.clock.advance(10)
        bench.broker.cut(GATEWAY)
        await bench.clock.advance(1)
        assert bench.statuses()[-1]["online"] is False
        assert not bench.is_up()
        await bench.clock.advance(3_000)
        assert bench.is_up()
        assert bench.statuses()[-1]["online"] is True
        assert [batch.id.seq for batch in bench.sent()] == [1, 2, 3, 1, 2, 3]
        await bench.answer(*batches)
        assert bench.backlog.pending == []
        # One event per code and minute: the second uplink_up is in the status only.
        assert [code for code in bench.codes() if code.startswith("uplink")] == ["uplink_up", "uplink_down"]


async def test_servers_are_tried_in_turn_with_growing_waits() -> None:
    """Down for an hour: both doors, at most 60 s apart, never in step with a clock."""
    bench = Bench()
    bench.broker.down = True
    async with bench.running():
        await bench.clock.advance(3_600_000)
        hosts = [broker.host for broker in bench.broker.connects]
        assert hosts[:4] == ["ioc-1", "ioc-2", "ioc-1", "ioc-2"]
        assert 80 < len(hosts) < 300
        bench.broker.down = False
        await bench.clock.advance(61_000)
        assert bench.is_up()


async def test_a_refusal_is_told_with_its_reason_and_tried_again() -> None:
    """Bad certificate, banned, not authorised: the technician reads why in the status."""
    bench = Bench()
    bench.broker.refusals.append(Refused(135, "Not authorized"))
    async with bench.running():
        assert bench.uplink.status.refusal == "Not authorized (135)"
        assert bench.codes() == ["uplink_refused"]
        await bench.clock.advance(3_000)
        assert bench.is_up()
        assert bench.uplink.status.refusal == ""


async def test_it_moves_back_to_the_first_server_without_a_break() -> None:
    """After 10 minutes on the second one it looks for the first beside the running session, then moves."""
    bench = Bench()
    bench.broker.refusals.append(Refused(136, "Server unavailable"))
    async with bench.running():
        await bench.clock.advance(3_000)
        assert bench.uplink.status.server == "ioc-2:8883"
        bench.broker.refusals.append(Refused(136, "Server unavailable"))
        await bench.clock.advance(600_000)
        assert bench.uplink.status.server == "ioc-2:8883"
        await bench.clock.advance(601_000)
        assert bench.uplink.status.server == "ioc-1:8883"
        assert bench.is_up()
        batch = bench.backlog.append()
        await bench.clock.advance(10)
        await bench.answer(batch)
        assert bench.backlog.pending == []


async def test_two_takeovers_in_a_minute_are_an_alarm() -> None:
    """Somebody else has our identity; one takeover alone is our own late connection."""
    bench = Bench()
    async with bench.running():
        bench.broker.cut(GATEWAY, 0x8E)
        await bench.clock.advance(5_000)
        assert bench.uplink.alarms == frozenset()
        bench.broker.cut(GATEWAY, 0x8E)
        await bench.clock.advance(5_000)
        assert "identity_used_twice" in bench.codes()
        assert bench.uplink.alarms == {"identity_used_twice"}
        await bench.clock.advance(700_000)
        assert bench.uplink.alarms == frozenset()


async def test_stop_sends_what_is_pending_says_offline_and_disconnects() -> None:
    """Receipts are awaited for 2 s; the last status is retained; no will."""
    bench = Bench()
    connection: FakeConnection
    async with bench.running():
        connection = bench.connection
        batch = bench.backlog.append()
        bench.uplink.stop()
        await bench.clock.advance(500)
        assert bench.sent() != []
        assert bench.is_up()
        await bench.answer(batch)
        await bench.clock.advance(100)
        assert connection.closed_with == 0
    assert bench.backlog.pending == []
    assert bench.statuses()[-1]["online"] is False
    assert bench.statuses()[-1]["version"] == "1"  # a whole status, not the will


async def test_stop_is_bounded_when_nobody_answers() -> None:
    """Neither a silent IOC nor a silent broker holds it up for more than 3 s."""
    bench = Bench()
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(bench.uplink.run(), name="uplink")
        await bench.clock.advance(10)
        connection = bench.connection
        bench.broker.hold_pubacks = True
        bench.backlog.append()
        await bench.clock.advance(10)
        bench.uplink.stop()
        await bench.clock.advance(2_900)
        assert not run.done()
        await bench.clock.advance(200)
        assert run.done()
        assert connection.closed_with == 0


async def test_stop_while_the_servers_are_down_is_at_once() -> None:
    """It does not wait for the next try."""
    bench = Bench()
    bench.broker.down = True
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(bench.uplink.run(), name="uplink")
        await bench.clock.advance(60_000)
        bench.uplink.stop()
        await bench.clock.advance(1)
        assert run.done()


async def test_a_cancelled_uplink_leaves_its_will() -> None:
    """Cancelled is not stopped: the IOC is told that it is offline."""
    bench = Bench()
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(bench.uplink.run(), name="uplink")
        await bench.clock.advance(10)
        connection = bench.connection
        run.cancel()
    assert connection.closed_with == 4
    assert bench.statuses()[-1] == {"v": 1, "online": False, "boot": "b00t"}


async def test_a_server_that_never_acknowledges_is_left() -> None:
    """120 s with publishes out and no PUBACK: another connection."""
    bench = Bench()
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
    bench = Bench()
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
    bench = Bench()
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


@pytest.mark.parametrize("topic", [TOPICS.receipt, TOPICS.command])
async def test_what_cannot_be_read_is_counted_and_acked(topic: str) -> None:
    """A stranger's bytes neither end the session nor block what comes after."""
    bench = Bench()
    async with bench.running():
        await bench.broker.publish(topic, b"\xff not json")
        await bench.clock.advance(10)
        assert bench.counters.total("north_malformed") == 1
        assert len(bench.connection.acked) == 1
        assert bench.is_up()


async def test_a_receipt_for_what_is_not_out_is_counted() -> None:
    """Twice the same receipt: once settled, once counted."""
    bench = Bench()
    async with bench.running():
        batch = bench.backlog.append()
        await bench.clock.advance(10)
        await bench.answer(batch)
        await bench.answer(batch)
        assert bench.backlog.settled == SeqRanges.of_seqs([1])
        assert bench.counters.get("receipts_not_in_flight") == 1


async def test_a_refused_batch_ends_up_parked_on_disk() -> None:
    """Four refusals: the spool is told to park it."""
    bench = Bench()
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
    bench = Bench()
    bench.backlog.failures += [SpoolFailed(), SpoolFailed(), SpoolFailed()]
    bench.backlog.append()
    async with bench.running():
        await bench.clock.advance(31_000)
        assert {batch.id.seq for batch in bench.sent()} == {1}
        assert bench.counters.get("north_disk_retries", code="spool_failed") == 3


async def test_a_document_that_is_too_large_is_told_and_does_not_cost_the_connection() -> None:
    """A server with small packets would hang up on the catalog, for ever."""
    bench = Bench()
    bench.broker.maximum_packet_bytes = 1_000
    devices = tuple(CatalogDevice(f"meter-{n}", "rs485-1", "energy_meter", "a/b@1", (), ()) for n in range(20))
    bench.catalog = Catalog(GATEWAY, None, None, devices)
    async with bench.running():
        await bench.clock.advance(60_000)
        assert len(bench.broker.connects) == 1
        assert bench.codes() == ["uplink_up", "document_refused"]
        assert TOPICS.catalog not in bench.broker.retained


async def test_nobody_stores_is_an_alarm_until_a_receipt_comes() -> None:
    """PUBACK 16: the broker is there, the ingest is not."""
    bench = Bench()
    async with bench.running():
        batch = bench.backlog.append()
        await bench.clock.advance(10)
        assert bench.uplink.alarms == {"nobody_stores"}
        await bench.answer(batch)
        assert bench.uplink.alarms == frozenset()
        assert bench.codes() == ["uplink_up", "nobody_stores", "receipts_again"]


def test_what_is_not_built_is_refused() -> None:
    """A `settle = "puback"` is not silently treated as "receipt"."""
    with pytest.raises(ValueError, match="not built"):
        Uplink(
            UplinkSettings("x", SERVERS, "wired", 1, 1, settle="puback"),
            TOPICS,
            FakeBroker().connect,
            MemoryBacklog(),
            FakeClock(),
            Counters(),
            Random(1),
            print,
            lambda: (_ for _ in ()).throw(PeerError()),
            print,
        )
