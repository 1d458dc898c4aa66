"""A spool with its clock and timeline, put together as the daemon does it, in one thread and without waiting."""

from dataclasses import dataclass, field
from pathlib import Path

from gateway.clock.follow import observe
from gateway.clock.timeline import PATIENCE_MS, Timeline, estimate
from gateway.counters import Counters
from gateway.model import BootMs, Draft, Event, Group, Row, Segment, SeqRanges, Stamp, Trust, UtcMs
from gateway.site import SpoolSettings
from gateway.spool.home import Home
from gateway.spool.moment import Moment
from gateway.spool.spool import Spool
from gateway.spool.steps import Steps
from gateway.spool.view import SETTLED, uplink_number
from gateway.testing.clock import FakeClock
from gateway.testing.worker import InlineWorker
from gateway.wire.body import BodyWriter

GATEWAY, MACHINE, BOOT = "hc-0001", "m1", "b1"
MB = 1 << 20
OFFSET_MS = 1_795_500_000_000
LEVEL = Group("level-1", "water_level", "qdy/qdy30a@1", ("level",), "f")
DATED = Segment(1, BOOT, OFFSET_MS, Trust.NTP)


def settings(folder: Path, *, quota_bytes: int = 64 * MB, reserve_bytes: int = 0) -> SpoolSettings:
    """Where, and how much."""
    return SpoolSettings(str(folder), quota_bytes, 60, reserve_bytes)


def draft(at: int = 1000, n: int = 3, size: int = 100, *, urgent: bool = False, boot: str = BOOT) -> Draft:
    """Rows from `at` on, over 10 ms; the body is not looked at."""
    return Draft(boot, BootMs(at), BootMs(at + 10), n, bytes([at % 251]) * size, "none", urgent=urgent)


def stamped(t0: int, clock: str = "ntp") -> Draft:
    """A draft that knows its time, as a relay has it."""
    return Draft("", BootMs(0), BootMs(5), 1, b"r", "none", stamp=Stamp(UtcMs(t0), clock))


def moment(at: int = 1000, segment: Segment = DATED, *settled: tuple[str, SeqRanges]) -> Moment:
    """What a keeper is told before a step."""
    told = tuple((SETTLED, epoch, seqs) for epoch, seqs in settled)
    return Moment(BootMs(at), UtcMs(OFFSET_MS + at), segment, frozenset(), told)


@dataclass
class Box:
    """One box: `start` and `stop` its daemon, change its boot, look at what it told."""

    folder: Path
    clock: FakeClock = field(default_factory=FakeClock)
    gateway: str = GATEWAY
    machine: str = MACHINE
    boot: str = BOOT
    quota_bytes: int = 64 * MB
    reserve_bytes: int = 0
    events: list[Event] = field(default_factory=list)
    counters: Counters = field(default_factory=Counters)
    worker: InlineWorker = field(default_factory=InlineWorker)
    others: tuple[str, ...] = ()
    epochs: int = 0
    patience_ms: int = PATIENCE_MS
    timeline: Timeline = field(init=False)
    spool: Spool = field(init=False)

    async def start(self) -> Spool:
        """As the daemon starts: open, go on from what is kept, date what is known, all before anything is appended."""
        self.timeline = Timeline(self.boot, patience_ms=self.patience_ms)
        kept = settings(self.folder, quota_bytes=self.quota_bytes, reserve_bytes=self.reserve_bytes)
        others = {uplink_number(name): name for name in self.others}
        home = Home(kept, self.gateway, self.machine, self._epoch, others=others)
        timeline = self.timeline
        self.spool = Spool(
            Steps(
                home,
                self.boot,
                self.worker,
                self.clock,
                self.counters,
                timeline.segment_of,
                self.events.append,
                estimate,
            )
        )
        await self.spool.open()
        await self.spool.date(timeline.resume(self.clock.boot_ms(), self.spool.segments, self.spool.given))
        await self.observe()
        return self.spool

    async def observe(self) -> None:
        """One look at the clock."""
        changes = observe(self.clock, self.timeline)
        self.events += changes.events
        await self.spool.date(changes.dated)

    async def restart(self) -> Spool:
        """In the same boot."""
        await self.spool.close()
        return await self.start()

    def kill(self) -> None:
        """The process is gone, with all that was only in RAM; what it told the kernel is not."""
        self.spool.steps.keeper.file.db.close()
        self.spool.steps.home.close()

    async def append(self, *, n: int = 3, size: int = 100, urgent: bool = False) -> int:
        """One draft of now."""
        return await self.spool.append(draft(self.clock.boot_ms(), n, size, urgent=urgent, boot=self.boot))

    async def measure(self, level: float = 1.0, *, urgent: bool = False) -> int:
        """A row that the centre can read, a second later."""
        await self.clock.advance(1_000)
        at = self.clock.boot_ms()
        writer = BodyWriter(at)
        writer.add(Row(LEVEL, at, (level,)))
        enc, body = writer.encode()
        return await self.spool.append(Draft(self.boot, writer.b0, writer.last, writer.n, body, enc, urgent=urgent))

    async def seqs(self, after: int = 0, limit: int = 1000) -> list[int]:
        """What north would be offered."""
        return [batch.id.seq for batch in await self.spool.read(after, None, limit)]

    @property
    def codes(self) -> list[str]:
        """Of the events told so far."""
        return [event.code for event in self.events]

    def _epoch(self) -> str:
        self.epochs += 1
        return f"epoch{self.epochs}"
