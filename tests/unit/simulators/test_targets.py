"""Names that a fault can be of."""

import pytest

from simulators.entry import WrongEntry
from simulators.fault import Target
from simulators.targets import fault_of, faults_of, targets_of
from tests.unit.simulators.worlds import METER, bus, modbus_device, site

WORLD = site(bus("rtu", "/nowhere", modbus_device("meter-1", METER)))


def test_buses_devices_and_fields_have_names() -> None:
    """Each with what it is and on which transport."""
    targets = targets_of(WORLD)
    assert targets["bus-1"] == Target("bus", "rtu")
    assert targets["meter-1"] == Target("device", "rtu")
    assert targets["meter-1.voltage"] == Target("field", "rtu")
    assert len(targets) == 2 + len(METER)


def test_all_tables_of_a_file() -> None:
    """In their order; one name may have several."""
    tables = {"meter-1": [{"kind": "silent"}, {"kind": "torn"}], "bus-1": [{"kind": "vanish"}]}
    assert [(one.target, one.kind) for one in faults_of(WORLD, tables)] == [
        ("meter-1", "silent"), ("meter-1", "torn"), ("bus-1", "vanish"),
    ]  # fmt: skip


def test_a_name_of_nothing_is_refused() -> None:
    """A slip would be ignored."""
    with pytest.raises(WrongEntry, match="meter-2"):
        fault_of("meter-2", targets_of(WORLD), {"kind": "silent"})
