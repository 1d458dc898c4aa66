"""gateway.app.collect: however the daemon ends, what was read is written first."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from gateway.app import push
from gateway.app.collect import Collector
from gateway.app.inbox import Inbox
from gateway.counters import Counters
from gateway.model import BootMs, Draft, Event, Group, Row
from gateway.pipeline.chain import Chain
from gateway.pipeline.packer import Packer
from gateway.pipeline.tally import Tally
from gateway.site import Bus, Report, Site, SpoolSettings, UplinkSettings
from gateway.testing.clock import FakeClock, turns
from gateway.wire.body import decode
from tests.support.south import a_bus, a_device, a_field

GROUP = Group("meter-1", "energy_meter", "eastron/sdm630@1", ("frequency",), "f")
SITE = Site(
    "hc-0001",
    "city",
    None,
    None,
    "system",
    SpoolSettings("/x", 1, 1),
    (UplinkSettings("ioc", (), "scarce", 60_000, 300_000),),
    (),
    (),
)


def row(at: int, group: Group = GROUP) -> Row:
    """A row at a time."""
    return Row(group, BootMs(at), (50.0,) * len(group.fields))


class SlowSpool:
    """Keeps drafts; an append waits for `go`."""

    def __init__(self) -> None:
        self.kept: list[Draft] = []
        self.go, self.wrote = asyncio.Event(), asyncio.Event()
        self.go.set()

    async def append(self, draft: Draft) -> int:
        """As `Spool.append`: a cancel does not stop what has begun."""
        await self.go.wait()
        self.kept.append(draft)
        self.wrote.set()
        return len(self.kept)

    @property
    def whole(self) -> bool:
        """The disk is used."""
        return True

    @property
    def times(self) -> list[int]:
        """Of all rows, in the order they were written."""
        bodies = [(draft.b0, decode(draft.enc, draft.body)) for draft in self.kept]
        return [b0 + offset for b0, body in bodies for group in body.groups for offset, _ in group.rows]

    @property
    def codes(self) -> list[str]:
        """Of all events."""
        return [event.code for draft in self.kept for event in decode(draft.enc, draft.body).events]


class Bench:
    """A collector with a spool that a test can stop."""

    def __init__(
        self,
        group: asyncio.TaskGroup,
        *,
        items_max: int = 100,
        site: Site = SITE,
        watch: Callable[[Row], Sequence[Event]] = lambda _: (),
    ) -> None:
        self.clock, self.counters, self.spool = FakeClock(), Counters(), SlowSpool()
        self.inbox = Inbox(self.clock, self.counters, items_max)
        path = Collector(
            inbox=self.inbox,
            chain=Chain(site, watch),
            tally=Tally(site, self.clock.boot_ms()),
            packer=Packer("b1", max_age_ms=site.uplinks[0].max_age_ms),
            spool=self.spool,
            waiting=push.Waiting(self.clock, lambda: self.inbox.lost),
            clock=self.clock,
            counters=self.counters,
            online=lambda: True,
        )
        self.collecting = group.create_task(path.run(), name="collect")

    async def end(self, how: Callable[[], object]) -> None:
        """End it, whatever that raises there."""
        await turns()
        how()
        await turns()
        self.spool.go.set()
        await asyncio.wait([self.collecting])


async def test_alarms_of_one_reading_are_one_append() -> None:
    """Each append is a commit, a message and two writes of the database: the third alarm must not wait for two more."""
    alarms = [Event(BootMs(1), "meter-1", "alarm_on", (level,), urgent=True) for level in ("bd1", "bd2", "bd3")]
    async with asyncio.TaskGroup() as group:
        bench = Bench(group, watch=lambda _: alarms)
        bench.inbox.put(row(1))
        async with asyncio.timeout(20):
            await bench.spool.wrote.wait()
        assert [(draft.urgent, draft.n) for draft in bench.spool.kept] == [(True, 0)]
        assert bench.spool.codes == ["alarm_on"] * 3
        await bench.end(bench.inbox.close)


async def test_a_stop_writes_what_is_open() -> None:
    """SIGTERM: the inbox is emptied, the open batch is closed."""
    async with asyncio.TaskGroup() as group:
        bench = Bench(group)
        bench.inbox.put(row(1))
        bench.inbox.put(row(2))
        await bench.end(bench.inbox.close)
        assert bench.spool.times == [1, 2]
        bench.collecting.result()


async def test_a_stage_that_fails_takes_no_reading_along() -> None:
    """Another stage's exception cancels the collector: open batch and inbox are on disk before the daemon ends."""
    async with asyncio.TaskGroup() as group:
        bench = Bench(group)
        bench.inbox.put(row(1))
        await turns()
        bench.inbox.put(row(2))
        bench.collecting.cancel()
        await bench.end(lambda: None)
        assert bench.spool.times == [1, 2]
        assert bench.collecting.cancelled()


