"""A minute of every family of faults, by a fixed seed: nothing lost, wrong, or of nobody. And the judge can say no.

The families run as processes of their own, AT_ONCE at a time; a test waits for its family. A full disk is
a tmpfs and needs root: without, it is left out, and the timetable says so; with CI=true that fails.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.gauntlet import check
from tests.gauntlet.actors import missing_here
from tests.gauntlet.plan import AMNESIA, FAMILIES
from tests.support.servers import require

SECONDS = float(os.environ.get("GAUNTLET_SECONDS", "60"))
SEED = int(os.environ.get("GAUNTLET_SEED", "20261124"))
AT_ONCE = 3
REST_S = 420.0  # start, peace, judgement: bounded inside
TURNS = -(-len(FAMILIES) // AT_ONCE)


@dataclass(slots=True)
class Runs:
    """All families of a session, each once."""

    folder: Path
    ended: threading.Event = field(default_factory=threading.Event)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(AT_ONCE, "gauntlet"))
    _running: list[subprocess.Popen[str]] = field(default_factory=list)
    _results: dict[str, Future[tuple[int, str]]] = field(default_factory=dict)

    def begin(self) -> None:
        """All of them."""
        for family in FAMILIES:
            (self.folder / family).mkdir()
            self._results[family] = self._pool.submit(self._run, family)

    def of(self, family: str) -> tuple[int, str]:
        """Exit status and what it said."""
        return self._results[family].result(timeout=TURNS * (SECONDS + REST_S))

    def run_folder(self, family: str) -> Path:
        """What it left."""
        self.of(family)
        (folder,) = (self.folder / family).iterdir()
        return folder

    def end(self) -> None:
        """Each run ends what it started, by pid."""
        self.ended.set()
        for process in list(self._running):
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait()
        self._pool.shutdown(cancel_futures=True)

    def _run(self, family: str) -> tuple[int, str]:
        if self.ended.is_set():
            return 2, "not begun"
        command = [sys.executable, "-m", "tests.gauntlet", "--seed", str(SEED), "--seconds", str(SECONDS)]
        command += ["--family", family, "--keep", str(self.folder / family)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            self._running.append(process)
            said, _ = process.communicate()
        return process.returncode, said


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """They begin with the first test that asks."""
    for binary in ("mosquitto", "influxd"):
        require(binary)
    all_of_them = Runs(tmp_path_factory.mktemp("g"))  # short: the path of a socket has 107 bytes
    all_of_them.begin()
    yield all_of_them
    all_of_them.end()


@pytest.mark.server
@pytest.mark.timeout(TURNS * (SECONDS + REST_S))
@pytest.mark.parametrize("family", FAMILIES)
def test_a_minute_of_faults_loses_nothing(runs: Runs, family: str) -> None:
    """P1, P2, P4, P5, P8 under the faults of one family; a failing seed prints how to replay it."""
    code, said = runs.of(family)
    print(said)
    assert code == 0, said
    assert said.rstrip().endswith("right"), said


@pytest.mark.server
def test_this_machine_can_do_every_fault() -> None:
    """With CI=true no family may be shorter than it looks: it runs as root, who may mount a tmpfs."""
    missing = missing_here() - {AMNESIA}
    if os.environ.get("CI") == "true":
        assert not missing, f"left out here: {', '.join(sorted(missing))}"


def lose_a_row(series: dict[str, Any]) -> None:
    """One value less."""
    del series["values"][len(series["values"]) // 2]


def alter_a_value(series: dict[str, Any]) -> None:
    """In its last decimals."""
    _middle(series)[_column(series)] += 0.25


def shift_a_time(series: dict[str, Any]) -> None:
    """By 1.5 s."""
    _middle(series)[0] += 1_500_000_000


def add_a_phantom(series: dict[str, Any]) -> None:
    """A value that nobody served, at a time when nothing else is."""
    series["values"].append([series["values"][-1][0] + 90_000_000_000, *series["values"][-1][1:]])


@pytest.mark.server
@pytest.mark.timeout(TURNS * (SECONDS + REST_S))
@pytest.mark.parametrize(
    ("spoil", "word"),
    [(lose_a_row, "missing"), (alter_a_value, "wrong_value"), (shift_a_time, "wrong_time"), (add_a_phantom, "phantom")],
    ids=lambda one: getattr(one, "__name__", one),
)
def test_the_judge_sees_one_wrong_point_in_a_real_run(runs: Runs, tmp_path: Path, spoil: Any, word: str) -> None:
    """What InfluxDB answered, changed in one place after the run: red, with the name of the series."""
    folder = tmp_path / "spoilt"
    shutil.copytree(runs.run_folder("network"), folder, ignore=shutil.ignore_patterns("influxd-*", "mosquitto-*"))
    answer = json.loads((folder / "stored.json").read_bytes())
    spoil(_series(answer, "weather", "weather-1"))
    (folder / "stored.json").write_text(json.dumps(answer))
    verdict = check.judge(folder)
    print(verdict.text())
    assert not verdict.ok
    assert any(complaint.startswith(word) and " weather-1 " in complaint for complaint in verdict.complaints)


def _series(answer: dict[str, Any], kind: str, device: str) -> dict[str, Any]:
    series: list[dict[str, Any]] = answer["results"][0]["series"]
    return next(one for one in series if one["name"] == kind and one["tags"]["device"] == device)


def _middle(series: dict[str, Any]) -> list[Any]:
    values: list[list[Any]] = series["values"]
    return values[len(values) // 2]


def _column(series: dict[str, Any]) -> int:
    """Of a number in the middle row."""
    return next(at for at, value in enumerate(_middle(series)) if at and isinstance(value, float))
