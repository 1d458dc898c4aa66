"""Was everything that the devices said stored, once, right, at its time, and nothing else? A judge of its own.

It compares two lists made by programs that do not know each other: the ground truth of the simulators (the format is
described in `simulators.truth`) and the points of the IOC's store. It shares no code with what it judges.

    python -m tests.support.checker TRUTH... --gateway hc-0001 (--influx URL --db NAME | --sqlite FILE)
                                    [--kill FROM..TO]... [--down FROM..TO]...
    (times in ms UTC; either side may be empty)

Rules
1. Every truth value is in the store exactly once, equal, within WITHIN_MS of its time. A row has one time, that of its
   first reply: what a later reply brought may be up to ROW_MS later than the row. Excused are values served in the
   durability bound before a gateway was killed and until it was back (`--kill`), and while it was down (`--down`).
2. Every point of the store is exactly one truth value.
3. A stream speaks whether or not the gateway is ready. Its values are required from the first one that was stored after
   each start of the gateway on, and in any case START_MS after it. One that speaks more often than it is to be
   reported is `sampled`: nothing is owed before a period has passed since the last one that was stored.
   One that the gateway counts as refused, because it was read too late for its time to be known, is `late`.
4. How far the rows are from their first replies is reported: half of them, 99 % and the worst. Limits are HALF_MS for
   the nearer half of each device's rows, and P99_MS for 99 % of all. A busy machine makes some rows late, so the second
   is for one that has nothing else to do; a time taken from another moment of the exchange makes all rows of a device
   late, which the first finds on any machine.
5. A read for one group may step over fields of another: a value that is not stored is excused as `in_passing` when a
   value of another group of the same reply is, and none of its own group.
6. A value that was said while a fault was on (`fault` in its line) may be stored and need not be.
A comparison that matched nothing is a failure.
"""

import argparse
import json
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import store_points
from tests.support.checker_matching import ROW_MS, Key, Pair, Truth, in_step, matched, row_dts, same, without
from tests.support.store_points import Point

