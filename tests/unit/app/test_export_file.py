"""gateway.app.export_file: whole under its own name, or not there."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.app.export_file import MARGIN_BYTES, ExportExists, ExportFailed, ExportFile, ExportNoRoom

LINES = (b"one\n", b"two\n")


def write(path: Path, between: Callable[[], object] = lambda: None, **settings: Any) -> None:
    """Two pages, something between the last one and the end."""
    with ExportFile(path, **settings) as file:
        file.add(LINES)
        file.add((b"four",))
        between()
        file.finish()


def test_it_has_its_name_once_it_is_whole(tmp_path: Path) -> None:
    """Until then it is `.part`."""
    path = tmp_path / "batches.jsonl"
    with ExportFile(path) as file:
        file.add(LINES)
        assert not path.exists()
        file.add((b"three\n",))
        file.finish()
    assert path.read_bytes() == b"one\ntwo\nthree\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["batches.jsonl"]
    assert file.size_bytes == path.stat().st_size


def test_what_is_not_finished_goes(tmp_path: Path) -> None:
    """A stick pulled out, a Ctrl-C, nothing to export."""

    def stopped() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "batches.jsonl", stopped)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", ["batches.jsonl", "batches.jsonl.part"])
def test_nothing_is_overwritten(tmp_path: Path, there: str) -> None:
    """Nor what an export that was cut off has left."""
    (tmp_path / there).write_text("mine")
    with pytest.raises(ExportExists), ExportFile(tmp_path / "batches.jsonl"):
        pass
    assert (tmp_path / there).read_text() == "mine"


@pytest.mark.parametrize("links", [True, False])
def test_nor_what_came_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, links: bool) -> None:
    """Also where there are no hard links, as on FAT."""
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "batches.jsonl"
    with pytest.raises(ExportExists):
        write(path, lambda: path.write_text("mine"))
    assert path.read_text() == "mine"
    assert [entry.name for entry in tmp_path.iterdir()] == ["batches.jsonl"]


def test_a_stick_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAT: renamed."""
    monkeypatch.setattr(os, "link", no_links)
    write(tmp_path / "batches.jsonl")
    assert (tmp_path / "batches.jsonl").read_bytes() == b"one\ntwo\nfour"
    assert len(list(tmp_path.iterdir())) == 1


def no_links(*_: object) -> None:
    """As a FAT does."""
    raise OSError(errno.EPERM, "Operation not permitted")


def test_it_never_fills_the_medium(tmp_path: Path) -> None:
    """Free space is looked at before each page; what was begun goes."""
    free = iter([MARGIN_BYTES + 8, MARGIN_BYTES + 3])
    with pytest.raises(ExportNoRoom):
        write(tmp_path / "batches.jsonl", free_bytes=lambda _: next(free))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.ENOSPC, ExportNoRoom), (errno.EFBIG, ExportNoRoom), (errno.EIO, ExportFailed), (errno.EROFS, ExportFailed)],
)
@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_medium_that_fails_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception], call: str
) -> None:
    """Full and broken are two things to do."""

    def fails(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fails)
    with pytest.raises(error):
        write(tmp_path / "batches.jsonl")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """The stick is not mounted."""
    with pytest.raises(ExportFailed), ExportFile(tmp_path / "usb" / "batches.jsonl"):
        pass
