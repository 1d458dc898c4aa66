"""What a device has taught us: which addresses it refuses, what it leaves unanswered, how fast it is. Pure.

One memory a device, shared by its groups, and kept over restarts (`dump`, `load`): a device is not asked again at every
start for what it does not have. Nothing in it is for ever, so that no register is ever given up:

- *refused*: the addresses of a field that were refused for themselves. Asked for again after a minute, then less and
  less often down to hourly; at every poll, by a read of its own, where they have been read once.
- *holes*: longer spans that were refused though each field in them was not: an address between them that nobody wants
  is illegal, or the read was too long. Forgotten after an hour; so is the longest read that is known to work, which
  from such a refusal on bounds the reads of several fields.
- *silent*: requests that stayed unanswered. They are made last, so that they cannot hide those that would be answered.
- *place*: where the registers of a SunSpec device stand (`place`).
- *latency*: the median of the last replies, taken up when it has moved by half as much again; plans follow it.

As JSON, spans are `[table, first, last]` and times are what is left in ms, because boot time starts anew.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import floor, inf, log2
from typing import Any

from gateway.model import BootMs
from gateway.profile.profile import Field, ModbusSource
from gateway.protocols.modbus_pdu import ReadRequest, Table
from gateway.site import Bus, Device, Site
from gateway.south.reads.place import Place
from gateway.south.reads.plan import BITS, REGISTERS_MAX, LineCost, Read, Span, bus_ms, count, line_cost, plan, span_of

REPROBE_MS, REPROBE_MS_MAX, REPROBE_GROWTH = 60_000, 3_600_000, 4
HOLES_MAX = 256  # the oldest go; more than that many reads of one device were never seen refused
SILENCES_MAX = 1024
SPANS_MAX = 4096  # that are loaded of one device
LATENCIES, LATENCIES_NEW = 31, 8  # the replies of a median, and after how many it is looked at again
LATENCY_MS_MAX = 10_000.0  # that is believed of an earlier life: reads are waited for so long
LATENCY_RATIO, LATENCY_STEP_MS = 1.5, 1.0  # a change that a plan follows: this much, and this many ms


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one poll met."""

    good: Sequence[Read]
    silent: Sequence[Read]
    illegal: Sequence[Read]


class Wanted:
    """Fields that are read together, and the plan for them while nothing new was learned."""

    def __init__(self, fields: Iterable[Field]) -> None:
        self.fields = tuple(fields)
        self.spans = tuple(span_of(field) for field in self.fields)
        self.once: set[int] = set()  # places of fields that were ever read
        self.reads: tuple[Read, ...] = ()
        self.as_of = -1  # `Memory.changes`
        self.until = 0


