"""Which faults are on, of whom, how often."""

import pytest

from simulators.fault import Target
from simulators.faults import fault
from simulators.in_force import FAULTS_MAX, InForce

DEVICE, FIELD, BUS = Target("device", "tcp"), Target("field", "tcp"), Target("bus", "tcp")


def in_force(*tables: dict[str, object], target: Target = DEVICE, name: str = "m", seed: int = 1) -> InForce:
    """Of one target."""
    made = InForce(seed)
    for table in tables:
        made.add(fault(name, target, table))
    return made


def taken(faults: InForce, times: range, name: str = "m") -> list[str]:
    """The kinds that took one exchange a millisecond."""
    found = (faults.spoils(name, at) for at in times)
    return [one.fault.kind if one else "" for one in found]


def test_the_first_that_is_on_counts() -> None:
    """One after the other, as their timetables say; nobody else is touched."""
    faults = in_force({"kind": "silent", "for": "2ms"}, {"kind": "torn", "for": "4ms"})
    assert taken(faults, range(6)) == ["silent", "silent", "torn", "torn", "", ""]
    assert faults.spoils("other", 0) is None


def test_so_many_of_a_window() -> None:
    """`times`, anew in each window; and each knows its turn."""
    faults = in_force({"kind": "silent", "for": "4ms", "every": "10ms", "times": 2})
    found = [faults.spoils("m", at) for at in range(14)]
    assert [one.turn if one else None for one in found] == [0, 1, *[None] * 8, 0, 1, None, None]


def test_a_share_is_taken_by_seeded_chance() -> None:
    """A tenth of a thousand, the same ones for the same seed, others for another."""
    runs = [taken(in_force({"kind": "silent", "share": 0.1}, seed=seed), range(1000)) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
    assert 60 < runs[0].count("silent") < 140


def test_chance_differs_from_exchange_to_exchange() -> None:
    """Else noise would be the same bytes each time."""
    faults = in_force({"kind": "garbage"})
    first, second = faults.spoils("m", 0), faults.spoils("m", 0)
    assert first is not None
    assert second is not None
    assert first.chance.randbytes(8) != second.chance.randbytes(8)


def test_requests_are_refused() -> None:
    """While it is on, with its exception; it takes no exchange from another fault."""
    faults = in_force({"kind": "refuse_registers", "addresses": [7], "for": "5ms"}, {"kind": "silent"})
    assert faults.refuses("m", 3, (0, 9), 4) == 2
    assert faults.refuses("m", 3, (0, 6), 4) is None
    assert faults.refuses("m", 3, (0, 9), 5) is None
    assert taken(faults, range(1)) == ["silent"]


def test_values_are_bent() -> None:
    """Shifted; stuck at the first one of each window; none."""
    assert in_force({"kind": "jump", "by": 5}, target=FIELD, name="m.v").bends("m.v", 1.0, 0) == 6.0
    stuck = in_force({"kind": "stuck", "for": "2ms", "every": "4ms"}, target=FIELD, name="m.v")
    assert [stuck.bends("m.v", float(at), at) for at in range(8)] == [0, 0, 2, 3, 4, 4, 6, 7]
    assert in_force({"kind": "no_value"}, target=FIELD, name="m.v").bends("m.v", 1.0, 0) is None
    assert in_force({"kind": "jump"}, target=FIELD, name="m.v").bends("m.other", 1.0, 0) == 1.0


def test_a_bus_has_a_state() -> None:
    """While it is on; which buses have one is known."""
    faults = in_force({"kind": "refuse", "after": "1ms", "for": "1ms"}, target=BUS, name="b")
    assert [faults.state("b", at) for at in range(3)] == ["", "refuse", ""]
    assert list(faults.stateful()) == ["b"]
    assert list(in_force({"kind": "silent"}).stateful()) == []


def test_faults_come_and_go() -> None:
    """Cleared by name; forgotten when over; never too many."""
    faults = in_force({"kind": "silent", "for": "5ms"}, {"kind": "torn"})
    faults.forget(5)
    assert [one.kind for one in faults.faults()] == ["torn"]
    assert (faults.clear("m"), faults.clear("m")) == (1, 0)
    assert taken(faults, range(1)) == [""]
    for _ in range(FAULTS_MAX):
        faults.add(fault("m", DEVICE, {"kind": "silent"}))
    with pytest.raises(ValueError, match="already"):
        faults.add(fault("m", DEVICE, {"kind": "silent"}))
