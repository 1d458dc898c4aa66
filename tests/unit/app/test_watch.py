"""`gateway.app.watch`: alarms and maintenance over restarts, rows of a device in maintenance, hurried buses."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.app.watch import FILE, Watch
from gateway.counters import Counters
from gateway.model import Event
from gateway.site import Site, SpoolSettings
from gateway.testing.clock import FakeClock
from gateway.testing.worker import InlineWorker
from tests.unit.pipeline.test_alarms import BD2, a_site, row
from tests.unit.pipeline.test_fast import FAST


class Bench:
    """A watch on a folder, a clock that stands, and a bus that notes how it is hurried."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.told, self.hurries = FakeClock(), list[Event](), list[tuple[str, bool]]()
        self._folder = folder

    def start(self) -> Watch:
        """As after a restart: what the file says."""
        return Watch(self.site, [self], self.clock, Counters(), InlineWorker(), self.told.append)  # type: ignore[list-item] # all of a loop that it knows

    def hurry(self, device: str, *, fast: bool) -> None:
        """As `south.bus.Loop`."""
        self.hurries.append((device, fast))

    @property
    def site(self) -> Site:
        """One level sensor, a level, and a condition."""
        site = a_site(BD2)
        (bus,) = site.buses
        device = replace(bus.devices[0], fast=FAST, polled=())
        return replace(
            site, buses=(replace(bus, devices=(device,)),), spool=SpoolSettings(str(self._folder), 10**8, 60)
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """On a folder of its own."""
    return Bench(tmp_path)


async def asked(watch: Watch, **arguments: object) -> object:
    """The one answer to `maintenance`."""
    return [answer async for answer in watch.handlers()["maintenance"](arguments)][0]  # noqa: RUF015 - it goes to its end


async def test_an_alarm_is_kept_over_a_restart(bench: Bench) -> None:
    """Neither raised again nor lost."""
    watch = bench.start()
    assert [event.code for event in watch.take(row(0, 2.5))] == ["alarm_on", "fast_on"]
    await watch.keep()
    watch = bench.start()
    assert watch.alarms_on == (("level-1", "level", "bd2"),)
    assert [event.code for event in watch.take(row(1, 2.5))] == ["fast_on"]
    assert [event.code for event in watch.take(row(2, 0.1))] == ["alarm_off"]
    assert bench.hurries == [("level-1", True), ("level-1", True)]


async def test_an_alarm_that_left_the_site_file_is_told(bench: Bench, tmp_path: Path) -> None:
    """Nobody waits for its end."""
    (tmp_path / FILE).write_bytes(b'{"v":1,"alarms":[["level-1","level","old"]],"works":[]}')
    assert bench.start().alarms_on == ()
    assert [(event.code, event.detail) for event in bench.told] == [("alarm_removed", ("level", "old"))]


@pytest.mark.parametrize("data", [b"", b"[]", b'{"v":2}', b'{"v":1,"alarms":[[1,2,3]],"works":[]}', b'{"v":1}'])
async def test_a_broken_file_starts_anew(bench: Bench, tmp_path: Path, data: bytes) -> None:
    """It is told, and keeps nothing from starting."""
    (tmp_path / FILE).write_bytes(data)
    assert bench.start().alarms_on == ()
    assert [event.code for event in bench.told] == ["watch_unreadable"]


async def test_alarms_rest_in_maintenance(bench: Bench) -> None:
    """Over a restart too; then the first reading counts."""
    watch = bench.start()
    assert await asked(watch, device="level-1", for_ms=7_200_000, by="LVH", calibration=True) == {"code": "ok"}
    assert watch.take(row(0, 9.9)) == []
    watch = bench.start()
    assert [(work.device, work.kind, work.by) for work in watch.works] == [("level-1", "calibration", "LVH")]
    assert watch.take(row(1, 9.9)) == []
    assert await asked(watch, device="level-1", for_ms=0, by="LVH") == {"code": "ok"}
    assert [event.code for event in watch.take(row(2, 9.9))] == ["alarm_on", "fast_on"]
    assert [event.code for event in bench.told] == ["maintenance_on", "maintenance_off"]


async def test_what_cannot_be_asked(bench: Bench) -> None:
    """Another device, more than a day, nobody's name."""
    watch = bench.start()
    assert await asked(watch, device="other", for_ms=1, by="LVH") == {"code": "no_such_device"}
    for arguments in ({"for_ms": 86_400_001, "by": "LVH"}, {"for_ms": 1}, {"for_ms": 1, "by": 5}):
        answer = await asked(watch, device="level-1", **arguments)
        assert isinstance(answer, dict)
        assert answer["code"] == "bad_arguments"
    assert bench.told == []