class Memory:
    """Of one device. `changes` rises whenever something that is worth keeping has changed."""

    def __init__(self, device: Device, cost: LineCost) -> None:
        self.changes = 0
        self._device = device
        self._cost = cost
        self.place = Place(device.profile.source.sunspec if isinstance(device.profile.source, ModbusSource) else None)
        self._latency = _Latency()
        self._once: set[Span] = set()
        self._told: set[Span] = set()
        self._refused: dict[Span, _Refusal] = {}
        self._holes: dict[Span, int] = {}  # and when they are forgotten
        self._longest = 0  # registers of the longest read that ever was answered
        self._limit: tuple[int, int] | None = None  # registers of a shared read, and until when
        self._silences: dict[ReadRequest, int] = {}

    @property
    def latency_ms(self) -> float | None:
        """What its median reply takes no more than; None until it is measured."""
        return None if self._latency.used_ms is None else self._latency.used_ms * LATENCY_RATIO

    @property
    def cost(self) -> LineCost:
        """Of a read now: with the measured latency once there is one."""
        measured = self._latency.used_ms
        return self._cost if measured is None else replace(self._cost, latency_ms=measured)

    def reads(self, wanted: Wanted, now: BootMs) -> Sequence[Read]:
        """The plan as things are; what was silent last time comes last."""
        if wanted.as_of != self.changes or wanted.until <= now:
            self._plan(wanted, now)
        if not self._silences:
            return wanted.reads
        return sorted(wanted.reads, key=lambda read: self._silences.get(read.request, 0))

    def cost_ms(self, wanted: Wanted, now: BootMs) -> float:
        """Modelled time of all reads of these fields."""
        cost = self.cost
        return sum(bus_ms(read, cost) for read in self.reads(wanted, now))

    def learn(self, wanted: Wanted, lesson: Lesson, now: BootMs) -> frozenset[Span]:
        """Take in what a poll of these fields met; the spans that are refused for the first time."""
        for read in lesson.good:
            if self._silences:
                self._silences.pop(read.request, None)
            self._praise(read, wanted)
        if not lesson.silent and not lesson.illegal:
            return frozenset()
        for read in lesson.silent if len(self._silences) < SILENCES_MAX else ():
            self._silences[read.request] = self._silences.get(read.request, 0) + 1
        spans = {read.span for read in lesson.illegal}
        smallest = [span for span in spans if not any(other != span and span.covers(other) for other in spans)]
        news = frozenset(span for span in smallest if span in wanted.spans and span not in self._told)
        for span in smallest:
            self._refuse(span, now) if span in wanted.spans else self._dig(span, now)
        if smallest:
            self.changes += 1
            self._silences.clear()
        return news

    def timed(self, latency_ms: float) -> bool:
        """The latency of a good reply; True when plans are made with another one from now on."""
        if not self._latency.note(latency_ms):
            return False
        self.changes += 1
        return True

    def dump(self, now: BootMs) -> dict[str, object]:
        """As plain JSON values."""
        limit = self._limit
        return {
            **_key(self._device),
            "model_at": self.place.at if self.place.sunspec else None,
            "latency_ms": self._latency.used_ms,
            "once": [_plain(span) for span in sorted(self._once)],
            "refused": [[*_plain(s), r.times, max(0, r.again_at - now)] for s, r in sorted(self._refused.items())],
            "holes": [[*_plain(span), max(0, until - now)] for span, until in sorted(self._holes.items())],
            "limit": None if limit is None else [limit[0], max(0, limit[1] - now)],
        }

    def load(self, plain: Mapping[str, Any], now: BootMs) -> bool:
        """Take in what `dump` said of this device; False, and nothing, for another profile, variant or unit_id.

        Raises ValueError, and takes nothing, for what no dump is.
        """
        if any(plain.get(name) != value for name, value in _key(self._device).items()):
            return False
        known = {span_of(field) for polled in self._device.polled for field in polled.fields}
        try:
            model_at = None if plain.get("model_at") is None else _whole(plain["model_at"])
            latency_ms = None if plain["latency_ms"] is None else min(_number(plain["latency_ms"]), LATENCY_MS_MAX)
            once = {span for span, _ in _spans(plain["once"], 0)} & known
            refused = {span: _Refusal(rest[0], now + _left(rest[1])) for span, rest in _spans(plain["refused"], 2)}
            holes = {span: now + _left(rest[0]) for span, rest in _spans(plain["holes"], 1)}
            limit = None if plain["limit"] is None else (_whole(plain["limit"][0]), now + _left(plain["limit"][1]))
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(f"not what is kept of a device: {error!r}") from None
        self.place.keep(model_at)
        self._latency = _Latency(latency_ms)
        self._once, self._limit = once, limit
        self._refused = {span: refusal for span, refusal in refused.items() if span in known}
        self._told = set(self._refused)
        self._holes = dict(list(holes.items())[:HOLES_MAX])
        return True

    def _plan(self, wanted: Wanted, now: BootMs) -> None:
        self._forget(now)
        refused = frozenset((*self._refused, *self._holes))
        alone = frozenset(
            place for place, span in enumerate(wanted.spans) if refused and self._is_asked_alone(span, now)
        )
        limit = REGISTERS_MAX if self._limit is None else self._limit[0]
        wanted.reads = plan(self._device.profile, wanted.fields, self.cost, refused, alone, limit)
        wanted.as_of, wanted.until = self.changes, self._until(now)

    def _until(self, now: BootMs) -> int:
        """When time alone changes a plan: something is forgotten, or asked for again."""
        again = [refusal.again_at for refusal in self._refused.values() if refusal.again_at > now]
        limit = [] if self._limit is None else [self._limit[1]]
        return min((*again, *self._holes.values(), *limit), default=now + REPROBE_MS_MAX)

    def _is_asked_alone(self, span: Span, now: BootMs) -> bool:
        """Whether a field on refused addresses gets a read of its own now; one on none needs no such read."""
        guilty = [refusal for refused, refusal in self._refused.items() if span.covers(refused)]
        if not guilty and not any(span.covers(hole) for hole in self._holes):
            return False
        return span in self._once or all(refusal.again_at <= now for refusal in guilty)

    def _praise(self, read: Read, wanted: Wanted) -> None:
        """What was read is not refused, nor is anything inside it."""
        if read.request.table not in BITS:
            self._longest = max(self._longest, read.request.count)
        if not wanted.once.issuperset(read.fields):
            wanted.once.update(read.fields)
            new = {wanted.spans[place] for place in read.fields} - self._once
            self._once |= new
            self.changes += bool(new)
        if self._refused or self._holes:
            self._forgive(read.span)

    def _forgive(self, read: Span) -> None:
        forgiven = [span for span in (*self._refused, *self._holes) if read.covers(span)]
        for span in forgiven:
            self._refused.pop(span, None)
            self._holes.pop(span, None)
        self.changes += bool(forgiven)

    def _refuse(self, span: Span, now: BootMs) -> None:
        self._refused[span] = _Refusal.after(self._refused.get(span), now)
        self._told.add(span)

    def _dig(self, span: Span, now: BootMs) -> None:
        """A span that holds a smaller refused one never comes here: that one explains it."""
        until = now + REPROBE_MS_MAX
        self._holes[span] = until
        if len(self._holes) > HOLES_MAX:
            del self._holes[min(self._holes, key=lambda hole: self._holes[hole])]
        if span.table not in BITS and 0 < self._longest < count(span):
            self._limit = self._longest, until

    def _forget(self, now: BootMs) -> None:
        gone = [span for span, until in self._holes.items() if until <= now]
        for span in gone:
            del self._holes[span]
        expired = self._limit is not None and self._limit[1] <= now
        if expired:
            self._limit = None
        self.changes += bool(gone or expired)


