"""A life of a spool, recorded, and how many of the states it could be cut off in break a promise."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from unittest.mock import patch

from gateway.spool import mark
from gateway.spool.row import Stretch
from tests.crash.recorder import REPLACED, Disk, Op, Write, stand_in
from tests.crash.replay import lay_out, states
from tests.crash.truth import stand_up, wrongs
from tests.crash.workload import Life

RAM = Path("/dev/shm")  # nothing is lost by keeping the replayed files in RAM: their disk is the model


async def record(name: str, *, seed: int = 0) -> list[Op]:
    """What the disk was told, and what was promised, in the order it happened."""
    disk = Disk(name)

    def fail(failing: bool) -> None:
        disk.failing = failing

    def write_mark(kept: mark.Mark, segment: int, stretches: Sequence[Stretch]) -> None:
        """It is never synced: any version of it may be found, beside whatever the file is then."""
        tell(kept, segment, stretches)
        disk.log.append(Write("spool.mark", 0, mark.written(segment, stretches)))

    tell = mark.Mark.write
    with patch(REPLACED, stand_in(name)), patch.object(mark.Mark, "write", write_mark), in_ram() as folder:
        await Life(folder, disk.log.append, fail, seed=seed).run()
    return disk.log


async def broken(log: list[Op], count: int, seed: int) -> list[str]:
    """Sentences that say which promise broke where; `seed` and the place find the state again."""
    out = []
    with in_ram() as folder:
        for number, (place, files, truth) in enumerate(states(log, count, Random(seed))):
            lay_out(folder / "spool", files)
            found = wrongs(truth, await stand_up(folder / "spool"))
            shutil.rmtree(folder / "spool")
            out += [f"seed {seed}, state {number}, cut after operation {place}: {wrong}" for wrong in found]
    return out


@contextmanager
def in_ram() -> Iterator[Path]:
    """A folder for a while, in RAM where there is such a thing."""
    with tempfile.TemporaryDirectory(prefix="crash-", dir=RAM if RAM.is_dir() else None) as folder:
        yield Path(folder)
