"""gateway.ioc.recaller: commands down, outcomes and statuses up, what is not kept into the store."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

from gateway.errors import ConnectionLost, Refused, StoreBusy
from gateway.ioc.errand import Errand
from gateway.ioc.recaller import Recaller
from gateway.ioc.store.sqlite import SqliteStore
from gateway.model import BootMs, Gap, SeqRanges, UtcMs
from gateway.seams import Broker
from gateway.testing.broker import FakeBroker, Published
from gateway.testing.clock import FakeClock
from gateway.testing.worker import InlineWorker
from gateway.wire import command as wire_command
from gateway.wire import line_protocol
from gateway.wire.command import Outcome, Resent
from gateway.wire.topic import Topics
from tests.support.ioc import EPOCH, GATEWAY, ROOT, make_batch

TOPICS = Topics(ROOT, GATEWAY)
WANTED = SeqRanges.of([(3, 8)])
KEPT = SeqRanges.of([(5, 8)])
MINUTE_MS = 60_000


class Bench:
    """A recaller between a broker, a store, and a gateway in the hands of the test."""

    def __init__(self, store: SqliteStore) -> None:
        self.store, self.broker, self.clock = store, FakeBroker(), FakeClock()
        self.errand = Errand(GATEWAY, {EPOCH: WANTED}, {EPOCH: WANTED})
        self.told = 0
        self.ids = iter(range(1, 1000))
        self.failure: BaseException | None = None
        self.ended = False
        self.down = False  # the broker, once the gateway is there

    @asynccontextmanager
    async def running(self, lasts_ms: int = 30 * MINUTE_MS) -> AsyncIterator[None]:
        """The recall is on inside; the gateway listens."""
        gateway = await self.broker.connect(Broker("ioc", 8883, GATEWAY))
        await gateway.subscribe(TOPICS.command)
        self.broker.down = self.down
        until, expires = BootMs(self.clock.boot_ms() + lasts_ms), UtcMs(self.clock.utc_ms() + lasts_ms)
        recaller = Recaller(
            self.broker.connect,
            Broker("ioc", 8884, "operator-1"),
            ROOT,
            self.store,
            self.clock,
            lambda: f"r-{next(self.ids)}",
            self.tell,
        )

        async def run() -> None:
            try:
                await recaller.run([self.errand], until, expires)
            except (ConnectionLost, Refused) as error:
                self.failure = error
            self.ended = True

        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(run(), name="recall")
            await self.clock.advance(100)
            yield
            running.cancel()

    def over(self) -> bool:
        """The recall ended by itself."""
        return self.ended

    def tell(self, errands: Sequence[Errand]) -> None:
        """Counted."""
        assert list(errands) == [self.errand]
        self.told += 1

    async def status(self, *, online: bool = True, recalling: int = 0) -> None:
        """The gateway says how it is."""
        document: dict[str, object] = {"v": 1, "online": False, "boot": "b"}
        if online:
            document = {"v": 1, "gw": GATEWAY, "time": 1, "clock": "ntp", "online": True, "boot": "b", "version": "1"}
            document |= {"epochs": [], "recalling": recalling}
        await self.broker.publish(TOPICS.status, orjson.dumps(document))
        await self.clock.advance(1_000)

    async def answer(self, outcome: Outcome) -> None:
        """The gateway answers."""
        await self.broker.publish(TOPICS.outcome, wire_command.encode(outcome))
        await self.clock.advance(1_000)

    async def arrive(self, seqs: SeqRanges) -> None:
        """Ingest stores these."""
        await self.store.write([line_protocol.batch_point(make_batch(seq), 0) for seq in seqs.seqs()], "ns")
        await self.clock.advance(5_000)

    def asked(self) -> list[tuple[str, object]]:
        """(id, ranges) of every command."""
        commands = map(wire_command.decode, self.broker.payloads(TOPICS.command))
        return [(one.id, one.arguments["ranges"]) for one in commands]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """With an embedded store."""
    store = SqliteStore(tmp_path / "store.db", InlineWorker())
    yield Bench(store)
    await store.close()


def outcome(bench: Bench, not_kept: SeqRanges) -> Outcome:
    """To the last command."""
    return Outcome(bench.asked()[-1][0], ok=True, code="ok", resent=Resent(4, not_kept, len(not_kept)))


async def test_a_recall_from_command_to_ledger(bench: Bench) -> None:
    """W-92, W-96: asked once online, what is not kept is a gap record, what arrives ends it."""
    async with bench.running():
        await bench.clock.advance(5_000)
        assert bench.asked() == []
        await bench.status()
        ((_, ranges),) = bench.asked()
        assert ranges == [[3, 8]]
        await bench.answer(outcome(bench, SeqRanges.of([(3, 4)])))
        assert await bench.store.gaps(GATEWAY, EPOCH) == [Gap(EPOCH, 3, 4, None, None, None, "not_kept")]
        assert not bench.over()
        await bench.arrive(KEPT)
        await bench.clock.advance(10_000)
        assert bench.over()
    assert (bench.errand.back, bench.errand.lost, bench.errand.left) == (4, 2, 0)
    assert bench.told > 0
    assert len(bench.asked()) == 1
    assert "operator-1" not in bench.broker.connections


async def test_the_time_is_over(bench: Bench) -> None:
    """A gateway that stays away is not waited for for ever."""
    async with bench.running(lasts_ms=MINUTE_MS):
        await bench.status(online=False)
        await bench.clock.advance(MINUTE_MS + 5_000)
        assert bench.over()
    assert bench.asked() == []
    assert bench.errand.left == 6


async def test_a_broker_that_goes_is_met_again(bench: Bench) -> None:
    """And the gateway's retained status with it."""
    async with bench.running():
        bench.broker.cut("operator-1")
        bench.broker.down = True
        await bench.clock.advance(10_000)
        bench.broker.down = False
        await bench.clock.advance(5_000)
        await bench.status()
        assert len(bench.asked()) == 1


