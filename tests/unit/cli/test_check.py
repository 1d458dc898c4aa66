"""gateway.cli.check: what a technician reads about a site file."""

from io import StringIO
from pathlib import Path

import pytest

from gateway.cli.check import check
from tests.support.written import BUS, DEVICE, SITE, line_of, write, write_profile


def checked(path: Path, lang: str = "en", *folders: Path) -> tuple[int, str]:
    """Exit status and text."""
    out = StringIO()
    return check(path, folders, lang, out), out.getvalue()


def test_a_good_file(tmp_path: Path) -> None:
    """Exit 0, and what would run."""
    write_profile(tmp_path / "profiles")
    path = write(tmp_path / "gateway.toml", SITE + BUS + DEVICE)
    assert checked(path, "en", tmp_path / "profiles") == (0, "fine. buses: 1, devices: 1, fields: 1\n")


def test_all_problems_each_with_its_place_and_next_step(tmp_path: Path) -> None:
    """Exit 2; file and line first, so that an editor can jump there."""
    text = SITE + BUS + DEVICE.replace("rs485-1", "rs485-9") + "colour = 1\n"
    path = write(tmp_path / "gateway.toml", text)
    status, out = checked(path)
    assert status == 2
    assert f"{path}:{line_of(text, 'colour')}: device[0].colour\n" in out
    assert f"{path}:{line_of(text, 'bus = ')}: device[0].bus\n    There is no such bus: rs485-9" in out
    assert out.count("    -> ") == 3
    assert out.endswith("problems: 3\n")


def test_in_vietnamese(tmp_path: Path) -> None:
    """The technician's language first."""
    status, out = checked(write(tmp_path / "gateway.toml", SITE + BUS + DEVICE), "vi")
    assert status == 2
    assert "Không có hồ sơ thiết bị này: acme/probe@1" in out
    assert "-> Sửa lại hãng/mẫu@phiên-bản" in out
    assert out.endswith("số lỗi: 1\n")


@pytest.mark.parametrize(("lang", "word"), [("en", "note"), ("vi", "lưu ý"), ("fr", "note")])
def test_notes_are_shown_and_stop_nothing(tmp_path: Path, lang: str, word: str) -> None:
    """An unstable port is worth a word."""
    path = write(tmp_path / "gateway.toml", SITE + BUS.replace("/dev/serial/by-id/usb-1", "/dev/ttyUSB0"))
    status, out = checked(path, lang)
    assert status == 0
    assert out.startswith(f"{word}: {path}:")


def test_what_is_settled_by_a_broker_is_said_plainly(tmp_path: Path) -> None:
    """P2 is given up there: a note, which stops nothing, in front of the verdict."""
    path = write(tmp_path / "gateway.toml", SITE.replace('name = "ioc"', 'name = "ioc"\nsettle = "puback"'))
    status, out = checked(path)
    assert status == 0
    assert out.startswith(f"note: {path}:")
    assert "This uplink trusts its broker: no receipt proves that anybody stored what it sent" in out