async def test_a_stop_reports_the_open_window() -> None:
    """What is folded is not lost by a stop: the window ends there, with its count."""
    async with asyncio.TaskGroup() as group:
        folded = replace(SITE, buses=(_folding(a_bus(a_device("m", ([a_field(0)], 1000)))),))
        bench = Bench(group, site=folded)
        (polled,) = folded.buses[0].devices[0].polled
        for at in (1, 1001):
            bench.inbox.put(row(at, polled.group))
        await bench.end(bench.inbox.close)
        (draft,) = bench.spool.kept
        (its,) = decode(draft.enc, draft.body).groups
        assert its.rows[0][1] == (50.0, 50.0, 50.0, 2.0)
        bench.collecting.result()


async def test_a_window_closes_by_the_clock() -> None:
    """Nothing more may come from a device, and the window is reported all the same."""
    async with asyncio.TaskGroup() as group:
        folded = replace(SITE, buses=(_folding(a_bus(a_device("m", ([a_field(0)], 1000)))),))
        bench = Bench(group, site=folded)
        (polled,) = folded.buses[0].devices[0].polled
        await bench.clock.advance(200_000)
        bench.inbox.put(row(1, polled.group))
        async with asyncio.timeout(20):
            await bench.spool.wrote.wait()  # what comes is gathered for a moment of real time
        assert bench.spool.times == [60_000]
        await bench.end(bench.inbox.close)


def _folding(bus: Bus) -> Bus:
    """All that it polls, in windows of a minute."""
    return replace(
        bus,
        devices=tuple(
            replace(device, polled=tuple(replace(polled, report=Report(60_000)) for polled in device.polled))
            for device in bus.devices
        ),
    )


async def test_a_cancel_amid_an_append_loses_nothing() -> None:
    """What waited for the disk, and what came meanwhile, is written; what was dropped is named."""
    async with asyncio.TaskGroup() as group:
        bench = Bench(group, items_max=2)
        bench.spool.go.clear()
        bench.inbox.put(Event(BootMs(1), "", "restart", urgent=True))
        await turns()
        for at in (2, 3, 4):
            bench.inbox.put(row(at))
        await bench.end(bench.collecting.cancel)
        assert bench.spool.times == [3, 4]
        assert set(bench.spool.codes) == {"restart", "rows_dropped"}


async def test_an_item_that_no_message_can_carry_costs_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    """A group of too many fields is a bug of ours: counted and logged, and the other devices go on."""
    async with asyncio.TaskGroup() as group:
        bench = Bench(group)
        wide = Group("meter-2", "energy_meter", "acme/wide@1", tuple(f"f{n}" for n in range(300)), "f" * 300)
        bench.inbox.put(row(1, wide))
        bench.inbox.put(row(2))
        await bench.end(bench.inbox.close)
        assert bench.spool.times == [2]
        assert bench.counters.get("items_not_packed", what="row") == 1
        assert "meter-2" in caplog.text
        bench.collecting.result()
