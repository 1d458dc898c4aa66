"""gateway.app.demo: the chain as child processes, its verdict, and its end whatever happened."""

import importlib
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.app import demo
from gateway.app.demo import Demo, DemoFailed, Verdict, read_truth
from gateway.app.matching import Point
from gateway.clock.kernel import SystemClock
from gateway.ioc.store.sqlite import SqliteStore

KEYS: dict[str, object] = {"device": "meter-1", "field": "a", "kind": "energy_meter"}


@pytest.fixture
def clock() -> Iterator[SystemClock]:
    """The machine's."""
    made = SystemClock("system")
    yield made
    made.close()


def alive(pid: int) -> bool:
    """Whether there is such a process, other than as a zombie of ours."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


async def test_the_chain_stores_what_its_devices_served(clock: SystemClock) -> None:
    """Rows and batches are seen on the way, nothing is missing, and nothing is left behind."""
    async with Demo(clock) as running:
        pids = [child.pid for child in running._children.values()]
        looks = []
        async for look in running.snapshots(30):
            looks.append(look)
            if look.stored >= 2 and len(look.rows) >= 5:
                break
        verdict = await running.finish()
    assert looks[-1].stored >= 2
    assert verdict.read > 20
    assert (verdict.stored, verdict.missing) == (verdict.read, ())
    assert not running.folder.exists()
    assert [pid for pid in pids if alive(pid)] == []


async def test_a_part_that_dies_ends_the_demo_and_leaves_its_log(clock: SystemClock) -> None:
    """By its name; the others are ended too."""
    pids: list[int] = []
    running = Demo(clock)

    async def watched() -> None:
        async with running:
            pids.extend(child.pid for child in running._children.values())
            os.kill(running._children["ingest"].pid, signal.SIGKILL)
            async for _ in running.snapshots(30):
                pass

    with pytest.raises(DemoFailed, match="ingest ended with -9"):
        await watched()
    assert (running.folder / "ingest.log").exists()
    assert [pid for pid in pids if alive(pid)] == []
    shutil.rmtree(running.folder)


async def test_a_part_that_ends_badly_is_no_success(clock: SystemClock) -> None:
    """An exit status other than 0 at the end is told, whatever the comparison would say."""
    running = Demo(clock)
    running._child("gateway", "gateway", "check", "/none.toml")
    (running.folder / "gateway.log").touch()
    running._children["gateway"].wait()
    with pytest.raises(DemoFailed, match="gateway ended with 2"):
        await running.finish()
    shutil.rmtree(running.folder)


async def test_without_a_broker_it_says_what_to_install(clock: SystemClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra `demo` is one."""

    def absent(_: str) -> object:
        raise ImportError

    monkeypatch.setattr(importlib, "import_module", absent)
    running = Demo(clock)
    with pytest.raises(DemoFailed, match=r"pip install 'sensor-gateway\[demo\]'"):
        async with running:
            pass
    shutil.rmtree(running.folder)


async def test_what_is_not_in_the_store_is_missing(clock: SystemClock) -> None:
    """By series, value and time; a torn last line of the devices' log is no entry."""
    running = Demo(clock)
    lines = [KEYS | {"utc_ms": at, "value": value, "via": "rtu"} for at, value in ((1000, 1.5), (2000, 2.5))]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (running.folder / "truth").write_text(text + text[:30])
    store = SqliteStore(running.folder / "store.db")
    await store.write([b"energy_meter,device=meter-1,gateway=hc-0001 a=1.5 1003"], "ms")
    await store.close()
    assert await running._verdict() == Verdict(2, 1, (Point(("meter-1", "a"), 2000, 2.5),))
    shutil.rmtree(running.folder)


def test_the_devices_log(tmp_path: Path) -> None:
    """What was sent unasked is told from what was asked for."""
    entries = [KEYS | {"utc_ms": 1, "value": 1.0, "via": via} for via in ("rtu", "stream")]
    (tmp_path / "truth").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    assert [served.stream for served in read_truth(tmp_path / "truth")] == [False, True]


def test_an_entry_of_the_devices_log_that_is_broken_in_its_middle_is_no_torn_line(tmp_path: Path) -> None:
    """The demo's proof would be of less than was served: it fails instead."""
    (tmp_path / "truth").write_text(json.dumps(KEYS)[:20] + "\n" + "{}\n")
    with pytest.raises(ValueError, match="Expecting"):
        list(read_truth(tmp_path / "truth"))


def test_free_ports_differ() -> None:
    """Held together, so that none is given out twice."""
    assert len(set(demo.free_ports(20))) == 20
