"""The promises at the end of a run (README, P1-P7; W-49), from what the history saw and what the store holds."""

import json
from collections.abc import Iterator
from itertools import pairwise

from gateway.ioc import audit
from gateway.model import SeqRanges, UtcMs
from gateway.pipeline.tally import MEASURED
from gateway.testing.clock import NOON_MS
from tests.sim.centre import GATEWAY
from tests.sim.history import KIND, History
from tests.sim.world import Span, World

TRUSTED_WITHIN_MS = 5_500  # a step of up to 5 s is followed at once (design, section 8)
NEVER_BACK = ("", "unset", "estimated")  # clock words whose rows never go back; `stepped` says that they may
PERIOD_MOVES = 1.05
FAR_MS = UtcMs(9_000_000_000_000)  # later than any clock of a run
STEADY_MIN = 20  # intervals that make an average


async def broken(world: World) -> list[str]:
    """Every promise that was not kept."""
    history = world.history
    found = list(history.broken)
    found += [f"P1 {what}" for what in await _lost(world)]
    found += [f"P3 {what}" for what in await _unexplained(world)]
    found += [f"P4 {what}" for what in await _doubled(world)]
    found += [f"P5 {what}" for what in (*_wrong_times(history), *_reordered(history))]
    found += [f"P7 {what}" for what in _stalled(world)]
    found += [f"W-49 {what}" for what in await _miscounted(world)]
    return found


async def _lost(world: World) -> list[str]:
    """What append returned is in the store, or named by a gap; nothing waits on the disk by now."""
    history, named = world.history, dict[str, SeqRanges]()
    for epoch in {epoch for epoch, _ in history.appended}:
        gaps = await world.centre.store.gaps(GATEWAY, epoch)
        named[epoch] = SeqRanges.of((gap.first, gap.last) for gap in gaps)
    lost = []
    for (epoch, seq), readings in sorted(history.appended.items()):
        if (epoch, seq) in history.ledger:
            lost += [f"{epoch} {seq}: {one} has no row" for one in readings if one not in history.there]
        elif seq not in named[epoch] and epoch not in history.ring_untold:
            lost.append(f"{epoch} {seq} is neither stored nor named by a gap")
    return lost


async def _unexplained(world: World) -> list[str]:
    accounts = await audit.audit(world.centre.store, GATEWAY, UtcMs(world.true_ms()), None)
    return [
        f"{one.epoch}: unexplained {one.unexplained.ranges}, used twice {one.used_twice.ranges}"
        for one in accounts
        if (one.unexplained and one.epoch not in world.history.ring_untold) or one.used_twice
    ]


async def _doubled(world: World) -> list[str]:
    """The store holds the points that were written, and no others."""
    held = 0
    for unit_id in range(1, world.form.devices + 1):
        async for _ in world.centre.store.rows(KIND, GATEWAY, f"meter-{unit_id}"):
            held += 1
    wanted = len(world.history.points)
    return [] if held == wanted else [f"{held} points are held, {wanted} were written"]


async def _miscounted(world: World) -> list[str]:
    """What was told as due is what the periods make of the time, told once; what was told as good was read."""
    events = await world.centre.store.events(GATEWAY, MEASURED, UtcMs(0), FAR_MS)
    told = [json.loads(event.detail) for event in events if not event.subject]
    devices, period_ms = world.form.devices, world.form.period_ms
    wrong = [
        f"{good} good of {due} due in {span_ms} ms"
        for due, good, span_ms in told
        if not 0 <= good <= due or abs(due - devices * span_ms / period_ms) > (devices if span_ms % period_ms else 0)
    ]
    if (good := sum(each[1] for each in told)) > len(world.history.read_at):
        wrong.append(f"{good} good, {len(world.history.read_at)} were read")
    if (span_ms := sum(each[2] for each in told)) > world.true_ms() - NOON_MS:
        wrong.append(f"{span_ms} ms are told of a run of {world.true_ms() - NOON_MS}")
    return wrong


def _wrong_times(history: History) -> Iterator[str]:
    for (device, clock, at_ms), number in sorted(history.points.items()):
        wrong_ms = at_ms - history.read_at[device, number]
        if not clock and abs(wrong_ms) > TRUSTED_WITHIN_MS:
            yield f"{device} {number}: {wrong_ms} ms wrong, and passed as good"


def _reordered(history: History) -> Iterator[str]:
    """Within a series, whose tags hold the clock word, later readings have later times."""
    latest: dict[tuple[str, str], int] = {}
    for at_ms, device, clock, number in sorted((at, dev, word, n) for (dev, word, at), n in history.points.items()):
        before = latest.get((device, clock), 0)
        if (clock in NEVER_BACK) and not (clock and history.blind) and number < before:
            yield f"{device} {clock or 'trusted'}: answer {number} is stored at {at_ms}, after {before}"
        latest[device, clock] = max(number, before)


def _stalled(world: World) -> Iterator[str]:
    """A living device, nothing else being wrong with its bus, is read once a period, and so beside dead ones."""
    form = world.form
    longest_ms = form.period_ms * PERIOD_MOVES + form.grain_ms + 2 * form.timeout_ms  # one probe of a dead one
    for device, at in _times(world).items():
        spans = [*world.disturbed, *world.dead.get(int(device.removeprefix("meter-")), ())]
        steady = [
            (first, second)
            for first, second in pairwise(at)
            if not any(_touches(span, first, second) for span in spans)
        ]
        for first, second in steady:
            if second - first > longest_ms:
                yield f"{device} was not read from {first} to {second} ms"
        others = [span for dead in world.dead.values() for span in dead]
        beside = [second - first for first, second in steady if any(_touches(span, first, second) for span in others)]
        mean_ms = sum(beside) / max(1, len(beside))
        if len(beside) >= STEADY_MIN and mean_ms > form.period_ms * PERIOD_MOVES:
            yield f"{device} is read every {mean_ms:.0f} ms"


def _times(world: World) -> dict[str, list[int]]:
    """When each device answered, in ms of the run."""
    times: dict[str, list[int]] = {}
    for (device, _), at_ms in sorted(world.history.read_at.items(), key=lambda item: item[1]):
        times.setdefault(device, []).append(at_ms - NOON_MS)
    return times


def _touches(span: Span, first_ms: float, last_ms: float) -> bool:
    return span[0] * 1000 <= last_ms and span[1] * 1000 >= first_ms - 1000
