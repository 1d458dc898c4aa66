"""The second word: what it says, and what a file that is behind it does."""

from pathlib import Path

from gateway.model import SeqRanges
from gateway.spool.mark import Mark, parsed, written
from gateway.spool.row import Stretch
from gateway.wire.body import decode
from tests.support.spools import Box

STRETCHES = (Stretch(1, "a", 1, 4, "hc-0001", "m1"), Stretch(5, "b", 1, 2, "hc-0001", "m2", "a", 4, "other_machine"))


def test_what_is_written_is_read() -> None:
    """MARK-1: segment and stretches, each with what it began after."""
    assert parsed(written(3, STRETCHES)) == (3, STRETCHES)


def test_a_damaged_mark_says_nothing() -> None:
    """MARK-1: any flipped bit, any cut."""
    text = written(3, STRETCHES)
    for at in range(len(text) - 1):
        assert parsed(text[:at]) is None
        for bit in range(8):
            assert parsed(text[:at] + bytes([text[at] ^ 1 << bit]) + text[at + 1 :]) is None


def test_a_shorter_mark_over_a_longer_one(tmp_path: Path) -> None:
    """MARK-1: written in place; what is left of the longer one is not read."""
    mark = Mark(tmp_path / "spool.mark")
    mark.write(1, STRETCHES)
    mark.write(1, STRETCHES[:1])
    mark.close()
    assert Mark(tmp_path / "spool.mark").read() == (1, STRETCHES[:1])


def test_no_mark_is_no_failure(tmp_path: Path) -> None:
    """MARK-1: where it cannot be written, the spool goes on without it."""
    mark = Mark(tmp_path / "nowhere" / "spool.mark")
    mark.write(1, STRETCHES)
    assert mark.read() is None


async def test_a_file_that_is_behind_its_mark(tmp_path: Path) -> None:
    """MARK-1: an older file is put in place: what it lacks is named, and numbering goes on above it."""
    box = Box(tmp_path)
    await box.start()
    await box.append()
    await box.spool.close()
    older = (tmp_path / "spool.db").read_bytes()
    await box.start()
    for _ in range(3):
        await box.append()
    await box.spool.close()
    (tmp_path / "spool.db").write_bytes(older)
    await box.start()
    assert await box.append() == 6
    await box.seqs()
    batches = await box.spool.read(0, None, 100)
    gaps = [gap for b in batches if b.n == 0 for gap in decode(b.enc, b.body).gaps]
    assert SeqRanges.of((gap.first, gap.last) for gap in gaps) == SeqRanges.of([(3, 5)])
    assert "spool_damaged" in box.codes
    await box.spool.close()


async def test_a_mark_that_is_behind_its_file(tmp_path: Path) -> None:
    """MARK-1: a power cut may leave it so; nothing is made of it."""
    box = Box(tmp_path)
    await box.start()
    await box.append()
    older = (tmp_path / "spool.mark").read_bytes()
    await box.append()
    await box.spool.close()
    (tmp_path / "spool.mark").write_bytes(older)
    await box.start()
    assert await box.append() == 4
    assert await box.seqs() == [1, 2, 3, 4]
    assert box.codes == []
    await box.spool.close()
