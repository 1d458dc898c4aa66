"""The data path of the daemon: however it ends, what was read is on disk."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from random import Random
from types import SimpleNamespace
from typing import cast

import pytest

from gateway.app.daemon import Parts, _collect, _servers
from gateway.app.inbox import Inbox
from gateway.counters import Counters
from gateway.model import BootMs, Draft, Event, Group, Row
from gateway.pipeline.chain import Chain
from gateway.site import Bus, Report, Serve, Site, SpoolSettings, UplinkSettings
from gateway.south.bus import BusLoop
from gateway.testing.clock import FakeClock, turns
from gateway.wire.body import decode
from tests.support.south import a_bus, a_device, a_field, a_site

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

    def __init__(self, group: asyncio.TaskGroup, *, items_max: int = 100, site: Site = SITE) -> None:
        self.clock, self.counters, self.spool = FakeClock(), Counters(), SlowSpool()
        self.inbox = Inbox(self.clock, self.counters, items_max)
        named = SimpleNamespace(
            site=site, boot="b1", clock=self.clock, counters=self.counters, inbox=self.inbox, spool=self.spool,
            board=SimpleNamespace(online=True), chain=Chain(site),
        )  # fmt: skip
        self.collecting = group.create_task(_collect(cast("Parts", named)), name="collect")

    async def end(self, how: Callable[[], object]) -> None:
        """End it, whatever that raises there."""
        await turns()
        how()
        await turns()
        self.spool.go.set()
        await asyncio.wait([self.collecting])


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


def test_a_bus_that_is_served_has_a_server_before_anyone_asks() -> None:
    """Also while its queue is empty, and so is false; a bus that nobody is asked on has none."""
    polled = replace(a_bus(a_device("m", ([a_field(0)], 1000))), serve=Serve("127.0.0.1", 1502))
    clock, counters = FakeClock(), Counters()
    asked = [
        BusLoop(bus, clock, counters, Random(1), lambda _row: None, lambda _event: None)
        for bus in (polled, replace(polled, serve=None))
    ]
    site = a_site(polled, replace(polled, serve=None))
    parts = SimpleNamespace(site=site, buses=asked, clock=clock, counters=counters, inbox=Inbox(clock, counters))
    assert len(list(_servers(cast("Parts", parts)))) == 1
