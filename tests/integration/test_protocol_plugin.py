"""docs/how-to/protocol-plugin.md, as a person would follow it: built, installed, checked, simulated, read."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_simulators import head

PAGE = Path(__file__).parent.parent.parent / "docs" / "how-to" / "protocol-plugin.md"
FILE = re.compile(r"`([a-z_/.]+\.(?:py|toml))`(?: has[^\n]*\n[^\n]*)?:\n```[a-z]+\n(.*?)```", re.DOTALL)

COMPILE = """
import sys
from pathlib import Path
from gateway.config.compile import compile_simulator_file
from gateway.site import dumps
site = compile_simulator_file(Path(sys.argv[1]), (Path(sys.argv[2]),)).site
Path(sys.argv[3]).write_bytes(dumps(site))
"""
# As the daemon does: the compiled site, the loops, nothing that looks for entry points.
READ = """
import asyncio, json, sys
from pathlib import Path
from random import Random
from gateway.clock.kernel import SystemClock
from gateway.counters import Counters
from gateway.site import loads
from gateway.south.bus import loops
async def read(site):
    rows, events, clock = [], [], SystemClock("system")
    buses = loops(site, clock, Counters(), Random(7), rows.append, events.append)
    async with asyncio.TaskGroup() as tasks:
        for bus in buses:
            tasks.create_task(bus.run())
        for _ in range(100):
            await asyncio.sleep(0.1)
            if len(rows) >= int(sys.argv[2]) and len(events) >= int(sys.argv[3]):
                break
        for bus in buses:
            bus.stop()
    return [[row.group.device, *row.values] for row in rows], [[e.subject, e.code, e.detail] for e in events]
rows, events = asyncio.run(read(loads(Path(sys.argv[1]).read_bytes())))
print(json.dumps({"rows": rows, "events": events, "metadata": "importlib.metadata" in sys.modules}))
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the page; its package installed into `site` beside them."""
    folder = tmp_path_factory.mktemp("plugin")
    for name, text in FILE.findall(PAGE.read_text("utf-8")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    _run(folder, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist"))
    (wheel,) = (folder / "dist").glob("*.whl")
    _run(folder, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", "site", str(wheel))
    return folder


def test_the_page_has_every_file(written: Path) -> None:
    """The module is no longer than the page says it can be, and stands behind a real entry point."""
    module = (written / "acme_sounder.py").read_text("utf-8")
    assert len(module.splitlines()) <= 65
    (entry_points,) = (written / "site").glob("acme_sounder-*.dist-info/entry_points.txt")
    assert "gateway.protocols" in entry_points.read_text()
    assert sorted(path.name for path in (written / "profiles" / "acme").iterdir()) == [
        "sounder.toml",
        "sounder.vectors.toml",
    ]


def test_its_vector_is_checked(written: Path) -> None:
    """`gateway profile check` plays the visit; without the package the protocol is not known, and that is said."""
    said = _run(written, "-m", "gateway", "profile", "check", "--profiles", "profiles")
    assert "acme/sounder@1: 1 fields" in said
    alone = _try(written, "-m", "gateway", "profile", "check", "--profiles", "profiles", plugin=False)
    assert alone.returncode != 0
    assert "acme-sounder" in alone.stdout + alone.stderr
    vectors = written / "profiles" / "acme" / "sounder.vectors.toml"
    good = vectors.read_text()
    try:
        vectors.write_text(good.replace("31 2E 32", "31 2E 33"))
        assert _try(written, "-m", "gateway", "profile", "check", "--profiles", "profiles").returncode != 0
    finally:
        vectors.write_text(good)


def test_two_on_one_line_are_read(written: Path) -> None:
    """Site, twin on a pty, rows of both; the reading process never looks for entry points."""
    site = written / "site.toml"
    site.write_text(head(written) + _bus(written, "07") + _device("08"))
    compiled = _compiled(written, site)
    simulators = subprocess.Popen(
        [sys.executable, "-P", "-m", "simulators", str(site), "--profiles", "profiles", "--ports", "ports"],
        cwd=written,
        env=_env(plugin=True),
    )
    try:
        read = _read(written, compiled, 4, 0)
    finally:
        simulators.terminate()
        simulators.wait(10)
    assert {row[0] for row in read["rows"]} == {"sounder-07", "sounder-08"}
    assert all(0 <= row[1] <= 20 for row in read["rows"])
    assert read["metadata"] is False


def test_a_module_that_fails_is_an_event(written: Path) -> None:
    """Gone, or raising in the middle: its cause is told, its device is down, and the loop goes on."""
    site = written / "other.toml"
    site.write_text(head(written) + _bus(written, "07"))
    compiled = _compiled(written, site)
    broken = written / "broken"
    broken.mkdir()
    (broken / "acme_sounder.py").write_text(
        "class P:\n"
        "    def check(self, address, parts): pass\n"
        "    def alone(self, address): return False\n"
        "    def poll(self, address, parts):\n"
        "        from gateway.protocols.conversation import Pause\n"
        "        yield Pause(1)\n"
        "        1 / 0\n"
        "    def answer(self, address, told): yield\n"
        "PROTOCOL = P()\n"
    )
    main, _slave = os.openpty()
    port = written / "line-07"
    port.symlink_to(os.ttyname(_slave))
    try:
        for path, cause in ((broken, "ZeroDivisionError: division by zero"), (written / "dist", "ModuleNotFoundError")):
            events = _read(written, compiled, 0, 2, path)["events"]
            assert events[0][:2] == ["sounder-07", "protocol_failed"], events
            assert cause in events[0][2]
            assert ["sounder-07", "device_down"] in [event[:2] for event in events]
    finally:
        port.unlink()  # it would lead to whoever gets that terminal next, and a simulator leaves that alone
        os.close(main)
        os.close(_slave)


def _compiled(folder: Path, site: Path) -> Path:
    compiled = site.with_suffix(".json")
    _run(folder, "-c", COMPILE, str(site), "profiles", str(compiled))
    return compiled


def _read(folder: Path, compiled: Path, rows: int, events: int, path: Path | None = None) -> Mapping[str, Any]:
    said = _try(folder, "-c", READ, str(compiled), str(rows), str(events), path=path)
    assert said.returncode == 0, said.stderr
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def _bus(folder: Path, address: str) -> str:
    return f'[[bus]]\nname = "line"\nport = "{folder}/line-{address}"\n' + _device(address)


def _device(address: str) -> str:
    return (
        f'[[device]]\nname = "sounder-{address}"\nbus = "line"\nprofile = "acme/sounder@1"\n'
        f'address = "{address}"\nevery = "1s"\n'
    )


def _run(folder: Path, *words: str) -> str:
    done = _try(folder, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _try(folder: Path, *words: str, plugin: bool = True, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", *words],
        cwd=folder,
        env=_env(plugin=plugin, path=path or folder / "site"),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def _env(*, plugin: bool, path: Path | None = None) -> Mapping[str, str]:
    others = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return {**others, "PYTHONPATH": str(path or "site")} if plugin else others
