"""What lies beside the file."""

from pathlib import Path

import pytest

from gateway.errors import SpoolFailed
from gateway.spool.folder import Folder
from tests.support.spools import MB


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A new one, with a small quota."""
    return Folder(tmp_path / "spool", reserve_bytes=0, quota_bytes=8 * MB)


def test_it_is_made_for_its_owner_alone(folder: Folder) -> None:
    """And the disk under it can be asked."""
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert folder.free_bytes() > 0


def test_the_ballast_is_real_and_made_only_where_there_is_room(folder: Folder) -> None:
    """FULL-1: blocks on disk, not a hole; never at the cost of the reserve."""
    folder.make_ballast()
    made = (folder.path / "ballast").stat()
    assert made.st_size == MB
    assert made.st_blocks * 512 >= MB
    assert folder.drop_ballast()
    assert not folder.drop_ballast()
    Folder(folder.path, reserve_bytes=1 << 60, quota_bytes=8 * MB).make_ballast()
    assert not (folder.path / "ballast").exists()


def test_damaged_files_are_moved_with_their_wal(folder: Folder) -> None:
    """DMG-6: first to be fetched from, then numbered; the oldest goes first."""
    for number in (1, 2):
        folder.file.write_bytes(b"x" * number)
        folder.file.with_name("spool.db-wal").write_bytes(b"w")
        folder.set_aside()
        assert folder.salvaging.exists()
        assert folder.salvaging.with_name("salvaging.db-wal").exists()
        assert not folder.file.exists()
    folder.finish_salvage()
    names = [path.name for path in folder.aside()]
    assert sorted(names) == ["damaged-1.db", "damaged-1.db-wal", "damaged-2.db", "damaged-2.db-wal"]
    assert folder.beside_bytes() == MB + 1 + 1 + 2 + 1
    dropped = [folder.drop_aside() for _ in range(5)]
    assert sorted(dropped[:4]) == sorted(names)
    assert dropped[4] == ""


def test_no_oserror_leaves_the_room(tmp_path: Path) -> None:
    """A folder that cannot be is SpoolFailed."""
    (tmp_path / "file").touch()
    with pytest.raises(SpoolFailed):
        Folder(tmp_path / "file" / "spool", reserve_bytes=0, quota_bytes=MB)
