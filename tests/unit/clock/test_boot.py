"""Which boot, which machine."""

from pathlib import Path

import pytest

from gateway.clock.boot import machine_identity, read_boot
from gateway.testing.clock import FakeClock


@pytest.fixture
def kernel_id(tmp_path: Path) -> Path:
    """The kernel's own boot id, as a file."""
    path = tmp_path / "boot_id"
    path.write_text("8c2f\n", "ascii")
    return path


def test_a_restart_keeps_the_boot_id(tmp_path: Path, kernel_id: Path) -> None:
    """Whatever the wall clock did meanwhile."""
    clock = FakeClock()
    boot = read_boot(tmp_path, clock, kernel_id=kernel_id)
    clock.step(3_600_000)
    assert read_boot(tmp_path, clock, kernel_id=kernel_id) == boot


def test_another_kernel_boot_id_is_another_boot(tmp_path: Path, kernel_id: Path) -> None:
    """Even if the boot clock did not go back."""
    boot = read_boot(tmp_path, FakeClock(boot_ms=1_000), kernel_id=kernel_id)
    kernel_id.write_text("77aa\n", "ascii")
    assert read_boot(tmp_path, FakeClock(boot_ms=2_000), kernel_id=kernel_id) != boot


def test_a_boot_clock_that_went_back_is_another_boot(tmp_path: Path) -> None:
    """Told without the kernel's id."""
    hidden = tmp_path / "hidden"
    boot = read_boot(tmp_path, FakeClock(boot_ms=5_000), kernel_id=hidden)
    assert read_boot(tmp_path, FakeClock(boot_ms=4_999), kernel_id=hidden) != boot


def test_another_moment_of_boot_is_another_boot(tmp_path: Path) -> None:
    """Where the kernel's id is hidden: wall clock minus boot clock."""
    hidden = tmp_path / "hidden"
    boot = read_boot(tmp_path, FakeClock(boot_ms=5_000, utc_ms=1_000_000), kernel_id=hidden)
    assert read_boot(tmp_path, FakeClock(boot_ms=9_000, utc_ms=1_004_500), kernel_id=hidden) == boot
    assert read_boot(tmp_path, FakeClock(boot_ms=9_000, utc_ms=2_000_000), kernel_id=hidden) != boot


@pytest.mark.parametrize("text", ["", "x", "x y z", "abc 1 2 3 4", "\xff"])
def test_a_broken_file_is_a_new_boot(tmp_path: Path, kernel_id: Path, text: str) -> None:
    """Never an error."""
    (tmp_path / "boot").write_text(text, "latin-1")
    assert len(read_boot(tmp_path, FakeClock(), kernel_id=kernel_id)) == 12


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """The daemon must know."""
    with pytest.raises(OSError, match="No such file"):
        read_boot(tmp_path / "absent", FakeClock())


def test_the_machine_is_told_by_a_hash(tmp_path: Path) -> None:
    """The machine id itself stays on the box; without one, nobody can be told apart."""
    path = tmp_path / "machine-id"
    assert machine_identity(path) == ""
    path.write_text("0123456789abcdef\n", "ascii")
    first = machine_identity(path)
    assert len(first) == 16
    assert "0123" not in first
    path.write_text("fedcba9876543210\n", "ascii")
    assert machine_identity(path) != first
