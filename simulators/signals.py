"""What the simulated world looks like: tide, day, load, rain, as pure functions of time and seed.

A signal is `(Moment) -> Value`. `signal_for` picks one by the field's quantity and unit and keeps it inside the
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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from gateway.model import UtcMs, Value
from gateway.profile.profile import Field
from simulators.meaning import limits
from simulators.waves import Waves, day, load, noise, tide

PHASES = {"_l1": 0.36, "_l2": 0.31, "_l3": 0.33}  # how a load is shared
MAINS_V = 230.0


@dataclass(frozen=True, slots=True)
class Moment:
    """When a value is asked for, and the running number of the reply it goes into."""

    utc_ms: UtcMs
    n: int = 0


Signal: TypeAlias = Callable[[Moment], Value]


class UnknownSignal(ValueError):
    """A `[signal]` entry that names no signal, or lacks what its signal needs."""


def signal_for(device: str, field: Field, seed: int, table: Mapping[str, object] | None = None) -> Signal:
    """The signal of one field: from its `[signal]` table, else by quantity and unit; raises UnknownSignal."""
    key = f"{device}.{field.name}"
    signal = _by_table(key, field, seed, table) if table is not None else _by_meaning(device, field, seed)
    return signal if field.letter != "f" else _inside(signal, field)


# by hand -----------------------------------------------------------------------------------------------------------


def _by_table(key: str, field: Field, seed: int, table: Mapping[str, object]) -> Signal:
    kind = table.get("kind")
    builder = _BUILDERS.get(str(kind))
    if builder is None:
        raise UnknownSignal(f"{key}: kind {kind!r} is none of {', '.join(sorted(_BUILDERS))}")
    build, known = builder
    if strange := set(table) - known - {"kind"}:
        raise UnknownSignal(f"{key}: {kind} knows no {', '.join(sorted(strange))}")
    return build(key, field, seed, table)


def _constant(key: str, field: Field, seed: int, table: Mapping[str, object]) -> Signal:
    value = table.get("value")
    if not isinstance(value, bool | int | float | str):
        raise UnknownSignal(f"{key}: constant needs a value")
    if {bool: "b", str: "s"}.get(type(value), "f") != field.letter:
        raise UnknownSignal(f"{key}: {value!r} does not fit the field")
    del seed
    fixed: Value = float(value) if field.letter == "f" else value
    return lambda moment: fixed


def _ramp(key: str, field: Field, seed: int, table: Mapping[str, object]) -> Signal:
    del seed
    start = _number(key, table, "start", field.low if field.low is not None else 0.0)
    step = _number(key, table, "step", 10.0**-field.decimals)
    room = (field.high if field.high is not None else start + step * 1_000_000) - start
    steps = int(room / step + 1e-9) if step else 0
    if steps < 1:
        raise UnknownSignal(f"{key}: a ramp from {start} by {step} leaves the field's range at once")
    return lambda moment: start + step * (moment.n % (steps + 1))


def _tide(key: str, field: Field, seed: int, table: Mapping[str, object]) -> Signal:
    mean, amplitude = _band(field, 1.0, 0.8)
    return _wave(tide(_number(key, table, "mean", mean), _number(key, table, "amplitude", amplitude), seed))


def _day(key: str, field: Field, seed: int, table: Mapping[str, object]) -> Signal:
    mean, amplitude = _band(field, 27.0, 5.0)
    mean, amplitude = _number(key, table, "mean", mean), _number(key, table, "amplitude", amplitude)
    curve = day(mean, 0.9 * amplitude, _number(key, table, "peak_h", 14.0))
    return _wave(curve.plus(noise(0.1 * amplitude, key, seed)))


def _noise(key: str, field: Field, seed: int, table: Mapping[str, object]) -> Signal:
    mean, amplitude = _band(field, 100.0, 10.0)
    mean, amplitude = _number(key, table, "mean", mean), _number(key, table, "amplitude", amplitude)
    return _wave(Waves(mean).plus(noise(amplitude, key, seed)))


def _counter(key: str, field: Field, seed: int, table: Mapping[str, object]) -> Signal:
    del field
    start, rate = _number(key, table, "start", 0.0), _number(key, table, "rate_per_h", 1.0)
    return _rising(Waves(rate).plus(noise(0.5 * rate, key, seed)), start)


def _switch(key: str, field: Field, seed: int, table: Mapping[str, object]) -> Signal:
    if field.letter != "b":
        raise UnknownSignal(f"{key}: a switch is for a boolean field")
    return _toggling(_number(key, table, "period_s", 600.0), key, seed)


def _number(key: str, table: Mapping[str, object], name: str, otherwise: float) -> float:
    value = table.get(name, otherwise)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UnknownSignal(f"{key}: {name} must be a number")
    return float(value)


Build: TypeAlias = Callable[[str, Field, int, Mapping[str, object]], Signal]
_BUILDERS: dict[str, tuple[Build, set[str]]] = {
    "constant": (_constant, {"value"}),
    "ramp": (_ramp, {"start", "step"}),
    "tide": (_tide, {"mean", "amplitude"}),
    "day": (_day, {"mean", "amplitude", "peak_h"}),
    "noise": (_noise, {"mean", "amplitude"}),
    "counter": (_counter, {"start", "rate_per_h"}),
    "switch": (_switch, {"period_s"}),
}


# by meaning --------------------------------------------------------------------------------------------------------


def _by_meaning(device: str, field: Field, seed: int) -> Signal:
    key = f"{device}.{field.name}"
    if field.letter == "b":
        return _toggling(600.0, key, seed)
    if field.letter == "s":
        return lambda moment: "ok"
    if field.counter:
        return _rising(_flow(device, field, seed), 0.0)
    return _clipped(_curve(device, field, seed))


def _flow(device: str, field: Field, seed: int) -> Waves:
    """What a counter counts, per hour."""
    if field.unit in _ENERGY_PER_WH:
        return _power(device, field, seed).times(_ENERGY_PER_WH[field.unit])
    if field.unit == "mm":
        return _rain(device, seed)
    return Waves(60.0).plus(noise(30.0, f"{device}.{field.name}", seed))


def _curve(device: str, field: Field, seed: int) -> Waves:
    """The curve of a measured quantity: the first rule that fits its unit and a word of its name."""
    key = f"{device}.{field.name}"
    words = f"{field.quantity} {field.name}"
    for unit, word, make in _RULES:
        if unit == field.unit and word in words:
            curve = make(device, field, seed)
            return curve if _holds(field, curve.mean) else _middling(field, key, seed)
    return _middling(field, key, seed)


def _power(device: str, field: Field, seed: int) -> Waves:
    share = next((share for ending, share in PHASES.items() if field.name.endswith(ending)), 1.0)
    quiet = 0.05 if "export" in field.name else 0.3 if "reactive" in field.name else 1.0
    return load(device, seed).times(share * quiet)


def _rain(device: str, seed: int) -> Waves:
    return Waves(2.0).plus(noise(2.0, f"{device} rain", seed))


def _wandering(mean: float, amplitude: float) -> Callable[[str, Field, int], Waves]:
    return lambda device, field, seed: Waves(mean).plus(noise(amplitude, f"{device}.{field.name}", seed))


def _daily(mean: float, amplitude: float, weather: float, peak_h: float = 14.0) -> Callable[[str, Field, int], Waves]:
    """The day is the same everywhere; the weather is the device's own, and one for all its fields: warm means dry."""
    sign = 1.0 if amplitude >= 0 else -1.0
    return lambda device, field, seed: day(mean, amplitude, peak_h).plus(noise(weather, device, seed).times(sign))


