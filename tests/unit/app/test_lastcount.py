"""gateway.app.lastcount: from when a run counts what is due."""

from pathlib import Path

import pytest

from gateway.app import lastcount
from gateway.model import BootMs


def test_after_an_orderly_stop_of_this_boot(tmp_path: Path) -> None:
    """The time that the daemon was off is counted, once."""
    assert lastcount.begin(tmp_path, "b00t", BootMs(7)) == 7
    lastcount.end(tmp_path, "b00t", BootMs(50))
    assert lastcount.begin(tmp_path, "b00t", BootMs(90)) == 50
    assert lastcount.begin(tmp_path, "b00t", BootMs(95)) == 95  # the run between was killed: nobody knows


def test_another_boot_owes_nothing(tmp_path: Path) -> None:
    """The box was without power."""
    lastcount.end(tmp_path, "b00t", BootMs(50))
    assert lastcount.begin(tmp_path, "another", BootMs(3)) == 3


@pytest.mark.parametrize("left", ["", "b00t", "b00t x", "x" * 999])
def test_a_file_that_is_none_claims_nothing(tmp_path: Path, left: str) -> None:
    """Told, or of another boot; the daemon starts."""
    (tmp_path / lastcount.FILE).write_text(left)
    assert lastcount.begin(tmp_path, "b00t", BootMs(9)) == 9


def test_a_folder_that_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Costs no stop."""
    lastcount.end(tmp_path / "none", "b00t", BootMs(9))
    assert "last_count_not_noted" in caplog.text
