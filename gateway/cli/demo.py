"""gateway demo: the chain's live table, and its last line."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterator, Mapping
from typing import cast

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from gateway.app.demo import Demo, DemoFailed, Snapshot, Verdict
from gateway.clock.kernel import SystemClock

EXIT_INTERRUPTED = 130
SHOWN_MAX = 5  # of what is missing
VALUES_SHOWN = 3  # of a row


def show(seconds: float | None, *, plain: bool) -> int:
    """Exit status: 1 when a served value is not stored or a part failed, 130 when it was interrupted twice."""
    try:
        verdict = asyncio.run(_run(seconds, plain=plain or not sys.stdout.isatty()))
    except DemoFailed as error:
        print(f"demo failed: {error}", file=sys.stderr)
        return 1
    except asyncio.CancelledError:
        print("ended at once: nothing was compared", file=sys.stderr)
        return EXIT_INTERRUPTED
    for point in verdict.missing[:SHOWN_MAX]:
        print(f"missing {'.'.join(point.series)} = {point.value} at {point.at_ms}", file=sys.stderr)
    print(verdict.line())
    return int(bool(verdict.missing))


def table(snapshot: Snapshot) -> Group:
    """Devices and their newest values, then where batches are."""
    values = Table("device", "values", "age", title="What the sensors say", title_justify="left")
    for row in snapshot.rows:
        values.add_row(row["device"], _newest(row["values"]), f"{row['age_ms'] / 1000:.1f} s")
    for device in snapshot.status["devices_down"]:
        values.add_row(f"[red]{device}[/]", "[red]does not answer[/]", "")
    flow = Table("spool: waiting", "in flight", "stored batches", title="Where the batches are", title_justify="left")
    flow.add_row(str(snapshot.status["pending"]), str(snapshot.status["in_flight"]), str(snapshot.stored))
    return Group(values, flow, f"{snapshot.seconds:.0f} s   Ctrl-C ends and compares")


def _newest(values: Mapping[str, object]) -> str:
    """The first few of a row, and how many more it has."""
    known = [(name, escape(str(value))) for name, value in values.items() if value is not None][:VALUES_SHOWN]
    more = len(values) - len(known)
    return "  ".join(f"{name} [bold]{value}[/]" for name, value in known) + (f"  [dim]+{more}[/]" if more else "")


async def _run(seconds: float | None, *, plain: bool) -> Verdict:
    """Ctrl-C and SIGTERM end the watching, then everything in order; a second one kills all at once."""
    async with Demo(SystemClock("system")) as demo:
        watching = cast("asyncio.Task[Verdict]", asyncio.current_task())
        with _interrupts(watching):
            with contextlib.suppress(asyncio.CancelledError):
                await _watch(demo, seconds, plain=plain)
            watching.uncancel()
            return await demo.finish()


async def _watch(demo: Demo, seconds: float | None, *, plain: bool) -> None:
    if plain:
        async for snapshot in demo.snapshots(seconds):
            print(plain_line(snapshot), flush=True)
        return
    with Live(console=Console(), refresh_per_second=4) as live:
        async for snapshot in demo.snapshots(seconds):
            live.update(table(snapshot))


def plain_line(snapshot: Snapshot) -> str:
    """One look, for a pipe or a log."""
    status = snapshot.status
    return (
        f"{snapshot.seconds:5.1f} s  rows {len(snapshot.rows):2d}  waiting {status['pending']}"
        f"  in flight {status['in_flight']}  stored batches {snapshot.stored}"
    )


@contextlib.contextmanager
def _interrupts(task: "asyncio.Task[Verdict]") -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)
