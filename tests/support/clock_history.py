"""A box with a spool through any history of boots, clocks, appends and sends, and what the centre has of it after.

The world knows the true time; the box knows its boot clock and a wall clock that the history sets right or wrong. What
is sent becomes points as the store keys them: the word is a tag unless it is ntp, so a point is (tag, time).

    wait MS | append AGE | urgent | sync | nudge MS | lose | wrong MS | glitch MS
    receipt MS | send | restart | boot MS

`wrong` moves a wall clock that nobody synchronised; `glitch` one that the kernel still calls synchronised, in a boot
that was right before: a time server, or a GPS receiver, that lies. Nobody can tell a lie at the first look of a boot.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from gateway.model import TRUSTED, Batch, BootMs, Draft, Stamp, UtcMs
from gateway.testing.clock import NOON_MS, FakeClock
from gateway.wire.line_protocol import UNTAGGED_CLOCKS
from tests.support.spools import Box

Step: TypeAlias = tuple[str, int]
Key: TypeAlias = tuple[str, int]  # (epoch, seq)

BOOT_MS = 60_000  # when the daemon of a boot starts
RIGHT_MS = 300  # a nudge of 150 ms, either way
PATIENCE_MS = 7_200_000
ROW_MS = 10  # from b0 to the last row of a draft


@dataclass
class History:
    """`play` steps, then look at `wrongs`."""

    folder: Path
    box: Box = field(init=False)
    true_ms: int = NOON_MS - BOOT_MS  # true UTC of boot ms 0
    boots: int = 1
    appended: dict[Key, int] = field(default_factory=dict)  # true UTC of each b0, in order
    sent: dict[Key, Stamp] = field(default_factory=dict)
    points: dict[tuple[str, int], Key] = field(default_factory=dict)
    wrongs: list[str] = field(default_factory=list)
    _last_ms: int = BOOT_MS

    def __post_init__(self) -> None:
        """A box whose wall clock stands at 1970."""
        clock = FakeClock(boot_ms=BOOT_MS, utc_ms=BOOT_MS, synchronised=False)
        self.box = Box(self.folder, clock=clock, patience_ms=PATIENCE_MS)

    async def play(self, steps: Sequence[Step]) -> list[str]:
        """All of it, then an honest clock and a last send; returns what is wrong."""
        await self.box.start()
        for name, ms in [*steps, ("sync", 0), ("wait", 6_000), ("send", 0)]:
            await getattr(self, f"_{name}")(ms)
        self.wrongs += [f"{key} never came" for key in self.appended if key not in self.sent]
        self._judge_order()
        await self.box.spool.close()
        return self.wrongs

    # -- steps

    async def _wait(self, ms: int) -> None:
        await self.box.clock.advance(ms)
        await self.box.observe()

    async def _append(self, age_ms: int, *, urgent: bool = False) -> None:
        """A batch that has been open for so long."""
        clock = self.box.clock
        b0 = BootMs(max(self._last_ms, clock.boot_ms() - age_ms))
        self._last_ms = b0 + ROW_MS + 1
        draft = Draft(self.box.boot, b0, BootMs(b0 + ROW_MS), 3, b"rows", "none", urgent=urgent)
        seq = await self.box.spool.append(draft)
        self.appended[self.box.spool.epoch, seq] = self.true_ms + b0

    async def _urgent(self, _: int) -> None:
        await self._append(0, urgent=True)

    async def _sync(self, _: int) -> None:
        await self._nudge(0)

    async def _nudge(self, ms: int) -> None:
        clock = self.box.clock
        clock.set_synchronised(True)
        clock.step(self.true_ms + clock.boot_ms() + ms - clock.utc_ms())
        await self.box.observe()

    async def _lose(self, _: int) -> None:
        self.box.clock.set_synchronised(False)
        await self.box.observe()

    async def _wrong(self, ms: int) -> None:
        if not self.box.clock.synchronised():
            self.box.clock.step(ms)
            await self.box.observe()

    async def _glitch(self, ms: int) -> None:
        if self.box.timeline.believed_ms is not None:
            self.box.clock.step(ms)
            await self.box.observe()

    async def _receipt(self, way_ms: int) -> None:
        at = self.box.clock.boot_ms()
        now = UtcMs(self.true_ms + at)
        self.box.events += self.box.timeline.told_by_ioc(BootMs(at - way_ms), at, now).events

    async def _send(self, _: int) -> None:
        for batch in await self.box.spool.read(0, None, 1000):
            if batch.n:
                self._store(batch)

    async def _restart(self, _: int) -> None:
        await self.box.restart()
        self.box.spool.in_flight(frozenset())

    async def _boot(self, off_ms: int) -> None:
        """Power off for so long; then a wall clock that goes on from nothing."""
        await self.box.spool.close()
        self.true_ms += self.box.clock.boot_ms() + off_ms - BOOT_MS
        self.boots += 1
        self.box.boot = f"b{self.boots}"
        self.box.clock = FakeClock(boot_ms=BOOT_MS, utc_ms=BOOT_MS, synchronised=False)
        self._last_ms = BOOT_MS
        await self.box.start()

    # -- the centre, and the judge

    def _store(self, batch: Batch) -> None:
        key, stamp = (batch.id.epoch, batch.id.seq), batch.stamp
        if self.sent.setdefault(key, stamp) != stamp:
            self.wrongs.append(f"{key} was sent as {self.sent[key]} and as {stamp}")
        tag = "" if stamp.clock in UNTAGGED_CLOCKS else str(stamp.clock)
        if self.points.setdefault((tag, stamp.t0), key) != key:
            self.wrongs.append(f"{key} overwrites {self.points[tag, stamp.t0]} at {stamp}")
        off_ms = stamp.t0 - self.appended[key]
        if stamp.clock not in {"unset", "estimated"} and abs(off_ms) > RIGHT_MS:
            self.wrongs.append(f"{key} is {off_ms} ms off and says {stamp.clock}")

    def _judge_order(self) -> None:
        """Trusted times of an epoch rise with their seqs."""
        last: dict[str, int] = {}
        for (epoch, seq), stamp in sorted(self.sent.items()):
            if stamp.clock in TRUSTED:
                if stamp.t0 <= last.get(epoch, 0):
                    self.wrongs.append(f"{(epoch, seq)} at {stamp.t0} is not after {last[epoch]}")
                last[epoch] = stamp.t0
