"""Which boot this is, and which machine.

The boot id is ours and random; it lives in `boot` of the run folder, which outlives the daemon but, when it is in RAM,
not the boot. Where the folder is on disk, a file of an earlier boot is told by CLOCK_BOOTTIME having gone back, or by
the kernel's own boot id; where that cannot be read (ProcSubset=pid), by the moment of the boot, wall clock minus boot
clock. The last one also moves when the wall clock is set; a boot wrongly taken for new costs one new segment.
"""

import hashlib
import os
import secrets
from pathlib import Path

from gateway.seams import Clock

BTIME_SLACK_MS = 2_000
KERNEL_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
MACHINE_ID = Path("/etc/machine-id")


def read_boot(folder: Path, clock: Clock, *, kernel_id: Path = KERNEL_BOOT_ID) -> str:
    """The id of this boot, made and kept in `folder` when there is none of this boot yet; raises OSError."""
    kernel = _text(kernel_id)
    boot_ms, btime_ms = clock.boot_ms(), clock.utc_ms() - clock.boot_ms()
    known = _parse(_text(folder / "boot"))
    boot = known[0] if known and _same(known, boot_ms, btime_ms, kernel) else secrets.token_hex(6)
    _replace(folder / "boot", f"{boot} {boot_ms} {btime_ms} {kernel}\n")
    return boot


def machine_identity(path: Path = MACHINE_ID) -> str:
    """Tells a cloned card from its original: a hash of the machine id, which must not leave the box; "" = none."""
    machine = _text(path)
    return hashlib.sha256(b"gateway spool " + machine.encode()).hexdigest()[:16] if machine else ""


def _same(known: tuple[str, int, int, str], boot_ms: int, btime_ms: int, kernel: str) -> bool:
    _, known_boot_ms, known_btime_ms, known_kernel = known
    if boot_ms < known_boot_ms:
        return False
    if kernel and known_kernel:
        return kernel == known_kernel
    return abs(btime_ms - known_btime_ms) <= BTIME_SLACK_MS


def _parse(text: str) -> tuple[str, int, int, str] | None:
    """A file that is not ours, or torn, is as good as none."""
    words = text.split()
    if len(words) not in {3, 4} or not words[1].isdecimal() or not words[2].lstrip("-").isdecimal():
        return None
    return words[0], int(words[1]), int(words[2]), words[3] if words[3:] else ""


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""  # absent, hidden or broken: the caller goes on without it


def _replace(path: Path, text: str) -> None:
    """Whole or not at all; not fsynced, for a lost boot id is only a new boot."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text, "ascii")
    os.replace(fresh, path)  # noqa: PTH105 - the one-step rename, by its POSIX name
