"""gateway.app.sites: the site that the files say, or the last good one."""

import os
import subprocess
import sys
from contextlib import redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from gateway import site as compiled_sites
from gateway.app import compile as compiler
from gateway.app import sites
from gateway.app.sites import Loaded, NoSite
from gateway.config.compile import compile_file
from tests.support.written import BUS, DEVICE, PROFILE, SITE, write, write_profile

RUN, PYTHON = subprocess.run, sys.executable


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A good site file and the folder of its profile."""
    write_profile(tmp_path / "profiles")
    return write(tmp_path / "gateway.toml", SITE + BUS + DEVICE), tmp_path / "profiles"


@pytest.fixture(autouse=True)
def children(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands of the children. Ours run in this process, because a start takes time; one test has a real one."""
    started: list[list[str]] = []

    def inline(command: list[str], **options: object) -> object:
        started.append(command)
        return compiled_here(command) if command[0] == PYTHON else RUN(command, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", inline)
    return started


def compiled_here(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    """What the child would do."""
    assert command[1:4] == ["-m", "gateway", "compile"]
    with redirect_stdout(TextIOWrapper(BytesIO())) as out:
        status = compiler.main(command[4:])
    return subprocess.CompletedProcess(command, status, out.buffer.getvalue())


def kept_at(path: Path) -> Path:
    """Where the last good site stands when systemd gives no state folder."""
    return path.with_name(f".{path.name}.last-good.json")


def test_the_first_start_compiles_and_keeps(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """By a child process; what it made is kept as it came."""
    monkeypatch.setattr(subprocess, "run", RUN)
    path, profiles = files
    loaded = sites.load(path, [profiles])
    assert loaded == Loaded(compile_file(path, [profiles]).site, broken=False)
    assert compiled_sites.loads(kept_at(path).read_bytes()) == loaded.site


def test_unchanged_files_need_no_child(files: tuple[Path, Path], children: list[list[str]]) -> None:
    """The start budget: hashing alone tells."""
    path, profiles = files
    assert sites.load(path, [profiles]) == sites.load(path, [profiles])
    assert len(children) == 1


@pytest.mark.parametrize("changed", ["site", "profile", "new profile"])
def test_a_change_is_compiled(files: tuple[Path, Path], children: list[list[str]], changed: str) -> None:
    """Of the site file, of a profile, of the list of profiles: nothing old is run by mistake."""
    path, profiles = files
    sites.load(path, [profiles])
    if changed == "site":
        path.write_text(path.read_text().replace("probe-1", "probe-2"))
    elif changed == "profile":
        write_profile(profiles, PROFILE.replace('en = "Probe"', 'en = "Mine"'))
    else:
        (profiles / "acme" / "probe.toml").rename(profiles / "acme" / "probe@1.toml")
        (profiles / "acme" / "probe.vectors.toml").rename(profiles / "acme" / "probe@1.vectors.toml")
    loaded = sites.load(path, [profiles])
    assert len(children) == 2
    assert loaded == Loaded(compile_file(path, [profiles]).site, broken=False)


@pytest.mark.parametrize("broken", ["site", "profile", "absent", "folder"])
def test_broken_files_run_the_last_good_site(
    files: tuple[Path, Path], broken: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever broke: the box goes on with what it last ran, says so, and says what is wrong."""
    path, profiles = files
    good = sites.load(path, [profiles])
    if broken == "site":
        path.write_text("config_version = \n")
    elif broken == "profile":
        write_profile(profiles, PROFILE.replace("scale = 0.1", "scale = -1"))
    elif broken == "absent":
        path.unlink()
    else:
        profiles.rename(profiles.with_name("moved"))
    assert sites.load(path, [profiles]) == Loaded(good.site, broken=True)
    assert " -> " in capfd.readouterr().err


def test_it_stays_broken_until_it_is_mended(files: tuple[Path, Path]) -> None:
    """A broken start does not make the last good site newer than it is."""
    path, profiles = files
    text = path.read_text()
    sites.load(path, [profiles])
    path.write_text(text + "colour = 1\n")
    assert [sites.load(path, [profiles]).broken for _ in range(2)] == [True, True]
    path.write_text(text)
    assert not sites.load(path, [profiles]).broken


def test_a_broken_first_file_starts_nothing(files: tuple[Path, Path], capfd: pytest.CaptureFixture[str]) -> None:
    """No last good site: every problem with its place, and nothing is kept."""
    path, profiles = files
    path.write_text(path.read_text().replace("rs485-1", "rs485-9", 1).replace("unit_id = 1", "unit_id = 999"))
    with pytest.raises(NoSite, match=str(path)):
        sites.load(path, [profiles])
    said = capfd.readouterr().err
    assert f"{path}:14: device[0].unit_id: out_of_bounds" in said
    assert not kept_at(path).exists()


@pytest.mark.parametrize("torn", [b"", b'{"version":', b"\x00" * 64, b"[]", b'{"version":99,"pools":{},"site":[]}'])
def test_a_torn_last_good_file_is_compiled_anew(files: tuple[Path, Path], torn: bytes) -> None:
    """A power cut, bit rot, an older version: the files decide, and a whole one is kept again."""
    path, profiles = files
    whole = sites.load(path, [profiles])
    kept_at(path).write_bytes(torn)
    assert sites.load(path, [profiles]) == whole
    assert compiled_sites.loads(kept_at(path).read_bytes()) == whole.site


def test_a_torn_last_good_file_is_no_site_when_the_file_is_broken_too(files: tuple[Path, Path]) -> None:
    """Nothing half is ever run."""
    path, profiles = files
    sites.load(path, [profiles])
    kept_at(path).write_bytes(kept_at(path).read_bytes()[:-20])
    path.write_text("")
    with pytest.raises(NoSite):
        sites.load(path, [profiles])


def hanging_python(folder: Path) -> str:
    """An interpreter whose children never end by themselves."""
    script = write(folder / "hangs", "#!/bin/sh\nexec sleep 600\n")
    script.chmod(0o755)
    return str(script)


def test_a_child_that_hangs_is_ended_and_the_last_good_site_runs(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound holds: a box never waits for ever for its own compiler."""
    path, profiles = files
    good = sites.load(path, [profiles])
    path.write_text(path.read_text() + "\n# changed\n")
    monkeypatch.setattr(sites, "COMPILE_TIMEOUT_S", 0.2)
    monkeypatch.setattr(sys, "executable", hanging_python(tmp_path))
    assert sites.load(path, [profiles]) == Loaded(good.site, broken=True)


def test_a_child_that_hangs_at_the_first_start_is_no_site(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing to fall back to."""
    monkeypatch.setattr(sites, "COMPILE_TIMEOUT_S", 0.2)
    monkeypatch.setattr(sys, "executable", hanging_python(tmp_path))
    with pytest.raises(NoSite):
        sites.load(files[0], [files[1]])


def test_a_child_that_cannot_be_started_falls_back(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No memory for a fork, no interpreter: a cause like any other."""
    path, profiles = files
    good = sites.load(path, [profiles])
    path.write_text(path.read_text() + "\n# changed\n")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    assert sites.load(path, [profiles]) == Loaded(good.site, broken=True)


def test_output_that_is_no_site_never_takes_the_place_of_the_last_good_one(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that says well done and wrote something else: the box runs on, now and at the next start."""
    path, profiles = files
    good = sites.load(path, [profiles])
    path.write_text(path.read_text() + "\n# changed\n")
    script = write(tmp_path / "talks", "#!/bin/sh\necho a warning\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    assert sites.load(path, [profiles]) == Loaded(good.site, broken=True)
    assert compiled_sites.loads(kept_at(path).read_bytes()) == good.site


def test_a_folder_that_cannot_be_written_costs_only_a_child(
    files: tuple[Path, Path], children: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A read-only /etc: it compiles at every start."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "none"))
    for _ in range(2):
        assert not sites.load(files[0], [files[1]]).broken
    assert len(children) == 2


def test_under_systemd_it_is_kept_in_the_state_folder(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Beside the spool, not in /etc; the first of several folders."""
    (tmp_path / "state").mkdir()
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}/state:{tmp_path}/other")
    loaded = sites.load(files[0], [files[1]])
    assert compiled_sites.loads((tmp_path / "state" / "site.json").read_bytes()) == loaded.site
    assert not kept_at(files[0]).exists()


def test_keeping_is_whole_or_not_at_all(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk in the middle leaves the old one."""
    path, profiles = files
    sites.load(path, [profiles])
    before = kept_at(path).read_bytes()
    path.write_text(path.read_text().replace("probe-1", "probe-2"))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert sites.load(path, [profiles]).site.buses[0].devices[0].name == "probe-2"
    assert kept_at(path).read_bytes() == before
