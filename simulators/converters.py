"""The `[converter]` tables of a simulator's file. Pure."""

from collections.abc import Mapping

from gateway.config.gateway import ConverterConfig
from gateway.profile.types import duration_ms, serial_line
from gateway.site import Site
from simulators.entry import WrongEntry
from simulators.lane import Converter


def converters_of(site: Site, tables: Mapping[str, ConverterConfig]) -> dict[str, Converter]:
    """By bus; raises WrongEntry for a bus that has none."""
    known = {bus.name for bus in site.buses if bus.transport in ("tcp", "rtu_over_tcp")}
    if strange := sorted(set(tables) - known):
        raise WrongEntry(f"{', '.join(strange)}: no bus of Modbus devices with a host")
    return {name: _converter(table) for name, table in tables.items()}


def _converter(table: ConverterConfig) -> Converter:
    line = serial_line(table.line) if table.line else None
    return Converter(line, table.absent, duration_ms(table.timeout), table.shared)
