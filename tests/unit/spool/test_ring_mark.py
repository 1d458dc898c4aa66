"""gateway.spool.ring_mark: what is told is read again, through damage, torn writes, full and failing disks."""

import errno
import os
from dataclasses import replace
from pathlib import Path
from random import Random
from zlib import crc32

import pytest

from gateway.model import BootMs, SeqRanges
from gateway.spool.mark import written
from gateway.spool.ring_mark import FLUSH_MS, SLOT_BYTES, SLOTS, RingMark, waiting
from gateway.spool.row import Stretch

RING = Stretch(7, "r1", 1, 3, "hc-0001", "m1", "disk", 6, "ring")
NOW = BootMs(50_000)


def reopened(path: Path, gateway: str = "hc-0001") -> list[Stretch]:
    """What the next process finds."""
    mark = RingMark(path)
    try:
        return mark.ended(gateway)
    finally:
        mark.close()


def test_what_is_told_is_read(tmp_path: Path) -> None:
    """RING-6: as it was told last, also without any flush of ours; not to its own process."""
    path = tmp_path / "spool.ring"
    mark = RingMark(path)
    mark.tell(RING, NOW)
    later = replace(RING, first=2, first_id=8, last=9)
    mark.tell(later, BootMs(NOW + 1))
    assert reopened(path) == [later]
    assert mark.ended("hc-0001") == []


@pytest.mark.parametrize(("pending", "first"), [([(1, 3)], 1), ([(3, 3)], 3), ([(2, 2), (4, 4)], 2), ([], 4)])
def test_a_ring_from_its_first_seq_that_waits(pending: list[tuple[int, int]], first: int) -> None:
    """RING-6: id and seq rise together."""
    ring = waiting(RING, SeqRanges.of(pending))
    assert (ring.first, ring.last, ring.shift) == (first, 3, RING.shift)


def test_what_has_all_receipts_is_over_whatever_an_older_slot_says(tmp_path: Path) -> None:
    """RING-6: the later one is the word."""
    path = tmp_path / "spool.ring"
    mark = RingMark(path)
    mark.tell(RING, NOW)  # flushed: the next one goes to the other slot
    mark.tell(waiting(RING, SeqRanges()), BootMs(NOW + 1))
    assert reopened(path) == []
    assert path.read_bytes().count(b"r1") == SLOTS


def test_any_damage_costs_at_most_what_came_since_the_flush(tmp_path: Path) -> None:
    """RING-8, RING-9: any flipped bit, any cut: no refusal, no word that was never told, the other slot stands."""
    path = tmp_path / "spool.ring"
    mark = RingMark(path)
    mark.tell(RING, NOW)
    mark.tell(replace(RING, last=9), BootMs(NOW + 1))
    mark.close()
    data = path.read_bytes()
    words = len(written(1, [RING]))
    newer = [b" 1, 9," in _slot(data, slot) for slot in range(SLOTS)].index(True)
    for slot in range(SLOTS):
        for at in range(slot * SLOT_BYTES, slot * SLOT_BYTES + words - 1):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
            (ring,) = reopened(path)
            assert ring.last == (3 if slot == newer else 9)
    for at in range(0, len(data), 13):
        path.write_bytes(data[:at])
        assert [ring.last for ring in reopened(path)] in ([], [3], [9])
        assert path.stat().st_size == SLOTS * SLOT_BYTES


STRANGE = [
    b"",
    b"\0" * 9000,
    b"{}",
    b"7",
    b"[",
    b"[true]",
    b"\xff\xfe",
    b'[0,["x"]]',
    b'[0,[1,"e",1,2,"hc-0001","m","",0,7]]',
    b'[0,[1,"e",1,1e9,"hc-0001","m","",0,""]]',
    b'[0,[1,"e",1,99999999999999999999,"hc-0001","m","",0,""]]',
]


@pytest.mark.parametrize("text", STRANGE)
def test_a_strange_file_says_nothing(tmp_path: Path, text: bytes) -> None:
    """RING-8, MARK-1: also where the checksum is right, whoever made it."""
    path = tmp_path / "spool.ring"
    path.write_bytes(text + b" %d\n" % crc32(text))
    assert reopened(path) == []


def test_noise_says_nothing(tmp_path: Path) -> None:
    """RING-8: any bytes."""
    path, random = tmp_path / "spool.ring", Random(1)
    for _ in range(200):
        path.write_bytes(random.randbytes(random.randrange(2 * SLOTS * SLOT_BYTES)))
        assert reopened(path) == []


def test_a_full_disk_is_told_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RING-6: its full size from the beginning, never more, and no byte beyond; the disk need not give a block."""
    path = tmp_path / "spool.ring"
    mark = RingMark(path)
    size, blocks = path.stat().st_size, path.stat().st_blocks
    pwrite = os.pwrite

    def full(fd: int, data: bytes, at: int) -> int:
        if at + len(data) > size:
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(fd, data, at)

    monkeypatch.setattr(os, "pwrite", full)
    for turn in range(30):
        mark.tell(replace(RING, last=10 ** (turn % 15)), BootMs(NOW + turn * FLUSH_MS // 3))
    assert (path.stat().st_size, size) == (SLOTS * SLOT_BYTES, SLOTS * SLOT_BYTES)
    assert path.stat().st_blocks == blocks
    assert reopened(path)[0].last == 10**14


def test_a_card_is_flushed_at_most_every_ten_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RING-9: the first word at once; then a flush in FLUSH_MS, however many words; none without news."""
    flushes: list[int] = []
    mark = RingMark(tmp_path / "spool.ring")
    at = 0
    monkeypatch.setattr(os, "fdatasync", lambda _: flushes.append(at))
    for at in range(0, 3 * FLUSH_MS + 1, 100):
        mark.tell(replace(RING, last=at + 1), BootMs(at))
    assert flushes == [0, FLUSH_MS, 2 * FLUSH_MS, 3 * FLUSH_MS]
    for at in range(4 * FLUSH_MS, 6 * FLUSH_MS, 1000):
        mark.tell(replace(RING, last=3 * FLUSH_MS + 1), BootMs(at))
    assert len(flushes) == 4


