"""What a quantity looks like when nobody says otherwise: the first rule that fits its unit and a word of its name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from gateway.profile.profile import Field
from simulators.waves import Waves, day, load, noise, tide

MAINS_V = 230.0
PHASES = {"_l1": 0.36, "_l2": 0.31, "_l3": 0.33}  # how a load is shared
PER_WATT_HOUR = {"W.h": 1.0, "kW.h": 1e-3, "kV.A.h": 1e-3, "kV.A.h{reactive}": 3e-4}


@dataclass(frozen=True, slots=True)
class Asked:
    """Which field of which device, in which world."""

    device: str
    field: Field
    seed: int

    @property
    def key(self) -> str:
        """Its name."""
        return f"{self.device}.{self.field.name}"

    def noise(self, amplitude: float) -> Waves:
        """The field's own."""
        return noise(amplitude, self.key, self.seed)

    def weather(self, amplitude: float) -> Waves:
        """One for all fields of a device: where it is warm it is dry."""
        return noise(amplitude, self.device, self.seed)


Curve: TypeAlias = Callable[[Asked], Waves]


def curve(asked: Asked) -> Waves:
    """Of a measured quantity."""
    words = f"{asked.field.quantity} {asked.field.name}"
    rule = next((make for unit, word, make in _RULES if unit == asked.field.unit and word in words), None)
    made = None if rule is None else rule(asked)
    return made if made is not None and _plausible(asked.field, made.mean) else middling(asked)


def flow(asked: Asked) -> Waves:
    """What a counter counts, per hour: a meter's energy is the integral of its power, rain that of its intensity."""
    if asked.field.unit in PER_WATT_HOUR:
        return _power(asked).times(PER_WATT_HOUR[asked.field.unit])
    if asked.field.unit == "mm":
        return _rain(asked)
    return Waves(60.0).plus(asked.noise(30.0))


def middling(asked: Asked) -> Waves:
    """Somewhere in the middle of the field's range."""
    mean, amplitude = band(asked.field, 100.0, 10.0)
    return Waves(mean).plus(asked.noise(amplitude))


def band(field: Field, mean: float, amplitude: float) -> tuple[float, float]:
    """(mean, amplitude) well inside the field's range, or what is given where it has none."""
    if field.low is None or field.high is None:
        return mean, amplitude
    return (field.low + field.high) / 2, (field.high - field.low) / 10


def _plausible(field: Field, value: float) -> bool:
    return (field.low is None or field.low <= value) and (field.high is None or value <= field.high)


def _power(asked: Asked) -> Waves:
    """A meter's fields agree with each other: one load a device, shared by its phases, a little of it sent back."""
    name = asked.field.name
    share = next((share for ending, share in PHASES.items() if name.endswith(ending)), 1.0)
    return load(asked.device, asked.seed).times(share * (0.05 if "export" in name else 1.0))


def _current(asked: Asked) -> Waves:
    return _power(asked).times(1 / MAINS_V)


def _rain(asked: Asked) -> Waves:
    return Waves(2.0).plus(noise(2.0, f"{asked.device} rain", asked.seed))


def _wind(asked: Asked) -> Waves:
    return day(3.0, 1.5, 15.0).plus(asked.weather(2.5))


def _dust(asked: Asked) -> Waves:
    return day(35.0, 10.0, 19.0).plus(asked.weather(12.0))


def _sea(scale: float) -> Curve:
    return lambda asked: tide(1.2, 0.9, asked.seed).plus(asked.weather(0.03)).times(scale)


def _times(factor: float, make: Curve) -> Curve:
    return lambda asked: make(asked).times(factor)


def _wandering(mean: float, amplitude: float) -> Curve:
    return lambda asked: Waves(mean).plus(asked.noise(amplitude))


def _daily(mean: float, amplitude: float, weather: float, peak_h: float = 14.0) -> Curve:
    """The day is the same everywhere; a negative amplitude turns its weather round too."""
    return lambda asked: day(mean, amplitude, peak_h).plus(asked.weather(-weather if amplitude < 0 else weather))


_RULES: tuple[tuple[str, str, Curve], ...] = (  # unit, a word of the quantity or name ("" = any), curve
    ("V", "battery", _wandering(12.6, 0.4)),
    ("V", "", _wandering(MAINS_V, 3.0)),
    ("A", "", _current),
    ("mA", "", _times(1000, _current)),
    ("W", "", _power),
    ("kW", "", _times(1e-3, _power)),
    ("V.A", "", _times(1 / 0.95, _power)),
    ("V.A{reactive}", "", _times(0.3, _power)),
    ("Hz", "", _wandering(50.0, 0.05)),
    ("1", "factor", _wandering(0.95, 0.03)),
    ("Cel", "", _daily(27.0, 4.0, 1.0)),
    ("%", "humid", _daily(75.0, -14.0, 4.0)),
    ("hPa", "", _daily(1010.0, 1.5, 0.8, 10.0)),
    ("m", "", _sea(1)),
    ("cm", "", _sea(100)),
    ("mm", "", _sea(1000)),
    ("mm/h", "", _rain),
    ("m/s", "gust", _times(1.4, _wind)),
    ("m/s", "", _wind),
    ("deg", "", _wandering(180.0, 170.0)),
    ("ug/m3", "10", _times(1.6, _dust)),
    ("ug/m3", "", _dust),
    ("[ppm]", "", _daily(520.0, 90.0, 30.0, 20.0)),
    ("lx", "", _daily(15_000.0, 20_000.0, 1_000.0, 12.0)),
    ("W/m2", "", _daily(150.0, 600.0, 30.0, 12.0)),
    ("dB", "", _daily(58.0, 8.0, 6.0, 17.0)),
    ("[pH]", "", _wandering(7.2, 0.3)),
)
