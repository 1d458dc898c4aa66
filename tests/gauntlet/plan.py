"""What goes wrong, and when: a timetable drawn from a seed. Pure: the same seed makes the same timetable.

A *family* is a list of kinds. From its start on faults are drawn without pause, each kind once before any comes again;
a fault has a target and lasts `for_s`. Two faults of one target never overlap, and none outlasts the run: what ends a
fault is part of it. What needs a thing that is not on this machine is left out, and `without` says so.

    process   kill -9 (back after 0.3 to 3 s) and SIGSTOP of gateway, both ingest workers, broker, database, simulators
    network   stall, reset, 1 to 7 byte slices, latency, half-open: of gateway, each worker, database
    broker    killed with all it knew, refusing connections, hanging
    database  down, hanging, 503, 401, 400 for a part, 400 for a wrong setting, slow, amnesia
    disk      full (a tmpfs of its own: root), errors (writes fail at once)
    bus       port unplugged, devices dead, late, torn, babbling; TCP refused, half-open
    clock     the gateway's wall clock steps, and the gateway is killed
    boot      the gateway starts while the broker is away, and is killed before it comes back; then its network stands
              still for 20 s, and it is killed again
    mixed     all of these at once
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

WARM_UP_S = 5.0
COOL_DOWN_S = 3.0
RING_S = 15.0  # so long after a disk works again a ring in RAM may live on: it is tried every 10 s
SERIAL, TCP = ("rs485-1", "wind-line", "dust-line"), ("tcp-1", "tcp-2")
RTU_DEVICES = ("meter-1", "air-1", "air-2", "relay-1")
TCP_DEVICES = ("weather-1", "meter-2")
PROCESSES = ("gateway", "ingest-1", "ingest-2", "broker", "influxd", "simulators")
WIRES = ("uplink", "ingest-1", "ingest-2", "store")  # the ways between them
STEPS_S = (3_600, -86_400, 315_360_000)  # an hour ahead, a day back, ten years ahead

AMNESIA, TMPFS = "gateway ioc recall", "a tmpfs (root)"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    at_s: float  # after the start of the run
    kind: str
    target: str
    for_s: float
    settings: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        extra = "".join(f" {name}={value}" for name, value in self.settings)
        return f"{self.at_s:6.1f} s  {self.kind:<12} {self.target:<11} for {self.for_s:4.1f} s{extra}"


@dataclass(frozen=True, slots=True)
class Kind:
    """How one fault is drawn: which targets, how long, with which settings."""

    name: str
    targets: Sequence[str]
    for_s: tuple[float, float]
    settings: Mapping[str, Sequence[str]]
    needs: str = ""

    def drawn(self, random: Random, at_s: float) -> Fault:
        """One of it."""
        settings = tuple((name, random.choice(values)) for name, values in self.settings.items())
        return Fault(round(at_s, 1), self.name, random.choice(self.targets), _of(random, self.for_s), settings)


@dataclass(frozen=True, slots=True)
class Plan:
    """One run."""

    seed: int
    family: str
    seconds: float
    faults: tuple[Fault, ...]
    without: tuple[str, ...]  # kinds that were left out: what they need is not here

    def text(self) -> str:
        """The timetable, a line a fault."""
        left_out = [f"  left out: {kind}" for kind in self.without]
        return "\n".join([*(f"  {fault}" for fault in self.faults), *left_out])


def _kind(
    name: str,
    targets: Sequence[str],
    for_s: tuple[float, float],
    needs: str = "",
    **settings: Sequence[str],
) -> Kind:
    return Kind(name, targets, for_s, settings, needs)


_FAMILIES: Mapping[str, Sequence[Kind]] = {
    "process": [
        *(_kind("kill", [process], (0.3, 3.0)) for process in PROCESSES),
        *(_kind("freeze", [process], (0.5, 5.0)) for process in PROCESSES),
    ],
    "network": [
        _kind("stall", WIRES, (2.0, 20.0)),
        _kind("reset", WIRES, (0.1, 0.1)),
        _kind("slice", WIRES, (2.0, 8.0), bytes=("1", "3", "7")),
        _kind("latency", WIRES, (3.0, 10.0), ms=("50", "300", "1500")),
        _kind("half_open", WIRES, (3.0, 20.0)),
    ],
    "broker": [
        _kind("kill", ["broker"], (0.3, 10.0)),
        _kind("freeze", ["broker"], (1.0, 12.0)),
        _kind("refuse", ["uplink", "ingest-1", "ingest-2"], (1.0, 10.0)),
    ],
    "database": [
        _kind("kill", ["influxd"], (0.5, 6.0)),
        _kind("freeze", ["influxd"], (1.0, 12.0)),
        _kind("hang", ["store"], (2.0, 10.0)),
        _kind("busy", ["store"], (2.0, 8.0)),
        _kind("unauthorised", ["store"], (2.0, 8.0)),
        _kind("partial", ["store"], (3.0, 8.0)),
        _kind("max_series", ["store"], (2.0, 8.0)),
        _kind("slow", ["store"], (3.0, 8.0), ms=("200", "1500", "3500")),
        _kind("amnesia", ["influxd"], (4.0, 10.0), AMNESIA),
    ],
    "disk": [
        _kind("full", ["disk"], (3.0, 8.0), TMPFS),
        _kind("io_errors", ["disk"], (2.0, 8.0)),
    ],
    "bus": [
        _kind("vanish", SERIAL, (1.0, 5.0)),
        _kind("refuse", TCP, (1.0, 5.0)),
        _kind("half_open", TCP, (1.0, 5.0)),
        _kind("silent", RTU_DEVICES + TCP_DEVICES, (2.0, 12.0)),
        _kind("late", RTU_DEVICES + TCP_DEVICES, (2.0, 6.0), by_timeouts=("0.6", "1.3", "2.2")),
        _kind("torn", RTU_DEVICES + TCP_DEVICES, (1.0, 4.0)),
        _kind("bit_flip", RTU_DEVICES, (1.0, 4.0)),
        _kind("garbage", RTU_DEVICES, (1.0, 4.0), size=("1", "3", "40")),
        _kind("wrong_crc", RTU_DEVICES, (1.0, 4.0)),
        _kind("exception", RTU_DEVICES + TCP_DEVICES, (1.0, 4.0), code=("2", "6")),
        _kind("wrong_unit_id", RTU_DEVICES, (1.0, 4.0)),
        _kind("truncated", ["wind-1", "dust-1"], (1.0, 4.0)),
    ],
    "clock": [
        _kind("step", ["clock"], (3.0, 9.0), by_s=[str(step_s) for step_s in STEPS_S]),
        _kind("kill", ["gateway"], (0.3, 2.0)),
    ],
}
FAMILIES = (*_FAMILIES, "boot", "mixed")
PAUSE_S = (0.3, 2.0)
_PAUSE_S = {
    "mixed": (-5.0, 1.0),
    "network": (-10.0, 0.5),
    "bus": (-3.0, 0.5),
    "disk": (4.0, 12.0),
}  # below 0: two at once
_MIXED_WITHOUT = frozenset(("step",))  # it needs a gateway started for it


def draw(seed: int, seconds: float, family: str, missing: Collection[str] = ()) -> Plan:
    """The timetable of a seed; `missing` names what this machine does not have."""
    random = Random(f"{family} {seed}")
    if family == "boot":
        return Plan(seed, family, seconds, tuple(_boot(random, seconds)), ())
    kinds = _kinds(family)
    ready = [kind for kind in kinds if kind.needs not in missing]
    without = tuple(f"{kind.name} (no {kind.needs})" for kind in kinds if kind.needs in missing)
    return Plan(seed, family, seconds, tuple(_drawn(random, ready, seconds, _PAUSE_S.get(family, PAUSE_S))), without)


def _kinds(family: str) -> list[Kind]:
    if family != "mixed":
        return list(_FAMILIES[family])
    return [kind for kinds in _FAMILIES.values() for kind in kinds if kind.name not in _MIXED_WITHOUT]


def _drawn(random: Random, kinds: Sequence[Kind], seconds: float, pause_s: tuple[float, float]) -> Iterator[Fault]:
    free_at: dict[str, float] = {}
    bag: list[Kind] = []
    at_s = WARM_UP_S
    while at_s < seconds - COOL_DOWN_S:
        bag = bag or random.sample(kinds, len(kinds))
        fault = bag.pop().drawn(random, at_s)
        ends_s = min(fault.at_s + fault.for_s, seconds - COOL_DOWN_S)
        if all(free_at.get(one, 0.0) <= fault.at_s for one in _touches(fault)):
            free_at |= dict.fromkeys(_touches(fault), ends_s + 0.5)
            free_at |= {"ring": ends_s + RING_S} if fault.target == "disk" else {}
            yield Fault(fault.at_s, fault.kind, fault.target, round(ends_s - fault.at_s, 1), fault.settings)
            at_s = max(fault.at_s + 0.2, ends_s + _of(random, pause_s))
        else:
            at_s += 0.5


def _touches(fault: Fault) -> tuple[str, ...]:
    """What must not be ill in another way meanwhile: a ring in RAM does not survive the daemon, and nobody says so."""
    if fault.target == "disk":
        return "disk", "gateway"
    if fault.kind == "kill" and fault.target == "gateway":
        return "gateway", "disk", "ring"
    if fault.target == "simulators":
        return "simulators", *SERIAL, *TCP, *RTU_DEVICES, *TCP_DEVICES, "wind-1", "dust-1"
    return (fault.target, *(("simulators",) if fault.target in _FIELD else ()))


_FIELD = frozenset((*SERIAL, *TCP, *RTU_DEVICES, *TCP_DEVICES, "wind-1", "dust-1"))


def _boot(random: Random, seconds: float) -> Iterator[Fault]:
    """The two runs in which another gateway lost data, one after the other.

    Up while the broker is away, and killed before it is back; on a network that stands still, killed before it moves.
    """
    half_s = (seconds - WARM_UP_S - COOL_DOWN_S) / 2
    yield Fault(WARM_UP_S, "refuse", "uplink", round(half_s, 1))
    yield Fault(WARM_UP_S + 1, "kill", "gateway", _of(random, (2.0, 4.0)))
    yield Fault(round(WARM_UP_S + half_s * _of(random, (0.6, 0.8)), 1), "kill", "gateway", _of(random, (0.3, 3.0)))
    stalled_s = round(WARM_UP_S + half_s + 3.0, 1)
    yield Fault(stalled_s, "stall", "uplink", round(half_s - 4.0, 1))
    yield Fault(round(stalled_s + half_s - 7.0, 1), "kill", "gateway", _of(random, (0.3, 2.5)))


def _of(random: Random, span: tuple[float, float]) -> float:
    return round(random.uniform(*span), 1)
