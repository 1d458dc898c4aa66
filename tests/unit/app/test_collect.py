"""gateway.app.collect: however the daemon ends, what was read is written first."""

import asyncio

from gateway.app import push
from gateway.app.collect import Collector
from gateway.app.inbox import Inbox
from gateway.counters import Counters
from gateway.model import BootMs, Draft, Group, Row
from gateway.pipeline.chain import Chain
from gateway.pipeline.packer import Packer
from gateway.pipeline.tally import Tally
from gateway.site import Site, SpoolSettings, UplinkSettings
from gateway.testing.clock import FakeClock
from gateway.wire.body import decode

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
        self.go = asyncio.Event()
        self.go.set()

    async def append(self, draft: Draft) -> int:
        """As `Spool.append`: a cancel does not stop what has begun."""
        await self.go.wait()
        self.kept.append(draft)
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

    def __init__(self, group: asyncio.TaskGroup, *, items_max: int = 100) -> None:
        self.clock, self.counters, self.spool = FakeClock(), Counters(), SlowSpool()
        self.inbox = Inbox(self.clock, self.counters, items_max)
        path = Collector(
            inbox=self.inbox,
            chain=Chain(SITE),
            tally=Tally(SITE, self.clock.boot_ms()),
            packer=Packer("b1", max_age_ms=SITE.uplinks[0].max_age_ms),
            spool=self.spool,
            waiting=push.Waiting(self.clock, lambda: self.inbox.lost),
            clock=self.clock,
            counters=self.counters,
            online=lambda: True,
        )
        self.collecting = group.create_task(path.run(), name="collect")
        bench.collecting.result()