_ENERGY_PER_WH = {"W.h": 1.0, "kW.h": 1e-3, "kV.A.h": 1e-3, "kV.A.h{reactive}": 1e-3}
_RULES: tuple[tuple[str, str, Callable[[str, Field, int], Waves]], ...] = (
    ("V", "battery", _wandering(12.6, 0.4)),
    ("V", "", _wandering(MAINS_V, 3.0)),
    ("A", "", lambda device, field, seed: _power(device, field, seed).times(1 / MAINS_V)),
    ("W", "", _power),
    ("kW", "", lambda device, field, seed: _power(device, field, seed).times(1e-3)),
    ("V.A", "", lambda device, field, seed: _power(device, field, seed).times(1 / 0.95)),
    ("V.A{reactive}", "", _power),
    ("Hz", "", _wandering(50.0, 0.05)),
    ("1", "factor", _wandering(0.95, 0.03)),
    ("Cel", "", _daily(27.0, 4.0, 1.0)),
    ("%", "humid", _daily(75.0, -14.0, 4.0)),
    ("hPa", "", _daily(1010.0, 1.5, 0.8, 10.0)),
    ("m", "", lambda device, field, seed: tide(1.2, 0.9, seed).plus(noise(0.03, device, seed))),
    ("cm", "", lambda device, field, seed: tide(120.0, 90.0, seed).plus(noise(3.0, device, seed))),
    ("mm", "", lambda device, field, seed: tide(1200.0, 900.0, seed).plus(noise(30.0, device, seed))),
    ("mm/h", "", lambda device, field, seed: _rain(device, seed)),
    ("m/s", "gust", lambda device, field, seed: day(3.0, 1.5, 15.0).plus(noise(2.5, device, seed)).times(1.4)),
    ("m/s", "", lambda device, field, seed: day(3.0, 1.5, 15.0).plus(noise(2.5, device, seed))),
    ("deg", "", _wandering(180.0, 170.0)),
    ("ug/m3", "10", lambda device, field, seed: day(35.0, 10.0, 19.0).plus(noise(12.0, device, seed)).times(1.6)),
    ("ug/m3", "", lambda device, field, seed: day(35.0, 10.0, 19.0).plus(noise(12.0, device, seed))),
    ("[ppm]", "", _daily(520.0, 90.0, 30.0, 20.0)),
    ("lx", "", _daily(15_000.0, 20_000.0, 1_000.0, 12.0)),
    ("W/m2", "", _daily(150.0, 600.0, 30.0, 12.0)),
    ("dB", "", _daily(58.0, 8.0, 6.0, 17.0)),
    ("[pH]", "", _wandering(7.2, 0.3)),
)


