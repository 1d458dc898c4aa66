"""Bytes a reading takes on disk: ten meters read each second, as the simulators let them move, in batches of 10 s.

The values go the way that they go in the daemon, from the device's registers on: encoded by the simulator's codec,
decoded, packed, appended. Only the wire is left out.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import time_ns

from gateway.model import BootMs, Group, Row, Stamp, UtcMs, Value
from gateway.pipeline.packer import Packer
from gateway.profile.load import load
from gateway.profile.profile import Field
from gateway.sources import search_path
from gateway.south.reads.plan import LineCost, Read, plan
from simulators.signals import Moment, Signal, signal_for
from tests.bench import table
from tests.bench.backlog import open_here
from tests.bench.table import Budget

BUDGET = Budget("spool: on disk, a reading (10 devices, 10 s)", "<= 3 bytes")
BUDGETS = (BUDGET,)
BYTES_MAX = 3.0
DEVICES, MODEL = 10, "eastron/sdm630@1"
BATCH_MS, BATCHES, STEP_MS = 10_000, 60, 1000


@dataclass(frozen=True, slots=True)
class _Meter:
    group: Group
    fields: Sequence[Field]
    reads: Sequence[Read]
    signals: Mapping[str, Signal]

    def row(self, at: BootMs, now: Moment) -> Row:
        values: list[Value | None] = [None] * len(self.fields)
        for read in self.reads:
            data = read.block.encode([self.signals[self.fields[place].name](now) for place in read.fields])
            for place, value in zip(read.fields, read.decode(data).values, strict=True):
                values[place] = value
        return Row(self.group, at, tuple(values))


def measure(folder: Path) -> Iterator[table.Row]:
    """What the file grows by, whole pages, over all readings."""
    meters = list(_meters())
    readings = DEVICES * len(meters[0].fields) * BATCHES * BATCH_MS // STEP_MS
    grown, bodies = asyncio.run(_grown(folder, meters))
    each = grown / readings
    measured = f"{each:.2f} bytes; {bodies / readings:.2f} in bodies of {bodies / BATCHES / 1024:.1f} KiB"
    yield BUDGET.row(measured, within=each <= BYTES_MAX)


async def _grown(folder: Path, meters: Sequence[_Meter]) -> tuple[int, int]:
    """Bytes of the file, bytes of the bodies in it."""
    spool = await open_here(folder)
    try:
        packer = Packer("", max_age_ms=BATCH_MS)
        drafts = [draft for row in _rows(meters) for draft in [*packer.due(row.at, online=True), *packer.add(row)]]
        drafts += packer.flush()
        assert len(drafts) == BATCHES, f"{len(drafts)} batches"
        before = spool.status.size_bytes
        for draft in drafts:
            await spool.append(replace(draft, stamp=Stamp(UtcMs(time_ns() // 1_000_000 + draft.b0), "ntp")))
        return spool.status.size_bytes - before, sum(len(draft.body) for draft in drafts)
    finally:
        await spool.close()


def _rows(meters: Sequence[_Meter]) -> Iterator[Row]:
    began = time_ns() // 1_000_000
    for n in range(BATCHES * BATCH_MS // STEP_MS):
        for at, meter in enumerate(meters):  # one after the other, as a bus is read
            offset = n * STEP_MS + 60 * at
            yield meter.row(BootMs(offset), Moment(UtcMs(began + offset), n))


def _meters() -> Iterator[_Meter]:
    profile = load(search_path()).profiles[MODEL]
    fields = [field for field in profile.reported if field.every != "slow"]
    reads = plan(profile, fields, LineCost(1.0, 10.0))
    names, letters = tuple(field.name for field in fields), "".join(field.letter for field in fields)
    for at in range(DEVICES):
        device = f"meter-{at}"
        signals = {field.name: signal_for(device, field, 7) for field in fields}
        yield _Meter(Group(device, profile.kind, profile.ref, names, letters), fields, reads, signals)
