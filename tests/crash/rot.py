"""A small spool with something in every table, and every way one bit or the end of one of its files can go wrong.

At rest: closed in order, all in `spool.db`. Running: killed, so that half of it is in the WAL. Died: a disk that failed
behind all that, and a ring that was killed before it came back.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from gateway.model import SeqRanges
from gateway.testing.clock import NOON_MS, FakeClock
from tests.crash.recorder import Fact
from tests.crash.truth import Truth, gaps_in, numbered
from tests.support.failing_disk import FailingDisk
from tests.support.spools import MB, Box

BITS, DAY_MS = 8, 86_400_000
LOCK, BALLAST = "spool.lock", "ballast"  # hold nothing that could rot


@dataclass(frozen=True, slots=True)
class Damage:
    """One bit of a byte turned over, or (bit None) the file cut off before that byte."""

    file: str
    at: int
    bit: int | None

    def done_to(self, files: dict[str, bytes]) -> dict[str, bytes]:
        """Copies; only one is another."""
        data = files[self.file]
        if self.bit is None:
            return {**files, self.file: data[: self.at]}
        return {**files, self.file: data[: self.at] + bytes([data[self.at] ^ 1 << self.bit]) + data[self.at + 1 :]}

    def __str__(self) -> str:
        what = "cut off at" if self.bit is None else f"bit {self.bit} of byte"
        return f"{self.file} {what} {self.at}"


@dataclass(frozen=True, slots=True)
class Spool:
    """What lies in the folder, and what it promised."""

    files: dict[str, bytes]
    truth: Truth

    def damages(self) -> Iterator[Damage]:
        """All there are."""
        for file, data in self.files.items():
            for at in range(len(data)):
                yield from (Damage(file, at, bit) for bit in range(BITS))
                yield Damage(file, at, None)

    def some(self, share: float, dull_share: float, random: Random) -> Iterator[Damage]:
        """A share of what says anything in the main file; of that, a share for zeros between, cuts, and the WAL.

        Every frame of a WAL is under SQLite's checksum, so its bytes are alike; an unused byte is read by nobody.
        """
        for damage in self.damages():
            dull = "wal" in damage.file or damage.bit is None or not self.files[damage.file][damage.at]
            if random.random() < share * (dull_share if dull else 1):
                yield damage


async def at_rest(folder: Path) -> Spool:
    """Two epochs: receipts, a gap, parked, urgent, dated and estimated batches."""
    return await _made(folder, running=False)


async def running(folder: Path) -> Spool:
    """The same, killed in the middle of the second epoch."""
    return await _made(folder, running=True)


async def died(folder: Path) -> Spool:
    """At rest, and then a ring that ended with its process."""
    spool, disk = await _made(folder, running=False), FailingDisk()
    box = Box(folder, FakeClock(20_000, NOON_MS + DAY_MS), quota_bytes=MB, machine="m2", boot="b4", epochs=90)
    with disk.patched():
        await box.start()
        disk.failing = True
        await _fill(box, spool.truth, range(20, 22))
        await box.spool.step(lambda _: None)
        files = _files(folder)
        box.kill()
    return Spool(files, spool.truth)


async def _made(folder: Path, *, running: bool) -> Spool:
    box, truth = Box(folder, quota_bytes=MB), Truth()
    await box.start()
    await _fill(box, truth, range(1, 8))
    await box.spool.step(lambda keeper: keeper.relief.give_up(SeqRanges.of([(3, 4)]), "quota"))
    await _settle(box, truth, 2)
    await box.spool.close()
    box.boot, box.clock = "b2", FakeClock(20_000, box.clock.utc_ms() + 60_000, synchronised=False)
    await box.start()
    await _fill(box, truth, range(8, 10))
    await box.spool.close()
    box.boot, box.clock, box.machine = "b3", FakeClock(20_000, box.clock.utc_ms() + 60_000), "m2"
    await box.start()
    await _fill(box, truth, range(10, 14), urgent=12)
    for batch in (await box.spool.read(0, None, 100))[-2:-1]:
        await box.spool.park(batch.id, "refused:crc")
        truth.parked.add((batch.id.epoch, batch.id.seq))
    if not running:
        await box.spool.close()
    files = _files(folder)
    await box.spool.close()
    return Spool(files, truth)


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in {LOCK, BALLAST}}


async def _fill(box: Box, truth: Truth, serials: Sequence[int], *, urgent: int = 0) -> None:
    for serial in serials:
        await box.clock.advance(700)
        draft = numbered(box.clock.boot_ms(), serial, 60, box.boot, urgent=serial == urgent)
        seq = await box.spool.append(draft)
        time = box.clock.utc_ms() if box.clock.synchronised() else None
        truth.add(Fact("appended", box.spool.epoch, seq, (draft.body, time)))


async def _settle(box: Box, truth: Truth, count: int) -> None:
    for batch in await box.spool.read(0, None, count):
        box.spool.settle(batch.id.epoch, SeqRanges.of_seqs([batch.id.seq]))
        truth.add(Fact("settled", batch.id.epoch, batch.id.seq, gaps_in(batch)))