WITHIN_MS = 200
P99_MS = 20
HALF_MS = 20
BOUND_MS = 1500  # max_age of a wired gateway and one commit
START_MS = 10_000
_SHARES = (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
FAR_MS = 60_000  # how far to look for an equal value that is only wrong in time
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Outage:
    """The gateway did not run from `from_ms` to `to_ms`, and may have lost what it read `bound_ms` before."""

    from_ms: float
    to_ms: float
    bound_ms: float = BOUND_MS

    def covers(self, at_ms: int) -> bool:
        """Whether a value of that time need not be stored."""
        return self.from_ms - self.bound_ms <= at_ms <= self.to_ms


@dataclass(frozen=True, slots=True)
class Refused:
    """The gateway counted so many frames of a stream as read too late (`frames_late`) between two looks at it."""

    device: str
    from_ms: float
    to_ms: float
    frames: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What is still right."""

    within_ms: int = WITHIN_MS
    p99_ms: int = P99_MS
    start_ms: int = START_MS
    half_ms: int = HALF_MS
    row_ms: int = ROW_MS


@dataclass(frozen=True, slots=True)
class Offence:
    """One value that breaks a rule: missing, wrong_value, wrong_time, duplicate or phantom."""

    what: str
    key: Key
    at_ms: int
    note: str

    def __str__(self) -> str:
        device, kind, name = self.key
        return f"{self.what:<12} {device} {kind}.{name} at {self.at_ms}: {self.note}"


@dataclass(frozen=True, slots=True)
class Report:
    """The verdict."""

    truths: int
    points: int
    matched: int
    excused: Mapping[str, int]
    offences: tuple[Offence, ...]
    device_dt_ms: Mapping[str, tuple[int, ...]]  # store time - time of the row's first reply, sorted by size
    limits: Limits = field(default_factory=Limits)
    value_dt_ms: tuple[int, ...] = ()  # of each value, its row's later replies included; sizes, sorted

    @property
    def counts(self) -> Mapping[str, int]:
        """Offences by kind."""
        return Counter(offence.what for offence in self.offences)

    @property
    def complaints(self) -> tuple[str, ...]:
        """Every rule that was broken; empty when all is right."""
        found = [f"{count} {what}" for what, count in sorted(self.counts.items())]
        if not self.matched:
            found.append("nothing was compared")
        elif self.dt_ms(0.99) > self.limits.p99_ms:
            found.append(f"99 % of the rows within {self.dt_ms(0.99)} ms, allowed are {self.limits.p99_ms}")
        halves = ((device, abs(dts[(len(dts) - 1) // 2])) for device, dts in sorted(self.device_dt_ms.items()))
        found += [
            f"half of the rows of {device} within {half_ms} ms, allowed are {self.limits.half_ms}"
            for device, half_ms in halves
            if half_ms > self.limits.half_ms
        ]
        return tuple(found)

    @property
    def ok(self) -> bool:
        """Whether no rule was broken."""
        return not self.complaints

    @property
    def row_dt_ms(self) -> tuple[int, ...]:
        """Of all devices, sorted by size."""
        return tuple(sorted((dt for dts in self.device_dt_ms.values() for dt in dts), key=abs))

    def dt_ms(self, share: float) -> int:
        """This share of the rows is at most so far off, either way."""
        sizes = [abs(dt) for dt in self.row_dt_ms]
        return sizes[max(0, math.ceil(share * len(sizes)) - 1)] if sizes else 0

    def value_ms(self, share: float) -> int:
        """This share of the values is stored at most so far from when it was served."""
        return self.value_dt_ms[max(0, math.ceil(share * len(self.value_dt_ms)) - 1)] if self.value_dt_ms else 0

    def text(self) -> str:
        """For people."""
        excused = ", ".join(f"{count} {why}" for why, count in sorted(self.excused.items())) or "none"
        lines = [
            f"truth {self.truths}, stored {self.points}, matched {self.matched}; not stored but excused: {excused}",
            f"{len(self.row_dt_ms)} rows, off by ms: "
            + ", ".join(f"{name} {self.dt_ms(share)}" for name, share in _SHARES)
            + "; values: "
            + ", ".join(f"{name} {self.value_ms(share)}" for name, share in _SHARES),
            "right" if self.ok else "WRONG: " + "; ".join(self.complaints),
        ]
        lines += [f"  {offence}" for offence in self.offences[:SHOWN]]
        if len(self.offences) > SHOWN:
            lines.append(f"  and {len(self.offences) - SHOWN} more")
        return "\n".join(lines)


def check(
    truths: Iterable[Truth],
    points: Iterable[Point],
    outages: Sequence[Outage] = (),
    limits: Limits | None = None,
    refused: Sequence[Refused] = (),
) -> Report:
    """Compare."""
    limits = limits or Limits()
    truths = sorted(truths, key=lambda truth: truth.at_ms)
    points = sorted(points, key=lambda point: point.at_ms)
    pairs = matched(truths, points, limits.within_ms, limits.row_ms)
    stored = {id(truth) for truth, _ in pairs}
    taken = {id(point) for _, point in pairs}
    excuse = _Excuses(truths, stored, outages, limits.start_ms, refused)
    missing = [truth for truth in truths if id(truth) not in stored]
    excused = Counter(why for truth in missing if (why := excuse(truth)))
    required = [truth for truth in missing if not excuse(truth)]
    spare = [point for point in points if id(point) not in taken]
    offences = sorted(_offences(required, spare, pairs, limits.within_ms), key=lambda offence: offence.at_ms)
    values = tuple(sorted(abs(point.at_ms - truth.at_ms) for truth, point in pairs))
    return Report(len(truths), len(points), len(pairs), excused, tuple(offences), row_dts(pairs), limits, values)


def read_truth(path: Path) -> list[Truth]:
    """The values of one log; a last line that was cut short is left out; raises ValueError for any other bad line.

    Lines that only tell of a fault have no value.
    """
    whole = path.read_bytes().rpartition(b"\n")[0]
    lines = (json.loads(line) for line in whole.splitlines())
    return [_truth(line) for line in lines if "value" in line or "fault" not in line]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 right, 1 wrong."""
    options = _parser().parse_args(arguments)
    truths = [truth for path in options.truth for truth in read_truth(path)]
    if options.influx:
        points = store_points.from_influx(options.influx, options.db, options.gateway)
    else:
        series = {(truth.kind, truth.device) for truth in truths}
        points = store_points.from_sqlite(options.sqlite, options.gateway, series)
    outages = [Outage(*span) for span in options.kill] + [Outage(first, last, 0) for first, last in options.down]
    report = check(
        truths, points, outages, Limits(options.within_ms, options.p99_ms, half_ms=max(HALF_MS, options.p99_ms))
    )
    sys.stdout.write(report.text() + "\n")
    return 0 if report.ok else 1


# excuses -------------------------------------------------------------------------------------------------------------


class _Excuses:
    """Why a truth value that is not stored may be missing; "" when there is no reason."""

    def __init__(
        self,
        truths: Sequence[Truth],
        stored: set[int],
        outages: Sequence[Outage],
        start_ms: int,
        refused: Sequence[Refused],
    ) -> None:
        self._late = set(_late(truths, stored, refused))
        self._outages = outages
        self._start_ms = start_ms
        self._starts = [-math.inf, *sorted(outage.to_ms for outage in outages)]
        self._first_served: dict[tuple[str, float], int] = {}
        self._first_stored: dict[tuple[str, float], int] = {}
        self._groups: dict[tuple[str, str, int], set[int | None]] = defaultdict(set)
        self._not_due: set[int] = set()
        self._sample(truths, stored)
        for truth in truths:
            life = truth.device, self._start(truth.at_ms)
            self._first_served.setdefault(life, truth.at_ms)
            if id(truth) in stored:
                self._first_stored.setdefault(life, truth.at_ms)
                self._groups[truth.device, truth.via, truth.n].add(truth.group)

    def __call__(self, truth: Truth) -> str:
        if truth.fault:
            return "fault"
        if any(outage.covers(truth.at_ms) for outage in self._outages):
            return "outage"
        if truth.via == "stream" and self._not_ready(truth):
            return "not_ready"
        if (truth.device, truth.n) in self._late:
            return "late"
        if id(truth) in self._not_due:
            return "sampled"
        groups = self._groups.get((truth.device, truth.via, truth.n), set())
        return "in_passing" if truth.group is None or (groups and truth.group not in groups) else ""

    def _not_ready(self, truth: Truth) -> bool:
        life = truth.device, self._start(truth.at_ms)
        began = max(life[1], self._first_served[life])
        return truth.at_ms < min(self._first_stored.get(life, math.inf), began + self._start_ms)

    def _sample(self, truths: Sequence[Truth], stored: set[int]) -> None:
        """Note what a stream said before its period was over, less half of its own step, at most a quarter of it."""
        before: dict[Key, int] = {}
        taken: dict[Key, int] = {}
        for truth in (truth for truth in truths if truth.via == "stream"):
            step_ms = truth.at_ms - before.get(truth.key, truth.at_ms)
            due_ms = taken.get(truth.key, -math.inf) + truth.every_ms - min(step_ms / 2, truth.every_ms / 4)
            if id(truth) in stored:
                taken[truth.key] = truth.at_ms
            elif truth.at_ms < due_ms:
                self._not_due.add(id(truth))
            before[truth.key] = truth.at_ms

    def _start(self, at_ms: int) -> float:
        return max(start for start in self._starts if start <= at_ms)


def _late(truths: Sequence[Truth], stored: set[int], refused: Sequence[Refused]) -> Iterable[tuple[str, int]]:
    """The frames (device, n) that are not stored and were refused: of each count no more than it has."""
    for one in refused:
        here = [truth for truth in truths if truth.device == one.device and one.from_ms <= truth.at_ms <= one.to_ms]
        frames = {truth.n for truth in here if truth.via == "stream"} - {t.n for t in here if id(t) in stored}
        yield from ((one.device, n) for n in sorted(frames)[: one.frames])


# offences ------------------------------------------------------------------------------------------------------------


def _offences(
    required: Sequence[Truth], spare: Sequence[Point], pairs: Sequence[Pair], within_ms: int
) -> Iterable[Offence]:
    """One for each truth value that is missing and each point that is too many; one for two that belong together."""
    late = _nearest(required, spare, FAR_MS, lambda one: (one.key, same(one.value)))
    required, spare = without(required, late, 0), without(spare, late, 1)
    wrong = _nearest(required, spare, within_ms, lambda one: one.key)
    required, spare = without(required, wrong, 0), without(spare, wrong, 1)
    for truth, point in late:
        yield Offence("wrong_time", truth.key, truth.at_ms, f"stored {point.at_ms - truth.at_ms:+d} ms off")
    for truth, point in wrong:
        yield Offence("wrong_value", truth.key, truth.at_ms, f"served {truth.value!r}, stored {point.value!r}")
    for truth in required:
        yield Offence("missing", truth.key, truth.at_ms, f"served {truth.value!r} ({truth.via} {truth.n}), not stored")
    once = {(truth.key, same(truth.value), n) for truth, _ in pairs for n in _bins(truth.at_ms, within_ms)}
    for point in spare:
        twice = (point.key, same(point.value), point.at_ms // within_ms) in once
        what, note = ("duplicate", "a second time") if twice else ("phantom", "never served")
        yield Offence(what, point.key, point.at_ms, f"stored {point.value!r}, {note}")


def _nearest(
    truths: Sequence[Truth], points: Sequence[Point], window_ms: int, what: Callable[[Truth | Point], object]
) -> list[Pair]:
    by_key: dict[object, tuple[list[Truth], list[Point]]] = defaultdict(lambda: ([], []))
    for truth in truths:
        by_key[what(truth)][0].append(truth)
    for point in points:
        by_key[what(point)][1].append(point)
    return [pair for some, theirs in by_key.values() for pair in in_step(some, theirs, window_ms)]


def _bins(at_ms: int, within_ms: int) -> range:
    """The stretches of `within_ms` that a point near this time falls into."""
    return range(at_ms // within_ms - 1, at_ms // within_ms + 2)


# command line --------------------------------------------------------------------------------------------------------


def _truth(line: Mapping[str, object]) -> Truth:
    value = line["value"]
    if not isinstance(value, bool | int | float | str):
        raise ValueError(f"no value in {line}")  # noqa: TRY004  a file is wrong, not a caller
    device, name, kind, via = (str(line[key]) for key in ("device", "field", "kind", "via"))
    at_ms, n, group = int(str(line["utc_ms"])), int(str(line["n"])), line.get("group", 0)
    every_ms = int(str(line.get("every_ms") or 0))
    number, fault = None if group is None else int(str(group)), str(line.get("fault", ""))
    return Truth(device, name, kind, value, at_ms, via, n, number, every_ms, fault)


def _span(text: str) -> tuple[float, float]:
    first, dots, last = text.partition("..")
    if not dots:
        raise argparse.ArgumentTypeError(f"{text!r} is not FROM..TO")
    return (float(first) if first else -math.inf), (float(last) if last else math.inf)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.support.checker", description="Truth against store.")
    parser.add_argument("truth", nargs="+", type=Path, help="ground-truth logs of the simulators")
    parser.add_argument("--gateway", required=True)
    store = parser.add_mutually_exclusive_group(required=True)
    store.add_argument("--influx", help="URL of an InfluxDB that answers InfluxQL")
    store.add_argument("--sqlite", type=Path, help="file of the embedded store")
    parser.add_argument("--db", default="city")
    parser.add_argument("--kill", action="append", default=[], type=_span, help="FROM..TO in ms UTC")
    parser.add_argument("--down", action="append", default=[], type=_span, help="FROM..TO in ms UTC")
    parser.add_argument("--within-ms", type=int, default=WITHIN_MS)
    parser.add_argument("--p99-ms", type=int, default=P99_MS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
