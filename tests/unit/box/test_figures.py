"""gateway.box.figures: what the kernel says, and None for what it does not say."""

import os
from pathlib import Path

from gateway.box.figures import figures


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_raspberry_pi(tmp_path: Path) -> None:
    """Temperature, supply alarm, disk and memory, from files as its kernel makes them."""
    sys, device = tmp_path / "sys", tmp_path.stat().st_dev
    _write(sys / "class/thermal/thermal_zone0/temp", "51540\n")
    _write(sys / "class/hwmon/hwmon0/name", "cpu_thermal\n")
    _write(sys / "class/hwmon/hwmon1/name", "rpi_volt\n")
    _write(sys / "class/hwmon/hwmon1/in0_lcrit_alarm", "1\n")
    _write(sys / f"dev/block/{os.major(device)}:{os.minor(device)}/stat", " 1 2 3 4 5 6 2000 8 9 10 11\n")
    _write(tmp_path / "statm", "9000 500 300 1 0 400 0\n")
    seen = figures(tmp_path, sys=sys, statm=tmp_path / "statm")
    assert seen.cpu_temperature == 51.54
    assert seen.undervoltage is True
    assert seen.disk_written == 1.024
    assert seen.memory_used == 500 * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    """A machine without sensors, and a folder that does not exist."""
    seen = figures(tmp_path / "gone", sys=tmp_path, statm=tmp_path / "gone")
    assert (seen.cpu_temperature, seen.undervoltage, seen.memory_used) == (None, None, None)
    assert (seen.disk_free, seen.disk_written) == (None, None)


def test_this_machine_says_something(tmp_path: Path) -> None:
    """Load by sysinfo, memory of this process, free disk: right in size, on the kernel that runs the test."""
    seen = figures(tmp_path)
    assert seen.cpu_load is not None
    assert 0 <= seen.cpu_load < 10_000
    assert seen.memory_used is not None
    assert 5 < seen.memory_used < 5_000
    disk = os.statvfs(tmp_path)
    assert seen.disk_free is not None
    assert 0 < seen.disk_free <= disk.f_blocks * disk.f_frsize / 1e6


def test_files_that_make_no_sense_are_none(tmp_path: Path) -> None:
    """A driver that answers with a text, or with nothing."""
    _write(tmp_path / "class/thermal/thermal_zone0/temp", "N/A\n")
    _write(tmp_path / "class/hwmon/hwmon0/name", "rpi_volt\n")
    seen = figures(tmp_path, sys=tmp_path)
    assert seen.cpu_temperature is None
    assert seen.undervoltage is None
