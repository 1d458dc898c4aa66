"""Sums of sine waves: the sea, the day, a district's appetite, and noise that can be repeated.

That buys three things at once: a value depends on nothing but time and seed, so two processes and two runs agree; waves
with unrelated periods look like noise; and the integral is known in closed form, so a meter's energy is exactly the
integral of its power.
"""

import math
from dataclasses import dataclass
from random import Random

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
TIDE_S = (12.4206012 * HOUR_S, 12.0 * HOUR_S, 23.9344697 * HOUR_S, 25.8193417 * HOUR_S)  # M2, S2, K1, O1
TIDE_SHARE = (0.5, 0.2, 0.18, 0.12)
START_MS = 1_767_225_600_000  # 2026-01-01T00:00Z: phases and integrals count from here
LOCAL_S = 7 * HOUR_S  # Da Nang is UTC+7: the sun, and people's habits, follow it


@dataclass(frozen=True, slots=True)
class Waves:
    """A mean and sine waves around it, each (amplitude, period in s, phase in rad)."""

    mean: float
    parts: tuple[tuple[float, float, float], ...] = ()

    def at(self, at_ms: int) -> float:
        """The value at that time."""
        turned = math.tau * (at_ms - START_MS) / 1000
        value = self.mean
        for amplitude, period, phase in self.parts:  # the hottest line of a simulated district: no generator
            value += amplitude * math.sin(turned / period + phase)
        return value

    def hours(self, at_ms: int) -> float:
        """The integral from START_MS to that time, in value hours."""
        at_s = (at_ms - START_MS) / 1000
        swing = sum(
            a * p / math.tau * (math.cos(phase) - math.cos(math.tau * at_s / p + phase)) for a, p, phase in self.parts
        )
        return (self.mean * at_s + swing) / HOUR_S

    def times(self, factor: float) -> "Waves":
        """The same, stretched in value."""
        return Waves(self.mean * factor, tuple((a * factor, p, phase) for a, p, phase in self.parts))

    def plus(self, other: "Waves") -> "Waves":
        """Both, one on top of the other."""
        return Waves(self.mean + other.mean, self.parts + other.parts)


def tide(mean: float, amplitude: float, seed: int) -> Waves:
    """Water level: four constituents, so springs, neaps and unequal tides; never beyond `amplitude`."""
    chance = Random(f"tide {seed}")  # noqa: S311  a simulated sea is no secret
    phases = [chance.random() * math.tau for _ in TIDE_S]
    shares = zip(TIDE_SHARE, TIDE_S, phases, strict=True)
    return Waves(mean, tuple((amplitude * share, period, phase) for share, period, phase in shares))


def day(mean: float, amplitude: float, peak_h: float = 14.0) -> Waves:
    """Once a day, highest at `peak_h` local time."""
    phase = math.pi / 2 - math.tau * (peak_h * HOUR_S - LOCAL_S) / DAY_S
    return Waves(mean, ((amplitude, DAY_S, phase),))


def noise(amplitude: float, key: str, seed: int) -> Waves:
    """Wanders around 0, at several speeds, never beyond `amplitude`."""
    chance = Random(f"noise {key} {seed}")  # noqa: S311  as above
    periods = [base * (0.8 + 0.4 * chance.random()) for base in (7.0, 31.0, 173.0, 1301.0)]
    return Waves(0.0, tuple((amplitude / 4, period, chance.random() * math.tau) for period in periods))


def load(key: str, seed: int) -> Waves:
    """The active power of one installation in W: a base, a morning and an evening peak, machines that come and go."""
    chance = Random(f"load {key} {seed}")  # noqa: S311  as above
    peak_w = 800 + 2400 * chance.random()
    habits = day(0.5 * peak_w, 0.22 * peak_w, 19.0)
    twice = Waves(0.0, ((0.1 * peak_w, DAY_S / 2, chance.random() * math.tau),))
    return habits.plus(twice).plus(noise(0.12 * peak_w, key, seed))
