"""Which UTC a boot millisecond was. Pure: told what the clocks say, answers with what to date and what to tell.

Rows carry boot milliseconds, which never step. A *segment* is a stretch of boot time with one offset to UTC and one
clock word; a batch names its segment, and its time is b0 + offset. An offset is set once and never changes, so that a
batch sent again hits the same points in the store.

    undated  --the clock comes-->                 dated: the true offset, for all undated segments of this boot
             --24 h old (urgent: 5 s)-->          dated `unset`: the wall clock's, one offset a boot
             --the next boot starts-->            dated `estimated`: right after all that was given out before
                                                  (never before this software was made)
    dated    --wall step > 100 ms, other word-->  a new segment; the old one keeps what it has

Rules that protect what the store has (design section 8):

- `highest` is the latest time given out as trusted. A trusted segment that would start at or before it says `stepped`
  until that time has passed: the store tags it, and it overwrites nothing. A batch that was open at a step back goes on
  in the old segment for up to OPEN_BATCH_MS; `highest` allows for it.
- In a boot that was once synchronised a step > 5 s is not believed at once: the old offset goes on as `holdover` until
  the `now` of a receipt agrees with the new one, or 24 h went by without a receipt. A receipt agrees with the time it
  is nearer to by more than half of the step: one that took long allows for both, and says nothing.
- Every urgent batch of an undated boot has its own segment, so that it can go as `unset` without taking others along.

A daemon that restarts within one boot gets its segments back from the spool (`resume`) and goes on where it was.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gateway.model import TRUSTED, BootMs, Event, Given, Segment, Stamp, Trust, UtcMs

BUILT = UtcMs(1_795_478_400_000)  # 2026-11-24: no boot of this software is older; moves with each release
STEP_MS = 100
FOLLOWED_STEP_MS = 5_000
UNDATED_SEGMENT_MS = 3_600_000
PATIENCE_MS = 86_400_000
URGENT_PATIENCE_MS = 5_000
RECEIPT_SLACK_MS = 5_000
OPEN_BATCH_MS = 70_000  # max_age is at most 60 s; the rest is for its way to the spool
SEGMENTS_KEPT = 64  # dated ones of this boot: rows come at most a batch late
UNDATED_STEPS_MAX = 64  # of a wall clock that nobody believes: one that never stops stepping must not fill the RAM


@dataclass(frozen=True, slots=True)
class Changes:
    """What an observation asks for: segments whose offset is now known, events to tell."""

    dated: tuple[Segment, ...] = ()
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class _Held:
    """A step that is not believed yet."""

    at: BootMs
    offset_ms: int


class Timeline:
    """One boot's. `word` is what a believed wall clock is called: ntp, system or rtc. Call `resume` first."""

    def __init__(
        self, boot: str, word: Trust = Trust.NTP, *, built: UtcMs = BUILT, patience_ms: int = PATIENCE_MS
    ) -> None:
        self.boot = boot
        self._word = word
        self._built = built
        self._patience_ms = patience_ms
        self._segments: list[Segment] = []  # of this boot, by start; without those of urgent batches
        self._urgent: list[Segment] = []  # undated ones
        self._number = 0
        self._highest = UtcMs(0)  # given out as trusted
        self._left_open = UtcMs(0)  # where an open batch of the last trusted segment ends, at the latest
        self._highest_unset = UtcMs(0)
        self._believed_ms: int | None = None  # the offset that is gone by, once there was a synchronised clock
        self._synchronised = False
        self._wall_ms: int | None = None  # the wall clock's offset when last seen
        self._unset_ms: int | None = None  # the one offset of this boot's `unset` segments
        self._held: _Held | None = None
        self._receipt_at: BootMs | None = None
        self._disagrees = False

    def resume(self, at: BootMs, kept: Sequence[Segment], given: Given) -> tuple[Segment, ...]:
        """Go on from what the spool keeps; returns `estimated` segments of earlier boots, to be dated first of all."""
        self._number = given.segment
        self._highest, self._highest_unset = given.trusted, given.unset
        ours = sorted((s for s in kept if s.boot == self.boot), key=lambda s: s.number)
        self._recall(ours)
        if not self._segments or (self._segments[-1].clock is Trust.UNSET and self._segments[-1].offset_ms is not None):
            self._open(at, None, Trust.UNSET)
        return estimate([s for s in kept if s.boot != self.boot], given, self._built)

    def segment_of(self, b0: BootMs, urgent: bool) -> Segment:  # noqa: FBT001 - fixed by the spool's callable
        """The segment a batch that starts at `b0` belongs to; makes one for an urgent batch of an undated boot."""
        segment = next((s for s in reversed(self._segments) if s.start <= b0), self._segments[0])
        if segment.offset_ms is not None or not urgent:
            return segment
        own = Segment(self._next(), self.boot, None, Trust.UNSET, b0, urgent=True)
        self._urgent.append(own)
        return own

    def observe(self, at: BootMs, utc: UtcMs, *, synchronised: bool) -> Changes:
        """Both clocks, read together, and whether the wall clock may be believed."""
        wall_ms = utc - at
        self._synchronised = synchronised
        if self._believed_ms is not None:
            left = self._date(lambda _: True, self._believed_ms, self._word)  # a restart came between clock and disk
            changes = self._watch(at, wall_ms)
            changes = replace(changes, dated=left + changes.dated)
        elif synchronised:
            changes = self._come(at, wall_ms)
        else:
            changes = self._wait(at, wall_ms)
        self._wall_ms = wall_ms
        self._note(at)
        return changes

    def told_by_ioc(self, sent: BootMs, arrived: BootMs, now: UtcMs) -> Changes:
        """The `now` of a receipt, and when a batch named in it was sent and the receipt arrived."""
        if self._believed_ms is None:
            return Changes()
        outside_ms = _outside_ms(sent, arrived, now, self._believed_ms)
        if self._held is not None:
            offset_ms = self._held.offset_ms
            held_ms = _outside_ms(sent, arrived, now, offset_ms)
            tells_apart = 2 * abs(outside_ms - held_ms) > abs(offset_ms - self._believed_ms)
            self._receipt_at = arrived if tells_apart else self._receipt_at
            if tells_apart and held_ms < outside_ms and held_ms <= RECEIPT_SLACK_MS:
                self._held = None
                return Changes(events=self._follow_step(arrived, offset_ms))
        disagrees = outside_ms > RECEIPT_SLACK_MS
        news = disagrees and not self._disagrees
        self._disagrees = disagrees
        return Changes(events=(Event(arrived, "", "clock_disagrees", (outside_ms,), urgent=True),) if news else ())

    def stamp(self, at: BootMs) -> Stamp | None:
        """What `at` is in UTC, as far as is known now."""
        return self._segments[-1].stamp(at) if self._segments else None

    @property
    def trust(self) -> Trust:
        """The clock word of rows taken now."""
        return self._segments[-1].clock if self._segments else Trust.UNSET

    @property
    def trusted(self) -> bool:
        """Whether commands and certificate dates may go by this clock."""
        return self.trust in TRUSTED

    def trusted_utc(self, at: BootMs) -> UtcMs | None:
        """`at` in UTC, for commands and certificates; None while no clock is trusted. Never the wall clock's word."""
        stamp = self.stamp(at) if self.trusted else None
        return stamp.t0 if stamp else None

    @property
    def floor(self) -> UtcMs:
        """What it is at least, for certificates without a clock: the latest time given out as trusted, or the build."""
        return max(self._highest, self._built)

    @property
    def believed_ms(self) -> int | None:
        """The offset that is gone by; None before this boot had a clock."""
        return self._believed_ms

    @property
    def undated(self) -> bool:
        """Whether rows of this boot wait for a clock."""
        return bool(self._urgent) or any(s.offset_ms is None for s in self._segments)

    def _recall(self, ours: Sequence[Segment]) -> None:
        self._urgent = [s for s in ours if s.urgent and s.offset_ms is None]
        self._segments = sorted((s for s in ours if not s.urgent), key=lambda s: (s.start, s.number))
        self._unset_ms = next((s.offset_ms for s in ours if s.clock is Trust.UNSET and s.offset_ms is not None), None)
        believed = [s.offset_ms for s in self._segments if s.offset_ms is not None and s.clock is not Trust.UNSET]
        self._believed_ms = believed[-1] if believed else None

    def _come(self, at: BootMs, wall_ms: int) -> Changes:
        """The first synchronised clock of this boot: everything undated gets the true offset."""
        self._believed_ms = wall_ms
        dated = self._date(lambda _: True, wall_ms, self._word)
        self._switch(at, wall_ms, self._word)
        if self._unset_ms is None:
            return Changes(dated)
        return Changes(dated, (Event(at, "", "clock_set", (self._unset_ms, wall_ms)),))

    def _wait(self, at: BootMs, wall_ms: int) -> Changes:
        """Still no clock: keep segments short, and let those go that waited long enough."""
        current = self._segments[-1]
        stepped = self._wall_ms is not None and abs(wall_ms - self._wall_ms) > STEP_MS
        stepped = stepped and len(self._segments) < UNDATED_STEPS_MAX
        if stepped or at - current.start >= min(UNDATED_SEGMENT_MS, self._patience_ms):
            self._open(at, None, Trust.UNSET)
        return Changes(self._date(lambda s: at - s.start >= self._patience_of(s), self._unset(wall_ms), Trust.UNSET))

    def _watch(self, at: BootMs, wall_ms: int) -> Changes:
        """A boot that has been synchronised: follow small steps, hold large ones."""
        assert self._believed_ms is not None  # noqa: S101 - what brought us here
        step_ms = wall_ms - self._believed_ms
        if abs(step_ms) <= STEP_MS:
            self._held = None
            self._switch(at, self._believed_ms, self._now())
            return Changes()
        if abs(step_ms) <= FOLLOWED_STEP_MS:
            self._held = None
            return Changes(events=self._follow_step(at, wall_ms))
        return self._hold(at, wall_ms, step_ms)

    def _hold(self, at: BootMs, wall_ms: int, step_ms: int) -> Changes:
        events: tuple[Event, ...] = ()
        if self._held is None or abs(wall_ms - self._held.offset_ms) > STEP_MS:
            self._held = _Held(at, wall_ms)
            events = (Event(at, "", "clock_step_held", (step_ms,), urgent=True),)
        if at - max(self._held.at, self._receipt_at or self._held.at) >= PATIENCE_MS:
            self._held = None
            return Changes(events=events + self._follow_step(at, wall_ms))
        assert self._believed_ms is not None  # noqa: S101 - only `_watch` comes here
        self._switch(at, self._believed_ms, Trust.HOLDOVER)
        return Changes(events=events)

    def _follow_step(self, at: BootMs, wall_ms: int) -> tuple[Event, ...]:
        assert self._believed_ms is not None  # noqa: S101 - a step is a step from something believed
        step_ms = wall_ms - self._believed_ms
        if step_ms < 0:
            self._highest = max(self._highest, self._open_end(at))
        self._believed_ms = wall_ms
        self._disagrees = False
        self._switch(at, wall_ms, self._now())
        return (Event(at, "", "clock_step", (step_ms,)),)

    def _now(self) -> Trust:
        """The word of the wall clock as it is, in a boot that was synchronised."""
        return self._word if self._synchronised else Trust.HOLDOVER

    def _switch(self, at: BootMs, offset_ms: int, word: Trust) -> None:
        """A new segment when offset or word are not those of the current one."""
        word = self._stepped(at, offset_ms, word)
        current = self._segments[-1]
        if (current.offset_ms, current.clock) != (offset_ms, word):
            self._open(at, offset_ms, word)

    def _stepped(self, at: BootMs, offset_ms: int, word: Trust) -> Trust:
        """A trusted word where that time was given out before is `stepped`; a segment that goes on keeps its word."""
        current = self._segments[-1]
        goes_on = current.offset_ms == offset_ms and current.clock is word
        if word in TRUSTED and not goes_on and at + offset_ms <= self._highest:
            return Trust.STEPPED
        return word

    def _open_end(self, at: BootMs) -> UtcMs:
        """What an open batch of the last trusted segment may reach, in UTC."""
        current = self._segments[-1] if self._segments else None
        if current is not None and current.clock in TRUSTED and current.offset_ms is not None:
            return UtcMs(at + OPEN_BATCH_MS + current.offset_ms)
        return self._left_open

    def _open(self, at: BootMs, offset_ms: int | None, word: Trust) -> None:
        self._left_open = self._open_end(at)
        self._segments.append(Segment(self._next(), self.boot, offset_ms, word, at))
        while len(self._segments) > SEGMENTS_KEPT and self._segments[0].offset_ms is not None:
            del self._segments[0]

    def _date(self, ripe: Callable[[Segment], bool], offset_ms: int, word: Trust) -> tuple[Segment, ...]:
        """Give every ripe undated segment its offset; they are returned, and the urgent ones forgotten."""
        dated = []
        for mine in (self._segments, self._urgent):
            for index, segment in enumerate(mine):
                if segment.offset_ms is None and ripe(segment):
                    mine[index] = self._dated(segment, offset_ms, word)
                    dated.append(mine[index])
        self._urgent = [s for s in self._urgent if s.offset_ms is None]
        if word is Trust.UNSET and dated:
            self._unset_ms = offset_ms
        return tuple(dated)

    def _dated(self, segment: Segment, offset_ms: int, word: Trust) -> Segment:
        if word in TRUSTED and segment.start + offset_ms <= self._highest:
            word = Trust.STEPPED
        return replace(segment, offset_ms=offset_ms, clock=word)

    def _unset(self, wall_ms: int) -> int:
        """The boot never starts before the build, or before a time that was given out as trusted or unset."""
        if self._unset_ms is not None:
            return self._unset_ms
        return max(wall_ms, self._built, self._highest + 1, self._highest_unset + 1)

    def _patience_of(self, segment: Segment) -> int:
        return min(URGENT_PATIENCE_MS, self._patience_ms) if segment.urgent else self._patience_ms

    def _note(self, at: BootMs) -> None:
        if self.trust in TRUSTED and self._segments[-1].offset_ms is not None:
            self._highest = max(self._highest, UtcMs(at + self._segments[-1].offset_ms))

    def _next(self) -> int:
        self._number += 1
        return self._number


