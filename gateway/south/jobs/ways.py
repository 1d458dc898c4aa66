"""Where a scan looks, in which order, and how long it waits for an answer. Pure.

A *way* is how one endpoint may be spoken to: a serial line's speed and parity; TCP, or RTU frames over TCP. A *sweep*
is one question to many unit_ids on one way. The order is by what is found in cabinets: 9600 8N1, the lines that the
known profiles come with, other speeds; unit_id 1, the unit_ids that profiles come with, 2..10, the rest.

How long: a device answers 2..50 ms after the question; some take 200 ms and more. Nobody waits that long for each of
247 unit_ids, so a sweep is *quick* or *patient*. The quick bound follows what was seen on the wire: it grows with the
slowest answer and shrinks where all are fast, within limits that keep 247 silent unit_ids at 9600 baud below 30 s. What
answers later is not lost: it is heard while the next one is asked, and those that were asked last are then asked again,
patiently; and the likely unit_ids of a line where somebody lives are asked patiently in any case.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.profile.profile import Line, ModbusSource, Profile

SPEEDS = (9600, 19200, 4800, 115200, 2400, 38400, 57600, 1200)
PARITIES = ("N", "E", "O")
FIRST = (Line(9600), Line(9600, parity="E"), Line(19200), Line(19200, parity="E"), Line(4800), Line(115200))
UNIT_IDS = range(1, 248)
DEFAULT = Line()
LIKELY_MAX = 16
SMALL = range(1, 11)  # what people set by hand
BEHIND_TCP = (255, 0)  # a device's own unit_id where there is no bus behind it
ODD = (255, 211, 113)  # nobody has all of these: whoever answers to each does not look at the unit_id
QUICK_MS, QUICK_MS_MIN, QUICK_MS_MAX = 60.0, 40.0, 90.0
PATIENT_MS = 400.0
TCP_MS, TCP_MS_MIN = 1000.0, 300.0  # a converter waits by itself for each that is silent
FRAME_CHARS = 19  # of a question for one register, its answer and the silence between


@dataclass(frozen=True, slots=True)
class Way:
    """How an endpoint may be spoken to; `line` means nothing over TCP."""

    transport: str  # rtu | tcp | rtu_over_tcp
    line: Line = DEFAULT

    @property
    def serial(self) -> bool:
        """Whether bytes take time."""
        return self.transport == "rtu"

    @property
    def medium(self) -> tuple[str, int]:
        """The same for lines that differ in parity alone: some devices and adapters do not care about it."""
        return self.transport, self.line.baud if self.serial else 0

    def __str__(self) -> str:
        line = self.line
        return f"{line.baud} {line.bits}{line.parity}{line.stop_bits}" if self.serial else self.transport


TCP_WAYS = (Way("tcp"), Way("rtu_over_tcp"))


def serial_ways(profiles: Iterable[Profile]) -> tuple[Way, ...]:
    """Every line worth trying, most likely first."""
    known = Counter(source.line for source in _sources(profiles) if source.line.bits == DEFAULT.bits)
    rest = (Line(baud, parity=parity) for parity in PARITIES for baud in SPEEDS)
    lines = [FIRST[0], *(line for line, _ in known.most_common()), *FIRST, *rest]
    return tuple(Way("rtu", line) for line in dict.fromkeys(lines))


def unit_ids(
    profiles: Iterable[Profile], wanted: Sequence[int], *, serial: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(the likely ones, the rest), both most likely first; of those that are wanted."""
    known = Counter(source.unit_id for source in _sources(profiles))
    guesses = [1, *(() if serial else BEHIND_TCP), *(unit_id for unit_id, _ in known.most_common()), *SMALL]
    likely = [unit_id for unit_id in dict.fromkeys(guesses) if unit_id in wanted][:LIKELY_MAX]
    return tuple(likely), tuple(unit_id for unit_id in wanted if unit_id not in likely)


@dataclass(frozen=True, slots=True)
class Sweep:
    """One question to each of some unit_ids."""

    way: Way
    unit_ids: tuple[int, ...]
    patient: bool = False
    again: bool = False  # because something came that was nobody's answer

    def cost_ms(self, pace: "Pace") -> float:
        """If nobody answers."""
        return len(self.unit_ids) * exchange_ms(self.way, pace.timeout_ms(patient=self.patient))


def exchange_ms(way: Way, timeout_ms: float) -> float:
    """An unanswered question, its characters included."""
    bits = 1 + way.line.bits + (way.line.parity != "N") + way.line.stop_bits
    return timeout_ms + (1000 * FRAME_CHARS * bits / way.line.baud if way.serial else 0)


class Pace:
    """How long to wait on one way; learns from what answers."""

    def __init__(self, way: Way) -> None:
        self._serial = way.serial
        self._quick_ms = QUICK_MS if way.serial else TCP_MS
        self._slowest_ms = 0.0

    def timeout_ms(self, *, patient: bool) -> float:
        """From the end of the question to the first byte of the answer."""
        if not self._serial:
            return self._quick_ms
        return PATIENT_MS if patient else self._quick_ms

    def answered(self, after_ms: float) -> None:
        """A device took so long: wait three times as long as for the slowest, so that its likes are found at once."""
        self._slowest_ms = max(self._slowest_ms, after_ms)
        least, most = (QUICK_MS_MIN, QUICK_MS_MAX) if self._serial else (TCP_MS_MIN, TCP_MS)
        self._quick_ms = min(max(3 * self._slowest_ms, least), most)

    def came_late(self) -> None:
        """Something came after its time: from now on as patient as a quick sweep may be."""
        self.answered(QUICK_MS_MAX if self._serial else TCP_MS)


def _sources(profiles: Iterable[Profile]) -> Iterable[ModbusSource]:
    return (profile.source for profile in profiles if isinstance(profile.source, ModbusSource))