# shapes ------------------------------------------------------------------------------------------------------------


def _wave(waves: Waves) -> Signal:
    return lambda moment: waves.at(moment.utc_ms)


def _clipped(waves: Waves) -> Signal:
    """No sun at night, no wind below 0: what a quantity is 0 at, not what it becomes."""
    if waves.mean <= 0:
        return _wave(waves)
    return lambda moment: max(0.0, waves.at(moment.utc_ms))


def _rising(flow: Waves, start: float) -> Signal:
    return lambda moment: start + max(0.0, flow.hours(moment.utc_ms))


def _toggling(period_s: float, key: str, seed: int) -> Signal:
    if period_s <= 0:
        raise UnknownSignal(f"{key}: period_s must be above 0")
    shift_ms = Random(f"switch {key} {seed}").random() * 2000 * period_s  # noqa: S311  as above
    return lambda moment: int((moment.utc_ms + shift_ms) // (1000 * period_s)) % 2 == 1


def _band(field: Field, mean: float, amplitude: float) -> tuple[float, float]:
    """(mean, amplitude) that stay well inside the field's range, or what is given where it has none."""
    if field.low is None or field.high is None:
        return mean, amplitude
    return (field.low + field.high) / 2, (field.high - field.low) / 10


def _middling(field: Field, key: str, seed: int) -> Waves:
    mean, amplitude = _band(field, 100.0, 10.0)
    return Waves(mean).plus(noise(amplitude, key, seed))


def _range(field: Field) -> tuple[float, float]:
    """What the gateway finds plausible and the registers can say."""
    low, high = limits(field)
    return max(low, -math.inf if field.low is None else field.low), min(high, math.inf if field.high is None else field.high)


def _holds(field: Field, value: float) -> bool:
    low, high = _range(field)
    return low <= value <= high


def _inside(signal: Signal, field: Field) -> Signal:
    """Kept in range (a counter starts again), and on the grid of the field's decimals."""
    low, high = _range(field)

    def value(moment: Moment) -> Value:
        wanted = float(signal(moment))
        if field.counter and wanted > high:
            wanted = low + (wanted - low) % (high - low)
        return round(min(max(wanted, low), high), field.decimals)

    return value
