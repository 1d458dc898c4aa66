"""gateway.app.files: whole or not at all, bounded, ours."""

import os
from pathlib import Path

import pytest

from gateway.app import files


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    """The second one takes the place of the first, and nobody else may read it."""
    path = tmp_path / "thing.json"
    files.keep(path, b"one")
    files.keep(path, b"two")
    assert files.read(path, 3) == b"two"
    assert path.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a file is never seen."""
    path = tmp_path / "thing.json"
    files.keep(path, b"one")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.keep(path, b"two")
    assert files.read(path, 3) == b"one"


def test_a_longer_file_is_refused(tmp_path: Path) -> None:
    """A bound on all that is read."""
    files.keep(tmp_path / "thing", b"four")
    with pytest.raises(ValueError, match="longer than 3"):
        files.read(tmp_path / "thing", 3)


def test_a_file_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may say anything."""
    files.keep(tmp_path / "thing", b"one")
    if os.geteuid() == 0:
        os.chown(tmp_path / "thing", 54321, -1)  # root's files are believed: it must be a stranger's
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(ValueError, match="somebody else"):
        files.read(tmp_path / "thing", 3)


def test_no_link_is_followed(tmp_path: Path) -> None:
    """The new file is not written through a link that somebody put there."""
    (tmp_path / "target").write_bytes(b"precious")
    (tmp_path / "thing.new").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic links"):
        files.keep(tmp_path / "thing.json", b"one")
    assert (tmp_path / "target").read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["thing", "thing.new"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    """Opening one that nobody holds at its other end takes for ever."""
    os.mkfifo(tmp_path / name)
    with pytest.raises(OSError, match=r"not a file|No such device"):
        files.read(tmp_path / "thing", 3) if name == "thing" else files.keep(tmp_path / "thing.json", b"one")


def test_a_link_is_not_read(tmp_path: Path) -> None:
    """Wherever it leads."""
    (tmp_path / "other").write_bytes(b"one")
    (tmp_path / "thing").symlink_to("other")
    with pytest.raises(OSError, match="symbolic"):
        files.read(tmp_path / "thing", 3)
