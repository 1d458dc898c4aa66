"""gateway.app.compile: the child process of the daemon."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway import site
from gateway.app import compile as compiler
from gateway.text import words
from tests.support.written import BUS, DEVICE, PROFILE, SITE, write, write_profile


def run(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """The command, as the daemon starts it."""
    command = [sys.executable, "-m", "gateway", "compile", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, timeout=60)


def test_a_good_file_is_a_site_on_stdout(tmp_path: Path) -> None:
    """Exit 0, the site and nothing else on stdout, nothing on stderr."""
    write_profile(tmp_path / "profiles")
    path = write(tmp_path / "gateway.toml", SITE + BUS + DEVICE)
    done = run(path, "--profiles", tmp_path / "profiles")
    assert (done.returncode, done.stderr) == (0, b"")
    assert site.loads(done.stdout).buses[0].devices[0].profile.ref == "acme/probe@1"


def test_a_bad_file_is_exit_2_and_every_problem(tmp_path: Path) -> None:
    """One line a problem on stderr: place, what, and what to do; nothing on stdout."""
    path = write(tmp_path / "gateway.toml", SITE + BUS + DEVICE.replace("rs485-1", "rs485-9"))
    done = run(path)
    assert (done.returncode, done.stdout) == (2, b"")
    lines = done.stderr.decode().splitlines()
    bus, profile = (words.next_step(code, "en") for code in ("unknown_bus", "unknown_profile"))
    assert lines == [
        f"{path}:13: device[0].bus: unknown_bus: rs485-9; the nearest is rs485-1 -> {bus}",
        f"{path}:15: device[0].profile: unknown_profile: acme/probe@1 -> {profile}",
    ]


def test_a_missing_file_is_a_problem(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """No traceback for what a person can mend."""
    assert compiler.main([str(tmp_path / "none.toml")]) == 2
    out, err = capsysbinary.readouterr()
    assert out == b""
    assert err.decode().startswith(f"{tmp_path}/none.toml:1: file_unreadable: No such file or directory -> Check")


def test_the_journal_may_be_in_vietnamese(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """$GATEWAY_LANG of the unit; codes and places stay as they are."""
    monkeypatch.setenv("GATEWAY_LANG", "vi")
    assert compiler.main([str(tmp_path / "none.toml")]) == 2
    line = capsys.readouterr().err
    assert "file_unreadable" in line
    assert line.rstrip().endswith(words.next_step("file_unreadable", "vi"))


def test_notes_go_to_stderr_and_change_nothing(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """Several folders are searched in order; what overrides is said."""
    write_profile(tmp_path / "a")
    write_profile(tmp_path / "b", PROFILE.replace('en = "Probe"', 'en = "Mine"'))
    path = write(tmp_path / "gateway.toml", SITE + BUS + DEVICE)
    arguments = [str(path), "--profiles", str(tmp_path / "a"), "--profiles", str(tmp_path / "b")]
    assert compiler.main(arguments) == 0
    out, err = capsysbinary.readouterr()
    assert site.loads(out).buses[0].devices[0].profile.title[0] == ("en", "Mine")
    assert b"profile_overridden" in err
