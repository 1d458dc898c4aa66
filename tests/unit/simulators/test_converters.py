"""The `[converter]` tables."""

import pytest

from gateway.config.gateway import ConverterConfig
from gateway.profile.profile import Line
from simulators.converters import converters_of
from simulators.entry import WrongEntry
from simulators.lane import Converter
from tests.unit.simulators.worlds import METER, bus, modbus_device, site

WORLD = site(
    bus("tcp", "127.0.0.1:0", modbus_device("meter-1", METER), name="tcp-1"), bus("rtu", "/nowhere", name="rs485-1")
)


def test_a_converter_is_read() -> None:
    """With its line, its exception and its patience; all have defaults."""
    table = ConverterConfig(line="9600 8E1", absent=11, timeout="1s", shared=False)
    assert converters_of(WORLD, {"tcp-1": table}) == {"tcp-1": Converter(Line(9600, 8, "E", 1), 11, 1000, shared=False)}
    assert converters_of(WORLD, {"tcp-1": ConverterConfig()}) == {"tcp-1": Converter()}


@pytest.mark.parametrize("name", ["rs485-1", "tcp-2"])
def test_it_stands_before_a_host(name: str) -> None:
    """Not on a serial port, not at a bus that is not there."""
    with pytest.raises(WrongEntry, match=name):
        converters_of(WORLD, {name: ConverterConfig()})
