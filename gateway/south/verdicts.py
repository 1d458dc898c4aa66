"""How a step of a schedule ended: rows and events of its groups go out, and the schedule is told. Used by bus loops."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from gateway.counters import Counters
from gateway.errors import LinkDown
from gateway.model import BootMs, Event
from gateway.seams import Clock
from gateway.south.links.link import NotSent
from gateway.south.reads.poll import Outcome
from gateway.south.rows import Rows
from gateway.south.schedule.schedule import Schedule
from gateway.south.schedule.silence import News
from gateway.south.schedule.steps import Cut, Poll, Probe


class Verdicts:
    """Of one bus."""

    def __init__(
        self,
        bus: str,
        schedule: Schedule,
        rows: Rows,
        clock: Clock,
        counters: Counters,
        on_event: Callable[[Event], None],
    ) -> None:
        self._bus = bus
        self._schedule = schedule
        self._rows = rows
        self._clock = clock
        self._counters = counters
        self._on_event = on_event

    def end(self, parts: Sequence[Poll | Probe], outcomes: Sequence[Outcome]) -> bool:
        """Whether the link may still be used; raises the LinkDown that is the bus's own."""
        for part, outcome in zip(parts, outcomes, strict=True):
            self._keep(part, outcome)
        lost = outcomes[0].link_down
        if lost is None:
            for part, outcome in zip(parts, outcomes, strict=True):
                self._tell(self._conclude(part, outcome))
            return True
        if self._cut(list(zip(parts, outcomes, strict=True)), lost) is Cut.DEVICE:
            return False
        raise lost

    def _keep(self, part: Poll | Probe, outcome: Outcome) -> None:
        if outcome.row or outcome.cause:
            self._counters.add("polls", bus=self._bus, device=part.device.name)
        if outcome.row:
            self._rows.put(part.task, outcome.row)
        for event in outcome.events:
            self._on_event(event)

    def _conclude(self, part: Poll | Probe, outcome: Outcome) -> list[News]:
        now = self._clock.boot_ms()
        if outcome.answered:
            return self._schedule.done(part, now)
        if not outcome.reached:
            self._schedule.unreached(part, now)
        elif outcome.cause:
            return self._schedule.failed(part, now, str(outcome.cause))
        else:
            until = outcome.waits_until or BootMs(now + part.polled.period_ms)
            self._schedule.spared(part, until, outcome.waits_for if outcome.waits_until else "refused")
        return []

    def _cut(self, asked: Sequence[tuple[Poll | Probe, Outcome]], lost: LinkDown) -> Cut:
        """The link went away: who is to blame. Groups that were answered before it did are done."""
        cut: Cut | None = None
        for part, outcome in asked:
            if outcome.answered or cut:
                self._tell(self._conclude(part, replace(outcome, reached=False)))
            else:
                cut, news = self._schedule.cut_off(part, self._clock.boot_ms(), sent=not isinstance(lost, NotSent))
                self._tell(news)
        return cut or Cut.BUS

    def _tell(self, news: Iterable[News]) -> None:
        for one in news:
            self._on_event(Event(self._clock.boot_ms(), one.subject, str(one.change), one.cause, urgent=True))
