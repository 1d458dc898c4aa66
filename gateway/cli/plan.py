"""gateway plan: each read, its fields and time, and the load of each bus."""

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from gateway.cli.check import WRONG_FILE, paragraph
from gateway.config.compile import compile_file
from gateway.errors import Invalid
from gateway.profile.profile import ModbusSource
from gateway.site import Bus, Device, Site
from gateway.south.plan import Read, bus_ms, line_cost, plan

PERCENT = 100
WIDTH = 100


def show(path: Path, folders: Sequence[Path], lang: str, out: TextIO) -> int:
    """Exit 2 with every problem when the site cannot be compiled."""
    try:
        site = compile_file(path, folders).site
    except Invalid as invalid:
        out.writelines(paragraph(problem, lang) for problem in invalid.problems)
        return WRONG_FILE
    out.writelines(f"{line}\n" for line in text(site))
    return 0


def text(site: Site) -> Iterator[str]:
    """A paragraph a bus: its reads, then its load; times are modelled, nothing is measured yet."""
    for bus in site.buses:
        yield f"{bus.name}  {bus.transport}  {bus.endpoint}"
        if bus.transport == "stream":
            device = bus.devices[0]
            yield f"  {device.name}: sends by itself; a row every {_period(device.polled[0].period_ms)}"
            continue
        load = 0.0
        for device in bus.devices:
            for ms, period_ms, line in _reads(bus, device):
                load += ms / period_ms
                yield line
        verdict = "" if load <= 1 else "  MORE THAN THE BUS CAN DO"
        yield f"  load {load * PERCENT:.1f} %{verdict}"


def _reads(bus: Bus, device: Device) -> Iterator[tuple[float, int, str]]:
    source = device.profile.source
    if not isinstance(source, ModbusSource):
        return
    cost = line_cost(bus, source)
    for polled in device.polled:
        for read in plan(device.profile, polled.fields, cost):
            names = " ".join(polled.fields[place].name for place in read.fields)
            ms = bus_ms(read, cost)
            what = f"{device.name} every {_period(polled.period_ms)}: {_request(read)}  {ms:.1f} ms  {names}"
            yield ms, polled.period_ms, _wrapped(what)


def _request(read: Read) -> str:
    request = read.request
    return f"{request.table} {request.address:#06x} +{request.count}"


def _wrapped(line: str) -> str:
    """A read of a meter has dozens of fields."""
    return textwrap.fill(line, WIDTH, initial_indent="  ", subsequent_indent=" " * 6, break_on_hyphens=False)


def _period(ms: int) -> str:
    return f"{ms / 1000:g} s"
