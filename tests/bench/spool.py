"""What a batch costs the card: flushes and bytes to the device, in the steady state of appends and receipts.

Where the bytes of a batch of 8 KiB go, with the tables of version 1 (measured: 5.25 pages a transaction):

    WAL         page 1 (the file grew), meta, the leaf of its row, 2 pages of body        5.00 frames of 4120 bytes
                the page above the leaves, and table settled, each with every 8th          0.25
                                                                                         = 21.1 KiB
                the block in which one transaction ends and the next begins, twice          1.0 (ext4 of 1 KiB blocks)
    checkpoint  2 pages of body, a leaf for 8 rows, the few others once in 190 batches      8.7
    ext4        journal and inodes                                                          0.4
                                                                                         = 31.2 KiB

No index, no split: leaves are only appended. Settled ranges written after 20 seqs instead of with the next append would
save 0.3. Smaller pages would reach 30 (docs/decisions/0038), and so would a transaction without meta, its counters read
from the newest row instead (SEQ-1 and the recovery of a lost meta stand on it), which is another version of the file.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random
from time import time_ns

from gateway.model import BootMs, Draft, SeqRanges, Stamp, UtcMs
from gateway.spool.spool import Spool
from tests.bench.backlog import open_here
from tests.bench.disk import Disk, NoDisk, Written, mounted
from tests.bench.table import Budget, Row

FLUSHES = Budget("spool: flushes a batch", "<= 1.1")
BYTES = Budget("spool: to the device, a batch of 8 KiB", "<= 30 KiB")
BUDGETS = (FLUSHES, BYTES)
FLUSHES_MAX, KIB_MAX = 1.1, 30.0
BATCH_BYTES = 8192
WARM, BATCHES = 500, 2000
RECEIPT, LAG = 8, 32  # a receipt names so many batches, and comes when so many newer ones are out


def measure(folder: Path) -> Iterator[Row]:
    """By the kernel's counters of a block device that nothing else writes to."""
    try:
        with mounted(folder) as disk:
            (disk.folder / "spool").mkdir()
            written = asyncio.run(_written(disk))
    except NoDisk as error:
        yield from (budget.not_yet(str(error)) for budget in BUDGETS)
        return
    flushes, kib = written.flushes / BATCHES, written.size_bytes / BATCHES / 1024
    yield FLUSHES.row(f"{flushes:.3f} ({BATCHES} batches)", within=flushes <= FLUSHES_MAX)
    yield BYTES.row(f"{kib:.1f} KiB, journal and checkpoints included", within=kib <= KIB_MAX)


async def _written(disk: Disk) -> Written:
    random = Random(7)
    spool = await open_here(disk.folder / "spool")
    try:
        for _ in range(WARM):
            await _append(spool, random)
        before = disk.written()
        for _ in range(BATCHES):
            await _append(spool, random)
        after = disk.written()
    finally:
        await spool.close()
    return Written(after.size_bytes - before.size_bytes, after.flushes - before.flushes)


async def _append(spool: Spool, random: Random) -> None:
    stamp = Stamp(UtcMs(time_ns() // 1_000_000), "ntp")
    draft = Draft("", BootMs(0), BootMs(0), 1, random.randbytes(BATCH_BYTES), "none", stamp=stamp)
    seq = await spool.append(draft)
    if seq % RECEIPT == 0 and seq > LAG:
        spool.settle(spool.epoch, SeqRanges.of([(seq - LAG - RECEIPT + 1, seq - LAG)]))
