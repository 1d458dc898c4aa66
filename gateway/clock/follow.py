"""The loop that keeps a timeline told. Everything it decides is in `timeline`."""

from collections.abc import Awaitable, Callable, Sequence

from gateway.clock.receipts import ReceiptTime
from gateway.clock.timeline import Changes, Timeline
from gateway.model import BootMs, Event, Segment, UtcMs
from gateway.seams import Clock

PERIOD_MS = 10_000
SOON_MS = 1_000  # while this boot has undated rows: they wait for the clock, and urgent ones for 5 s
READ_MS_MAX = 5  # both clocks are read within this, or read again: a descheduled moment is no clock step
READS_MAX = 5

OnDated = Callable[[Sequence[Segment]], Awaitable[None]]
OnEvent = Callable[[Event], None]


async def follow(
    clock: Clock,
    timeline: Timeline,
    on_dated: OnDated,
    on_event: OnEvent,
    *,
    refused: Callable[[], str] = str,
    receipts: ReceiptTime | None = None,
) -> None:
    """Observe now and every 10 s (1 s while undated), for ever; `refused` says why the kernel does not tell, or "".

    With `receipts` the centre's clock is the one that is followed, and asked for as long as it is not known.
    """
    told = ""
    while True:
        await apply(observe(clock, timeline, receipts), on_dated, on_event)
        if receipts is not None and receipts.asks(clock.boot_ms()):
            on_event(Event(clock.boot_ms(), "", "clock_asked", urgent=True))
        if refused() != told:
            told = refused()
            code = "clock_unreadable" if told else "clock_readable"
            on_event(Event(clock.boot_ms(), "", code, told, urgent=bool(told)))
        pause_ms = SOON_MS if timeline.undated else PERIOD_MS
        await clock.sleep_until(BootMs(clock.boot_ms() + pause_ms))


def observe(clock: Clock, timeline: Timeline, receipts: ReceiptTime | None = None) -> Changes:
    """Tell the timeline what the clocks say now; `receipts`, once they say anything, in place of the wall clock."""
    at, utc = _both(clock)
    if receipts is None:
        return timeline.observe(at, utc, synchronised=clock.synchronised())
    receipts.go_on(timeline.believed_ms)
    told = receipts.utc(at)
    return timeline.observe(at, utc if told is None else told, synchronised=receipts.synchronised(at))


async def apply(changes: Changes, on_dated: OnDated, on_event: OnEvent) -> None:
    """Do what an observation asks for; also for the changes of `Timeline.told_by_ioc`."""
    for event in changes.events:
        on_event(event)
    if changes.dated:
        await on_dated(changes.dated)


def _both(clock: Clock) -> tuple[BootMs, UtcMs]:
    for _ in range(READS_MAX):
        before, utc, after = clock.boot_ms(), clock.utc_ms(), clock.boot_ms()
        if after - before <= READ_MS_MAX:
            break
    return before, utc