def estimate(earlier: Sequence[Segment], given: Given, built: UtcMs = BUILT) -> tuple[Segment, ...]:
    """Undated segments of earlier boots, dated: by that boot's clock if it had one, else after what was given out.

    A boot never starts before the build either: on a new box it would be 1970, which no store keeps.
    """
    known = {s.boot: s.offset_ms for s in earlier if s.offset_ms is not None and s.clock in TRUSTED}
    floor = max(given.trusted, given.estimated, built)
    dated: list[Segment] = []
    undated = sorted((s for s in earlier if s.offset_ms is None), key=lambda s: s.number)
    for boot in dict.fromkeys(s.boot for s in undated):
        segments = [s for s in undated if s.boot == boot]
        offset_ms = known.get(boot, floor + 1)
        dated += [replace(s, offset_ms=offset_ms, clock=Trust.ESTIMATED) for s in segments]
        last = given.last if boot == given.boot else max(s.start for s in segments) + UNDATED_SEGMENT_MS
        floor = max(floor, UtcMs(offset_ms + last))
    return tuple(dated)


def _outside_ms(sent: BootMs, arrived: BootMs, now: UtcMs, offset_ms: int) -> int:
    """How far `now` lies outside of [sent, arrived] by this offset."""
    return max(sent + offset_ms - now, now - (arrived + offset_ms), 0)
