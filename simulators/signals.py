"""What the simulated world says: one signal a field, a pure function of time and seed.

A signal is `(Moment) -> Value`. `signal_for` picks one by what the field means (`curves`) and keeps it inside the
field's plausible range; a site's `[signal]` table picks another one by hand:

    [signal]
    "level-1.level" = { kind = "ramp", start = 0.0, step = 0.01 }
    "meter-1.voltage_l1" = { kind = "constant", value = 230.2 }

    kind       keys (all optional unless said)            what
    constant   value (required)                           the same for ever
    ramp       start, step                                one step more at each reply: no two served values are equal
    tide       mean, amplitude                            M2, S2, K1, O1
    day        mean, amplitude, peak_h                    once a day, with a little weather
    noise      mean, amplitude                            wanders between mean - amplitude and mean + amplitude
    counter    start, rate_per_h                          only rises
    switch     period_s                                   true and false in turn
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from gateway.model import UtcMs, Value
from gateway.profile.profile import Field
from simulators.curves import Asked, band, curve, flow
from simulators.meaning import limits
from simulators.waves import Waves, day, tide

SWITCH_PERIOD_S = 600.0
RAMP_STEPS = 1_000_000  # where a field has no upper limit


@dataclass(frozen=True, slots=True)
class Moment:
    """When a value is asked for, and the running number of the reply it goes into."""

    utc_ms: UtcMs
    n: int = 0


Signal: TypeAlias = Callable[[Moment], Value]


class UnknownSignal(ValueError):
    """A `[signal]` entry that names no signal, or lacks what its signal needs."""


def signal_for(
    device: str, field: Field, seed: int, table: Mapping[str, object] | None = None, power: int = 0
) -> Signal:
    """The signal of one field: from its `[signal]` table, else by what it means; raises UnknownSignal.

    `power` is what its scale register says, or, for a scale register, what it shall say.
    """
    asked = Asked(device, field, seed)
    if table is not None:
        signal = _by_hand(asked, table, power)
    else:
        signal = _fixed(float(power)) if field.hidden else _by_meaning(asked)
    return signal if field.letter != "f" else _inside(signal, field, power)


def powers(fields: Sequence[Field]) -> dict[str, int]:
    """The power of ten of each scale register, and of what is scaled by it: enough for all decimals of those."""
    wanted: dict[str, int] = {}
    for field in fields:
        if field.scale_from:
            wanted[field.scale_from] = min(wanted.get(field.scale_from, 0), field.tens - field.decimals)
    for field in fields:
        if field.name in wanted:
            low, high = limits(field)
            wanted[field.name] = int(min(max(wanted[field.name], low), high))
    return wanted | {field.name: wanted[field.scale_from] for field in fields if field.scale_from}


def _by_meaning(asked: Asked) -> Signal:
    if asked.field.parameter:
        return _fixed(_setting(asked.field))
    if asked.field.labels:
        return _turning(asked, [label for _, label in asked.field.labels], SWITCH_PERIOD_S)
    if asked.field.letter == "b":
        return _toggling(asked, SWITCH_PERIOD_S)
    if asked.field.letter == "s":
        return _fixed("ok")
    if asked.field.counter:
        return _rising(flow(asked), 0.0)
    made = curve(asked)
    return _wave(made) if made.mean <= 0 else _not_negative(made)


# by hand -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Hand:
    """One `[signal]` entry, as its maker reads it."""

    asked: Asked
    table: Mapping[str, object]
    power: int = 0

    def wrong(self, why: str) -> UnknownSignal:
        return UnknownSignal(f"{self.asked.key}: {why}")

    def number(self, name: str, otherwise: float) -> float:
        value = self.table.get(name, otherwise)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.wrong(f"{name} must be a number")
        return float(value)

    def band(self, mean: float, amplitude: float) -> tuple[float, float]:
        mean, amplitude = band(self.asked.field, mean, amplitude)
        return self.number("mean", mean), self.number("amplitude", amplitude)


def _by_hand(asked: Asked, table: Mapping[str, object], power: int) -> Signal:
    hand = _Hand(asked, table, power)
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise hand.wrong(f"kind {kind!r} is none of {', '.join(sorted(_KINDS))}")
    make, known, letters = _KINDS[kind]
    if strange := set(table) - known - {"kind"}:
        raise hand.wrong(f"{kind} knows no {', '.join(sorted(strange))}")
    if asked.field.letter not in letters:
        raise hand.wrong(f"{kind} is not for such a field")
    return make(hand)


def _constant(hand: _Hand) -> Signal:
    value = hand.table.get("value")
    if not isinstance(value, bool | int | float | str):
        raise hand.wrong("constant needs a value")
    if {bool: "b", str: "s"}.get(type(value), "f") != hand.asked.field.letter:
        raise hand.wrong(f"{value!r} does not fit the field")
    labels = [label for _, label in hand.asked.field.labels]
    if labels and value not in labels:
        raise hand.wrong(f"{value!r} is none of {', '.join(labels)}")
    return _fixed(float(value) if hand.asked.field.letter == "f" else value)


def _ramp(hand: _Hand) -> Signal:
    field = hand.asked.field
    low, high = _range(field, hand.power)
    start = hand.number("start", low if math.isfinite(low) else 0.0)
    step = hand.number("step", 10.0**-field.decimals)
    if not start < start + step <= high or start < low:
        raise hand.wrong(f"a ramp from {start} by {step} is not inside the field's range")
    steps = int((high - start) / step + 1e-9) if math.isfinite(high) else RAMP_STEPS
    return lambda moment: start + step * (moment.n % (steps + 1))


def _tide(hand: _Hand) -> Signal:
    return _wave(tide(*hand.band(1.0, 0.8), hand.asked.seed))


def _day(hand: _Hand) -> Signal:
    mean, amplitude = hand.band(27.0, 5.0)
    return _wave(day(mean, 0.9 * amplitude, hand.number("peak_h", 14.0)).plus(hand.asked.noise(0.1 * amplitude)))


def _noise(hand: _Hand) -> Signal:
    mean, amplitude = hand.band(100.0, 10.0)
    return _wave(Waves(mean).plus(hand.asked.noise(amplitude)))


def _counter(hand: _Hand) -> Signal:
    rate = hand.number("rate_per_h", 1.0)
    if rate < 0:
        raise hand.wrong("a counter does not fall")
    return _rising(Waves(rate).plus(hand.asked.noise(0.5 * rate)), hand.number("start", 0.0))


def _switch(hand: _Hand) -> Signal:
    period_s = hand.number("period_s", SWITCH_PERIOD_S)
    if period_s <= 0:
        raise hand.wrong("period_s must be above 0")
    return _toggling(hand.asked, period_s)


_KINDS: Mapping[str, tuple[Callable[[_Hand], Signal], frozenset[str], str]] = {  # maker, keys, letters of fields
    "constant": (_constant, frozenset({"value"}), "fbs"),
    "ramp": (_ramp, frozenset({"start", "step"}), "f"),
    "tide": (_tide, frozenset({"mean", "amplitude"}), "f"),
    "day": (_day, frozenset({"mean", "amplitude", "peak_h"}), "f"),
    "noise": (_noise, frozenset({"mean", "amplitude"}), "f"),
    "counter": (_counter, frozenset({"start", "rate_per_h"}), "f"),
    "switch": (_switch, frozenset({"period_s"}), "b"),
}


# shapes ------------------------------------------------------------------------------------------------------------


def _fixed(value: Value) -> Signal:
    return lambda _: value


def _wave(waves: Waves) -> Signal:
    return lambda moment: waves.at(moment.utc_ms)


def _not_negative(waves: Waves) -> Signal:
    """No sun at night, no wind below 0."""
    return lambda moment: max(0.0, waves.at(moment.utc_ms))


def _rising(rate_per_h: Waves, start: float) -> Signal:
    return lambda moment: start + max(0.0, rate_per_h.hours(moment.utc_ms))


def _toggling(asked: Asked, period_s: float) -> Signal:
    return _turning(asked, (False, True), period_s)


def _turning(asked: Asked, values: Sequence[Value], period_s: float) -> Signal:
    """One after the other, each for a period."""
    random = Random(f"switch {asked.key} {asked.seed}")  # noqa: S311  a simulated relay
    shift_ms = random.random() * 1000 * len(values) * period_s
    return lambda moment: values[int((moment.utc_ms + shift_ms) // (1000 * period_s)) % len(values)]


def _setting(field: Field) -> Value:
    """What a setting says that nobody has set: the least, or the first, that it may be."""
    if field.labels:
        return field.labels[0][1]
    if field.letter != "f":
        return "ok" if field.letter == "s" else False
    allowed = (*field.write.values[:1], field.write.low) if field.write else ()
    return next((float(one) for one in (*allowed, field.low) if one is not None), 0.0)


def _range(field: Field, power: int) -> tuple[float, float]:
    """What the gateway finds plausible and the registers can say."""
    low, high = limits(field, power)
    lowest = -math.inf if field.low is None else field.low
    highest = math.inf if field.high is None else field.high
    return max(low, lowest), min(high, highest)


def _inside(signal: Signal, field: Field, power: int) -> Signal:
    """Kept in range (a counter starts again), and on the grid of the field's decimals."""
    low, high = _range(field, power)

    def value(moment: Moment) -> Value:
        wanted = float(signal(moment))
        if field.counter and wanted > high:
            wanted = low + (wanted - low) % (high - low)
        return round(min(max(wanted, low), high), field.decimals)

    return value
