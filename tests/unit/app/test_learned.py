"""gateway.app.learned: what was learned outlives the daemon, and is never in its way."""

import asyncio
from pathlib import Path

import orjson
import pytest

from gateway.app import files
from gateway.app.learned import FILE, KEEP_EVERY_MS, TOLD_MAX, Learned
from gateway.counters import Counters
from gateway.south.reads.memory import LATENCY_MS_MAX, Lesson, Wanted
from gateway.testing.clock import FakeClock
from gateway.testing.worker import InlineWorker
from tests.support.south import a_bus, a_device, a_field, a_site
from tests.support.sunspec import sunspec_device

FIELDS = [a_field(n) for n in range(4)]


class Box:
    """One daemon's life after another on one disk."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.counters = FakeClock(), Counters()
        devices = (a_device("m", (FIELDS, 1000)), a_device("n", (FIELDS, 1000), unit_id=2))
        self.site = a_site(a_bus(*devices), spool=str(folder))

    def start(self) -> Learned:
        """An empty one."""
        return Learned(self.site, self.clock, self.counters, InlineWorker())

    def teach(self, learned: Learned, device: str) -> None:
        """It refuses its second field."""
        memory, now = learned.memories[device], self.clock.boot_ms()
        (read,) = memory.reads(Wanted(FIELDS[1:2]), now)
        memory.learn(Wanted(FIELDS[1:2]), Lesson([], [], [read]), now)

    def requests(self, learned: Learned, device: str) -> list[tuple[int, int]]:
        """What would be asked for."""
        reads = learned.memories[device].reads(Wanted(FIELDS), self.clock.boot_ms())
        return [(read.request.address, read.request.count) for read in reads]


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """A box with two devices."""
    return Box(tmp_path)


async def test_it_is_known_after_a_restart(box: Box) -> None:
    """The refused field is not asked for again at once; the other device has nothing to do with it."""
    learned = box.start()
    assert learned.load() == ()
    box.teach(learned, "m")
    await learned.keep()
    again = box.start()
    assert again.load() == ()
    assert box.requests(again, "m") == [(0, 1), (2, 2)]
    assert box.requests(again, "n") == [(0, 4)]


async def test_it_is_written_only_when_something_has_changed(box: Box, tmp_path: Path) -> None:
    """At most every ten minutes; an SD card is worn by less."""
    learned = box.start()
    await learned.keep()
    assert not (tmp_path / FILE).exists()
    box.teach(learned, "m")
    await learned.keep()
    (tmp_path / FILE).unlink()
    await learned.keep()
    assert not (tmp_path / FILE).exists()


async def test_run_keeps_it_every_ten_minutes(box: Box, tmp_path: Path) -> None:
    """Not before."""
    learned = box.start()
    box.teach(learned, "m")
    running = asyncio.create_task(learned.run())  # noqa: TID251 - time has to move beside it
    await box.clock.advance(KEEP_EVERY_MS - 1)
    assert not (tmp_path / FILE).exists()
    await box.clock.advance(1)
    assert (tmp_path / FILE).exists()
    running.cancel()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"v":2,"devices":[]}', b'{"v":1,"devices":{}}', b"\xff\xfe", b"9" * 400]
)
async def test_a_damaged_file_is_told_and_left_out(box: Box, tmp_path: Path, content: bytes) -> None:
    """And written anew once there is something to write."""
    files.keep(tmp_path / FILE, content)
    learned = box.start()
    (event,) = learned.load()
    assert event.code == "learned_unreadable"
    assert box.counters.total("learned_unreadable") == 1
    assert box.requests(learned, "m") == [(0, 4)]
    box.teach(learned, "m")
    await learned.keep()
    assert box.start().load() == ()


async def test_one_damaged_entry_costs_only_itself(box: Box, tmp_path: Path) -> None:
    """The others are taken in; a device that has left the site is no news."""
    learned = box.start()
    box.teach(learned, "m")
    await learned.keep()
    document = orjson.loads((tmp_path / FILE).read_bytes())
    document["devices"][1]["once"] = [["input", -1, 0]]
    document["devices"] += [7, {"device": "gone"}]
    files.keep(tmp_path / FILE, orjson.dumps(document))
    again = box.start()
    assert [event.detail for event in again.load()] == ["n: not a whole number: -1", "an entry is no object"]
    assert box.requests(again, "m") == [(0, 1), (2, 2)]


async def test_a_disk_that_fails_is_counted_and_tried_again(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It never stops the gateway."""
    learned = box.start()
    box.teach(learned, "m")

    def full(_: Path, __: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "keep", full)
        await learned.keep()
    assert box.counters.total("learned_not_kept") == 1
    await learned.keep()
    assert (tmp_path / FILE).exists()


async def test_a_latency_that_no_device_has(box: Box, tmp_path: Path) -> None:
    """It is a deadline's part: what cannot be waited for must not stop the bus, nor keep it waiting for an hour."""
    devices = [{"device": "m", "profile": "test/thing@1", "variant": "", "unit_id": 1}]
    rest = {"latency_ms": 1e308, "once": [], "refused": [], "holes": [], "limit": None}
    files.keep(tmp_path / FILE, orjson.dumps({"v": 1, "devices": [devices[0] | rest]}))
    learned = box.start()
    assert learned.load() == ()
    assert learned.memories["m"].cost.latency_ms == LATENCY_MS_MAX


async def test_a_file_of_nothing_but_junk_is_no_flood(box: Box, tmp_path: Path) -> None:
    """A million entries that are none are told as a few."""
    files.keep(tmp_path / FILE, orjson.dumps({"v": 1, "devices": [0] * 1_000_000}))
    assert len(box.start().load()) == TOLD_MAX


async def test_the_place_of_a_sunspec_model_outlives_the_daemon(tmp_path: Path) -> None:
    """The next start walks nothing: it reads the header with the first row."""
    box = Box(tmp_path)
    box.site = a_site(a_bus(sunspec_device()), spool=str(tmp_path))
    learned = box.start()
    learned.memories["m"].place.keep(40_070)
    learned.memories["m"].changes += 1
    await learned.keep()
    again = box.start()
    assert again.load() == ()
    assert again.memories["m"].place.at == 40_070
    kept = orjson.loads((tmp_path / FILE).read_bytes())
    kept["devices"][0]["model_at"] = 65_530
    files.keep(tmp_path / FILE, orjson.dumps(kept))
    beyond = box.start()
    assert [event.code for event in beyond.load()] == ["learned_unreadable"]
    assert beyond.memories["m"].place.at is None
