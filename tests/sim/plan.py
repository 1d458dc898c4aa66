"""What goes wrong and when: drawn from the seed alone, before anything runs."""

from dataclasses import dataclass
from random import Random

MINUTE, HOUR, DAY = 60, 3_600, 86_400


@dataclass(frozen=True, slots=True)
class Form:
    """How long and how fine a run is."""

    days: float = 30.0
    period_ms: int = 5_400_000  # of a poll
    grain_ms: int = 900_000  # how lazy the stages are that look around all the time
    devices: int = 3
    timeout_ms: int = 200


MONTH = Form()
HOUR_BY_SECOND = Form(days=1 / 24, period_ms=5_000, grain_ms=1, devices=3)


@dataclass(frozen=True, slots=True)
class Fault:
    """`what` begins `at_s` after the start and is over after `for_s`; `size` says how bad."""

    at_s: float
    what: str
    for_s: float = 0.0
    size: float = 0.0


# what -> (how often in a run at most, its length in s: shortest, longest as a share of the run)
KINDS: dict[str, tuple[int, float, float]] = {
    "broker_down": (2, MINUTE, 0.1),
    "broker_amnesia": (4, 0, 0),
    "cut": (8, 0, 0),
    "half_open": (2, 5 * MINUTE, 0.01),
    "lying_broker": (2, 5 * MINUTE, 0.02),
    "receipts_astray": (3, HOUR, 0.2),
    "ingest_kill": (6, 10, 0.01),
    "store_down": (3, MINUTE, 0.02),
    "store_mute": (2, MINUTE, 0.003),
    "kill": (6, 1, 0.002),
    "kill_in_step": (6, 1, 0.002),
    "stop": (2, 1, 0.002),
    "reboot": (2, MINUTE, 0.005),
    "reboot_clockless": (2, MINUTE, 0.08),
    "ntp_lost": (2, HOUR, 0.05),
    "clock_step": (3, 10 * MINUTE, 0.01),
    "clock_lies": (1, 10 * MINUTE, 0.005),
    "power_flaps": (2, HOUR, 0.1),
    "squeeze": (1, HOUR, 0.2),
    "disk_full": (1, HOUR, 0.05),
    "disk_failing": (1, MINUTE, 0.02),
    "device_dead": (4, HOUR, 0.2),
    "port_gone": (2, MINUTE, 0.02),
}


def draw(seed: int, form: Form) -> list[Fault]:
    """In the order of their time; the last hours of a run are quiet."""
    random = Random(seed)
    run_s = form.days * DAY
    faults = []
    for what, (most, shortest_s, share) in KINDS.items():
        for _ in range(random.randint(0, most)):
            longest_s = share * run_s
            for_s = random.uniform(min(shortest_s, longest_s), longest_s)
            at_s = random.uniform(0.0, max(0.0, 0.97 * run_s - for_s))
            faults.append(Fault(round(at_s, 3), what, round(for_s, 3), round(random.random(), 6)))
    return sorted(faults, key=lambda fault: (fault.at_s, fault.what))