def memory_of(bus: Bus, device: Device) -> Memory:
    """An empty one."""
    source = device.profile.source
    if not isinstance(source, ModbusSource):
        raise TypeError(f"{device.name} is not asked by Modbus")
    return Memory(device, line_cost(bus, source))


def memories(site: Site) -> dict[str, Memory]:
    """An empty one for every device that is polled, by its name."""
    return {
        device.name: memory_of(bus, device)
        for bus in site.buses
        for device in bus.devices
        if isinstance(device.profile.source, ModbusSource)
    }


@dataclass(frozen=True, slots=True)
class _Refusal:
    """How often in a row, and when it is asked for again."""

    times: int
    again_at: int

    @staticmethod
    def after(earlier: "_Refusal | None", now: BootMs) -> "_Refusal":
        times = 1 + (earlier.times if earlier else 0)
        wait_ms = REPROBE_MS * REPROBE_GROWTH ** min(times - 1, 16)
        return _Refusal(times, now + min(wait_ms, REPROBE_MS_MAX))


class _Latency:
    """A running median: robust against the odd slow reply, and it forgets."""

    def __init__(self, used_ms: float | None = None) -> None:
        self.used_ms = used_ms  # what plans are made with
        self._last: deque[float] = deque(maxlen=LATENCIES)
        self._new = 0

    def note(self, ms: float) -> bool:
        """True when `used_ms` has changed."""
        self._last.append(ms)
        self._new += 1
        if self._new < LATENCIES_NEW:
            return False
        self._new = 0
        median = sorted(self._last)[len(self._last) // 2]
        if self.used_ms is not None and not _differs(self.used_ms, median):
            return False
        self.used_ms = _coarse(median)
        return True


def _coarse(ms: float) -> float:
    """To a quarter of its power of two: devices of a model that are as fast as each other share one plan."""
    step_ms = max(LATENCY_STEP_MS / 2, 2.0 ** floor(log2(ms)) / 4) if ms > 0 else LATENCY_STEP_MS / 2
    return round(ms / step_ms) * step_ms


def _differs(one_ms: float, other_ms: float) -> bool:
    low, high = sorted((one_ms, other_ms))
    return high - low >= LATENCY_STEP_MS and high >= low * LATENCY_RATIO


# --- as JSON ----------------------------------------------------------------------------------------------------------


def _key(device: Device) -> dict[str, object]:
    """What must be the same for a memory to be of use."""
    return {
        "device": device.name,
        "profile": device.profile.ref,
        "variant": device.variant,
        "unit_id": device.unit_id,
    }


def _plain(span: Span) -> list[object]:
    return [str(span.table), span.first, span.last]


def _spans(plain: Any, more: int) -> list[tuple[Span, list[int]]]:  # noqa: ANN401 - JSON
    """Spans, each with so many whole numbers behind it; raises ValueError."""
    if not isinstance(plain, list) or len(plain) > SPANS_MAX:
        raise ValueError("spans are a list, of bounded length")
    return [_span(item, more) for item in plain]


def _span(item: Any, more: int) -> tuple[Span, list[int]]:  # noqa: ANN401 - JSON
    if not isinstance(item, list) or len(item) != 3 + more:
        raise ValueError(f"not a span: {item!r:.80}")
    first, last, *rest = map(_whole, item[1:])
    return Span(Table(item[0]), first, last), rest


def _whole(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"not a whole number: {value!r:.80}")
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < inf:
        raise ValueError(f"not a latency: {value!r:.80}")
    return float(value)


def _left(value: object) -> int:
    """No wait is longer than the longest that is ever set."""
    return min(_whole(value), REPROBE_MS_MAX)
