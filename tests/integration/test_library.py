"""Every shipped profile from end to end: simulated, served over TCP or a terminal, read by our own loops, compared.

A serial device that is asked is read both ways: at a port, and behind a converter that passes bytes on.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

from gateway.clock.kernel import SystemClock
from gateway.config.compile import compile_simulator_file
from gateway.counters import Counters
from gateway.profile import plugins
from gateway.profile.load import load
from gateway.profile.profile import LocalSource, ModbusSource, Profile, ProtocolSource, SerialSource
from gateway.protocols.plugin import needs_port
from gateway.site import Device, Site
from gateway.sources import shipped
from gateway.south.bus import loops
from tests.integration.test_simulators import Rows, asked_at, head, simulators
from tests.support import checker

HOST = 'host = "127.0.0.1:0"'
TURNS, TURN_S = 300, 0.1
# A row has the time of its first reply: the last of the 11 that a DL/T 645 meter gives at 2400 baud comes 3 s later,
# more where the devices of 200 buses share a processor. No reply is a period off.
LIMITS = checker.Limits(within_ms=900, row_ms=10_000)
PAUSE_MS = 500


def test_every_field_of_every_profile_comes_through(tmp_path: Path) -> None:
    """What the gateway reads is what the device said, for each polled field of each profile and variant."""
    path = tmp_path / "site.toml"
    path.write_text(head(tmp_path) + "".join(_devices(tmp_path)))
    with simulators(path, "--seed", "5") as endpoints:
        site = _impatient(asked_at(compile_simulator_file(path, (tmp_path / "profiles",)).site, endpoints))
        wanted = set(_fields(site))
        rows = asyncio.run(_read(site, wanted))
    points = list(rows.points())
    assert {(point.device, point.field) for point in points} == wanted
    report = checker.check(checker.read_truth(tmp_path / "truth"), points, limits=LIMITS)
    assert report.matched
    assert [str(one) for one in report.offences if one.what != "missing"] == []


def _devices(folder: Path) -> Iterator[str]:
    """Each alone on its bus: several come with one unit_id."""
    library = load([shipped()])
    read = {ref: each for ref, each in library.profiles.items() if not isinstance(each.source, LocalSource)}
    for number, (ref, profile) in enumerate(sorted(read.items())):
        yield _device(folder, f"device-{number}", ref, profile, "")
        if _may_be_behind_a_converter(profile):
            yield _device(folder, f"behind-{number}", ref, profile, "", behind=True)
        for at, variant in enumerate(sorted(library.variants.get(ref, {}))):
            yield _device(folder, f"device-{number}-{at}", ref, profile, f'variant = "{variant}"\n')


def _may_be_behind_a_converter(profile: Profile) -> bool:
    source = profile.source
    if isinstance(source, ProtocolSource):
        return not needs_port(plugins.find(source.protocol))
    return isinstance(source, SerialSource) and source.poll is not None


def _device(folder: Path, name: str, ref: str, profile: Profile, variant: str, *, behind: bool = False) -> str:
    source = profile.source
    assert not isinstance(source, LocalSource)
    wired = not isinstance(source, ModbusSource) or source.wake  # what has to be woken is on a line
    where = f'port = "{folder}/{name}"\nline = "{source.line.baud} 8N1"' if wired and not behind else HOST
    unit_id = "" if not isinstance(source, ModbusSource) else f"unit_id = {source.unit_id}\n"
    return f"""[[bus]]
name = "to-{name}"
{where}
[[device]]
name = "{name}"
bus = "to-{name}"
{unit_id}profile = "{ref}"
{variant}every = "1s"
"""


def _impatient(site: Site) -> Site:
    """What has to be told to measure is ready soon: a simulated device has no wiper."""
    return replace(site, buses=tuple(replace(bus, devices=tuple(map(_soon_ready, bus.devices))) for bus in site.buses))


def _soon_ready(device: Device) -> Device:
    source = device.profile.source
    if not isinstance(source, ModbusSource) or source.start is None:
        return device
    source = replace(source, start=replace(source.start, pause_ms=PAUSE_MS))
    return replace(device, profile=replace(device.profile, source=source))


def _fields(site: Site) -> Iterator[tuple[str, str]]:
    for bus in site.buses:
        for device in bus.devices:
            for polled in device.polled:
                yield from ((device.name, field.name) for field in polled.fields if not field.hidden)


async def _read(site: Site, wanted: set[tuple[str, str]]) -> Rows:
    """Until each field has had a value."""
    clock = SystemClock("system")
    rows = Rows(clock)
    buses = loops(site, clock, Counters(), Random(7), rows.rows.append, lambda _: None)
    async with asyncio.TaskGroup() as tasks:
        for bus in buses:
            tasks.create_task(bus.run(), name=bus.name)
        for _ in range(TURNS):
            await asyncio.sleep(TURN_S)
            if {(point.device, point.field) for point in rows.points()} >= wanted:
                break
        for bus in buses:
            bus.stop()
    return rows