async def test_a_store_that_is_away_is_written_to_later(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not kept is not forgotten."""
    write, failures = bench.store.write, [StoreBusy("away"), StoreBusy("away")]

    async def busy(lines: Sequence[bytes], precision: str) -> None:
        if failures:
            raise failures.pop()
        await write(lines, precision)

    monkeypatch.setattr(bench.store, "write", busy)
    async with bench.running():
        await bench.status()
        await bench.answer(outcome(bench, SeqRanges.of([(3, 8)])))
        await bench.clock.advance(10_000)
    assert len(await bench.store.gaps(GATEWAY, EPOCH)) == 1


@pytest.mark.parametrize("payload", [b"\xff", b"{}", b'{"v":1,"id":"r-1","ok":true,"code":"ok","kept":"x"}'])
async def test_what_nobody_can_read_is_passed_over(bench: Bench, payload: bytes) -> None:
    """Outcomes and statuses are what a stranger sent."""
    async with bench.running():
        await bench.status()
        await bench.broker.publish(TOPICS.outcome, payload)
        await bench.broker.publish(TOPICS.status, payload)
        await bench.broker.publish(Topics(ROOT, "hc-0002").status, payload)
        await bench.clock.advance(1_000)
        assert not bench.over()
    assert bench.errand.left == 6


async def test_who_may_not_send_commands_is_told(bench: Bench) -> None:
    """A broker that refuses."""
    bench.broker.puback = refusing
    async with bench.running():
        await bench.status()
    assert isinstance(bench.failure, Refused)


async def test_no_connection_at_all(bench: Bench) -> None:
    """The first one is not tried for an hour: somebody sits before it."""
    bench.down = True
    async with bench.running():
        assert bench.over()
    assert isinstance(bench.failure, ConnectionLost)


refusing: Callable[[Published], int | None] = lambda one: 135 if one.topic == TOPICS.command else None  # noqa: E731
