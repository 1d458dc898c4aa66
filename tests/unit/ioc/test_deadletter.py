"""Dead letters are kept, bounded, and never pretended."""

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from gateway.errors import StoreBusy
from gateway.ioc.deadletter import DeadLetters, Letter
from gateway.model import UtcMs
from gateway.testing.worker import InlineWorker

LETTER = Letter(UtcMs(5), "hc-0001", "field type conflict", "m f=1.0 5", epoch="e", seq=4, group=0, row=2)


def letters_in(folder: Path) -> list[dict[str, object]]:
    """All of them, file by file."""
    return [orjson.loads(line) for file in files_in(folder) for line in file.read_bytes().splitlines()]


def files_in(folder: Path) -> list[Path]:
    """In the order they were written."""
    return sorted(folder.glob("*.jsonl"))


async def test_one_line_each(tmp_path: Path) -> None:
    """With everything that is needed to find and to repair the row."""
    await DeadLetters(tmp_path / "new" / "dead", InlineWorker()).keep([LETTER, LETTER])
    (first, second) = letters_in(tmp_path / "new" / "dead")
    assert first == second
    assert first["content"] == "m f=1.0 5"
    assert (first["gateway"], first["epoch"], first["seq"], first["group"], first["row"]) == ("hc-0001", "e", 4, 0, 2)


async def test_synced_before_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File and, for a new file, folder: a receipt follows."""
    synced: list[str] = []
    monkeypatch.setattr("os.fsync", lambda file: synced.append(str(Path(f"/proc/self/fd/{file}").readlink())))
    letters = DeadLetters(tmp_path, InlineWorker())
    await letters.keep([LETTER])
    assert synced == [str(tmp_path / "dead-00000001.jsonl"), str(tmp_path)]
    await letters.keep([LETTER])
    assert len(synced) == 3


async def test_a_new_file_when_one_is_full(tmp_path: Path) -> None:
    """Old ones are never touched again: they can be moved away."""
    letters = DeadLetters(tmp_path, InlineWorker(), file_max_bytes=400)
    for _ in range(4):
        await letters.keep([LETTER])
    assert [file.name for file in files_in(tmp_path)] == ["dead-00000001.jsonl", "dead-00000002.jsonl"]
    assert len(letters_in(tmp_path)) == 4


async def test_full_is_busy(tmp_path: Path) -> None:
    """Nothing is overwritten; room made by an operator is used."""
    letters = DeadLetters(tmp_path, InlineWorker(), total_max_bytes=250)
    await letters.keep([LETTER])
    with pytest.raises(StoreBusy, match="full"):
        await letters.keep([LETTER])
    assert len(letters_in(tmp_path)) == 1
    for file in files_in(tmp_path):
        file.unlink()
    await letters.keep([LETTER])


async def test_garbage_gets_half(tmp_path: Path) -> None:
    """What nobody waits for can never fill the room that receipts need."""
    letters = DeadLetters(tmp_path, InlineWorker(), total_max_bytes=600)
    await letters.keep([LETTER, LETTER], answered=False)
    with pytest.raises(StoreBusy, match="full"):
        await letters.keep([LETTER], answered=False)
    await letters.keep([LETTER])
    assert len(letters_in(tmp_path)) == 3


async def test_a_share_each(tmp_path: Path) -> None:
    """One gateway cannot use up what the others need; files moved away begin the count anew."""
    letters = DeadLetters(tmp_path, InlineWorker(), share_max_bytes=350)
    await letters.keep([LETTER, LETTER])
    with pytest.raises(StoreBusy, match="share of hc-0001"):
        await letters.keep([LETTER])
    await letters.keep([replace(LETTER, gateway="hc-0002")])
    for file in files_in(tmp_path):
        file.unlink()
    await letters.keep([LETTER])


async def test_a_torn_line_costs_itself(tmp_path: Path) -> None:
    """What a power cut left half is ended before the next letter."""
    (tmp_path / "dead-00000001.jsonl").write_bytes(b'{"torn":')
    await DeadLetters(tmp_path, InlineWorker()).keep([LETTER])
    torn, whole = (tmp_path / "dead-00000001.jsonl").read_bytes().splitlines()
    assert torn == b'{"torn":'
    assert orjson.loads(whole)["seq"] == 4


async def test_a_broken_disk_is_busy(tmp_path: Path) -> None:
    """A folder that cannot be made gives no receipt."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreBusy):
        await DeadLetters(tmp_path / "file" / "dead", InlineWorker()).keep([LETTER])


async def test_a_short_write_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes half of it has not taken it."""
    monkeypatch.setattr("os.write", lambda _file, data: len(data) - 1)
    with pytest.raises(StoreBusy, match="short"):
        await DeadLetters(tmp_path, InlineWorker()).keep([LETTER])


async def test_nothing_to_keep(tmp_path: Path) -> None:
    """Touches no disk."""
    await DeadLetters(tmp_path / "dead", InlineWorker()).keep([])
    assert not (tmp_path / "dead").exists()
