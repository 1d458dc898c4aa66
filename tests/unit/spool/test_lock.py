"""One owner."""

import os
from pathlib import Path

import pytest

from gateway.errors import SpoolFailed, SpoolInUse
from gateway.spool.lock import Lock


def test_a_second_owner_is_told_the_first(tmp_path: Path) -> None:
    """LOCK-1: by its pid."""
    lock = Lock(tmp_path)
    with pytest.raises(SpoolInUse) as caught:
        Lock(tmp_path)
    assert caught.value.pid == os.getpid()
    lock.release()
    lock.release()
    Lock(tmp_path).release()


def test_an_unsigned_lock_still_holds(tmp_path: Path) -> None:
    """LOCK-1: a full disk only costs the number."""
    lock = Lock(tmp_path)
    (tmp_path / "spool.lock").write_bytes(b"x")
    with pytest.raises(SpoolInUse) as caught:
        Lock(tmp_path)
    assert caught.value.pid == 0
    lock.release()


def test_a_folder_that_is_not_there_has_failed(tmp_path: Path) -> None:
    """No OSError leaves the room."""
    with pytest.raises(SpoolFailed):
        Lock(tmp_path / "absent")
