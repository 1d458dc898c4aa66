"""What the kernel tells of this box, from /sys and a few system calls. Blocking, a millisecond in all.

Nothing here needs a right that the unit does not give: /proc shows the daemon its own processes only
(ProcSubset=pid), so load comes from sysinfo(2), not from /proc/loadavg. What is not there on this machine is None.

    temperature     /sys/class/thermal/thermal_zone0/temp, thousandths of a degree
    undervoltage    the firmware's alarm on a Raspberry Pi: hwmon with the name rpi_volt, in0_lcrit_alarm
    written         sectors of the disk of the spool: field 7 of /sys/dev/block/MAJOR:MINOR/stat, 512 bytes each
    clock error     adjtimex(2), maxerror; it grows by 0.5 ms a second while nobody corrects the clock
"""

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SYS: Final = Path("/sys")
STATM: Final = Path("/proc/self/statm")
FILE_BYTES_MAX: Final = 4096
SECTOR_BYTES: Final = 512
SECTORS_WRITTEN: Final = 6  # the seventh number of a block device's stat
LOAD_ONE: Final = 65_536  # sysinfo's fixed point


@dataclass(frozen=True, slots=True)
class Figures:
    """One look at the box. Units as in device_profiles/gateway/self.toml; MB are 10**6 bytes."""

    cpu_temperature: float | None
    cpu_load: float | None
    undervoltage: bool | None
    memory_used: float | None
    disk_free: float | None
    disk_written: float | None


def figures(spool: Path, *, sys: Path = SYS, statm: Path = STATM) -> Figures:
    """As of now; `spool` is a folder on the disk that is asked about. Never raises OSError."""
    thousandths = _number(sys / "class/thermal/thermal_zone0/temp")
    pages = _words(statm)
    return Figures(
        cpu_temperature=None if thousandths is None else thousandths / 1000,
        cpu_load=_load(),
        undervoltage=_undervoltage(sys),
        memory_used=int(pages[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6 if len(pages) > 1 else None,
        disk_free=_free(spool),
        disk_written=_written(spool, sys),
    )


def _undervoltage(sys: Path) -> bool | None:
    for monitor in sorted((sys / "class/hwmon").glob("hwmon*")):
        if _words(monitor / "name") == ["rpi_volt"]:
            alarm = _number(monitor / "in0_lcrit_alarm")
            return None if alarm is None else alarm != 0
    return None


def _free(spool: Path) -> float | None:
    try:
        disk = os.statvfs(spool)
    except OSError:
        return None  # no such folder, or a disk that fails: the spool itself tells that
    return disk.f_bavail * disk.f_frsize / 1e6


def _written(spool: Path, sys: Path) -> float | None:
    try:
        device = spool.stat().st_dev
    except OSError:
        return None
    told = _words(sys / f"dev/block/{os.major(device)}:{os.minor(device)}" / "stat")
    return int(told[SECTORS_WRITTEN]) * SECTOR_BYTES / 1e6 if len(told) > SECTORS_WRITTEN else None


def _number(path: Path) -> int | None:
    told = _words(path)
    return int(told[0]) if told and told[0].lstrip("-").isdecimal() else None


def _words(path: Path) -> list[str]:
    """Of a file that the kernel makes up; none where there is no such file."""
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES_MAX).decode("ascii", "replace").split()
    except OSError:
        return []


class _Sysinfo(ctypes.Structure):
    """struct sysinfo of sysinfo(2); `rest` leaves room for what we do not read."""

    _fields_ = (
        ("uptime", ctypes.c_long),
        ("loads", ctypes.c_ulong * 3),
        ("rest", ctypes.c_ulong * 32),
    )


def _load() -> float | None:
    """Of the last minute."""
    told = _Sysinfo()
    if ctypes.CDLL(None).sysinfo(ctypes.byref(told)) != 0:
        return None
    return float(told.loads[0] / LOAD_ONE)