def test_what_was_flushed_is_never_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RING-9: a power cut tears what is being written: that is always the slot that the last flush did not need."""
    path = tmp_path / "spool.ring"
    safe = b""

    def flushed(_: int) -> None:
        nonlocal safe
        safe = path.read_bytes()

    monkeypatch.setattr(os, "fdatasync", flushed)
    mark = RingMark(path)
    for turn in range(1, 100):
        mark.tell(replace(RING, last=turn), BootMs(turn * FLUSH_MS // 4))
        now = path.read_bytes()
        changed = [slot for slot in range(SLOTS) if _slot(now, slot) != _slot(safe, slot)]
        torn = b"".join(b"?" * SLOT_BYTES if slot in changed else _slot(now, slot) for slot in range(SLOTS))
        (tmp_path / "torn").write_bytes(torn)
        assert len(changed) <= 1
        assert turn - reopened(tmp_path / "torn")[0].last <= 4


@pytest.mark.parametrize("words", [1, 2, 3])
def test_the_next_process_spares_the_newest_word(tmp_path: Path, words: int) -> None:
    """RING-9: it tells of the ring that died until the spool has that: the first write goes to the other slot."""
    path = tmp_path / "spool.ring"
    mark = RingMark(path)
    for turn in range(words):
        mark.tell(replace(RING, last=turn + 1), BootMs(turn * FLUSH_MS))
    mark.close()
    before = path.read_bytes()
    newest = [b" 1, %d," % words in _slot(before, slot) for slot in range(SLOTS)].index(True)
    RingMark(path).tell(replace(RING, epoch="r2"), NOW)
    assert _slot(path.read_bytes(), newest) == _slot(before, newest)
    assert [ring.last for ring in reopened(path)] == [words, 3]


def _slot(data: bytes, slot: int) -> bytes:
    return data[slot * SLOT_BYTES : (slot + 1) * SLOT_BYTES]


def test_a_flush_that_fails_is_tried_in_the_same_slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RING-9: the kernel forgets what it could not write; not more often than every ten seconds either."""
    path, tries = tmp_path / "spool.ring", list[int]()
    mark = RingMark(path)
    mark.tell(RING, NOW)

    def fails(_: int) -> None:
        tries.append(1)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fails)
    flushed = [_slot(path.read_bytes(), slot) for slot in range(SLOTS)]
    for turn in range(1, 6):
        mark.tell(replace(RING, last=3 + turn), BootMs(NOW + turn * FLUSH_MS))
    assert len(tries) == 5
    assert sum(_slot(path.read_bytes(), slot) == flushed[slot] for slot in range(SLOTS)) == 1
    assert reopened(path)[0].last == 8


def test_what_cannot_be_read_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RING-6: it may tell of a ring that died; once it can be read, both are in it."""
    path = tmp_path / "spool.ring"
    mark = RingMark(path)
    mark.tell(RING, NOW)
    mark.close()
    before, pread = path.read_bytes(), os.pread

    def fails(*_: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pread", fails)
    mark = RingMark(path)
    second = replace(RING, epoch="r2", last=5)
    mark.tell(second, NOW)
    mark.forget({"r1"})
    assert mark.ended("hc-0001") == []
    assert path.read_bytes() == before
    monkeypatch.setattr(os, "pread", pread)
    mark.tell(second, NOW)
    assert [ring.epoch for ring in mark.ended("hc-0001")] == ["r1"]
    assert [ring.epoch for ring in reopened(path)] == ["r1", "r2"]


def test_a_folder_that_is_not_there_is_no_failure(tmp_path: Path) -> None:
    """RING-6: what the disk does not take cannot be told; the ring goes on."""
    mark = RingMark(tmp_path / "nowhere" / "spool.ring")
    mark.tell(RING, NOW)
    mark.forget({"r1"})
    mark.close()
    assert mark.ended("hc-0001") == []


def test_rings_of_another_gateway_wait_for_it(tmp_path: Path) -> None:
    """RING-8: neither told nor forgotten."""
    path = tmp_path / "spool.ring"
    mark = RingMark(path)
    mark.tell(replace(RING, gateway="hc-0009"), NOW)
    mark.close()
    mark = RingMark(path)
    assert mark.ended("hc-0001") == []
    mark.tell(replace(RING, epoch="r2"), NOW)
    mark.forget({"r2"})
    mark.close()
    assert [ring.epoch for ring in reopened(path, "hc-0009")] == ["r1"]
    assert reopened(path) == []


def test_as_many_rings_as_find_room_the_newest(tmp_path: Path) -> None:
    """RING-6: sixteen, or a page of them."""
    path = tmp_path / "spool.ring"
    for number in range(40):
        mark = RingMark(path)
        mark.tell(replace(RING, epoch=f"r{number}", machine="m" * 16, gateway="g" * 32, last=10**12), NOW)
        mark.close()
    epochs = [ring.epoch for ring in reopened(path, "g" * 32)]
    assert epochs == [f"r{number}" for number in range(40 - len(epochs), 40)]
    assert len(epochs) == 16
    long = "m" * 1000
    for number in range(40, 45):
        mark = RingMark(path)
        mark.tell(replace(RING, epoch=f"r{number}", machine=long, gateway="g" * 32), NOW)
        mark.close()
    assert reopened(path, "g" * 32)[-1].epoch == "r44"
