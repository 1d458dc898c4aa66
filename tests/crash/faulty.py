"""A spool whose disk answers with errors, in a process that libfiu was loaded into: prints what became of it, as JSON.

    fiu-run -x python -m tests.crash.faulty FOLDER CALL ERRNO WHERE

The faults come out of the C library, under SQLite: nothing of ours is replaced. WHERE is the step they begin at; of
that step's calls the first ones may be spared, so that the commit works and the checkpoint behind it does not.
"""

import asyncio
import ctypes
import json
import sys
from pathlib import Path

from gateway.model import SeqRanges
from gateway.spool.steps import RETRY_MS
from tests.crash.truth import gaps_in, named, numbered
from tests.support.spools import Box

CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p
)
COMMIT_CALLS = {"posix/io/rw/pwrite": 60, "posix/io/sync/fdatasync": 1}  # of one append, at most; more is a checkpoint
APPENDS_TO_CHECKPOINT = 160
BIG = 30_000


class Faults:
    """Of one call of the C library; off until `begin`."""

    def __init__(self, call: str, code: int) -> None:
        self._call, self._spared, self.met = call, -1, 0
        self._callback = CALLBACK(self._answer)  # kept: C holds no reference
        fiu = ctypes.CDLL("libfiu.so.0")
        if fiu.fiu_enable_external(call.encode(), 1, ctypes.c_void_p(code), 0, self._callback) != 0:
            raise OSError("libfiu does not take the call")

    def begin(self, spared: int = 0) -> None:
        """Every call but the next `spared` ones fails."""
        self._spared = spared

    def end(self) -> None:
        """The disk works again."""
        self._spared = -1

    def _answer(self, *_: object) -> int:
        if self._spared < 0:
            return 0
        if self._spared:
            self._spared -= 1
            return 0
        self.met += 1
        return 1


async def life(box: Box, faults: Faults, call: str, where: str) -> dict[str, object]:
    """Three batches, the fault, three more while it lasts, its end, one more; a look, and another after reopening."""
    told: list[tuple[str, int]] = []

    async def append(serial: int, size: int = 100) -> None:
        draft = numbered(box.clock.boot_ms(), serial, size, box.boot)
        seq = await box.spool.append(draft)
        told.append((box.spool.epoch, seq))

    await box.start()
    first = box.spool.epoch
    for serial in range(3):
        await append(serial)
    if where == "checkpoint":
        for serial in range(APPENDS_TO_CHECKPOINT):
            faults.begin(COMMIT_CALLS[call])
            await append(100 + serial, BIG)
            faults.end()
    if where == "start":
        await box.spool.close()
        faults.begin()
        await box.start()
    faults.begin()
    if where == "receipt":
        box.spool.settle(first, SeqRanges.of([(1, 2)]))
        await box.clock.advance(6_000)
        await box.spool.tick()
    if where != "checkpoint":
        for serial in range(3, 6):
            await append(serial)
    failing = box.spool.status.failing
    seen = await _seen(box)
    faults.end()
    await box.clock.advance(RETRY_MS)
    await box.spool.tick()
    await append(9)
    back = {"epoch": box.spool.epoch == first, "failing": box.spool.status.failing}
    after = await _seen(box)
    await box.restart()
    return {
        "met": faults.met,
        "failing": failing,
        "back": back,
        "codes": box.codes,
        "lost_meanwhile": _missing(told[:-1], seen)
        if not failing
        else _missing([k for k in told if k[0] != first], seen),
        "lost_after": _missing(told, after),
        "lost_reopened": _missing(told, await _seen(box)),
        "twice": len(told) - len(set(told)),
    }


async def _seen(box: Box) -> dict[str, SeqRanges]:
    """On offer, settled, or named by a gap on offer: by epoch."""
    batches = await box.spool.read(0, None, 10_000)
    seen = named(gap for batch in batches for gap in gaps_in(batch))
    for batch in batches:
        seen[batch.id.epoch] = seen.get(batch.id.epoch, SeqRanges()).union(SeqRanges.of_seqs([batch.id.seq]))
    for epoch, seqs in box.spool.steps.keeper.file.view.settled.items():
        seen[epoch] = seen.get(epoch, SeqRanges()).union(seqs)
    return seen


def _missing(told: list[tuple[str, int]], seen: dict[str, SeqRanges]) -> list[tuple[str, int]]:
    return [key for key in told if key[1] not in seen.get(key[0], SeqRanges())]


def main() -> None:
    """One scenario."""
    folder, call, code, where = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
    print(json.dumps(asyncio.run(_main(folder, call, code, where))))


async def _main(folder: Path, call: str, code: int, where: str) -> dict[str, object]:
    box = Box(folder)
    told = await life(box, Faults(call, code), call, where)
    await box.spool.close()
    return told


if __name__ == "__main__":
    main()
