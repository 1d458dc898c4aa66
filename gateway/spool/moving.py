"""Into a spool file: what a ring held, that one died, what salvage finds. Each is one transaction. Blocking."""

from collections.abc import Sequence
from dataclasses import replace

from gateway.model import SeqRanges
from gateway.spool.file import SpoolFile
from gateway.spool.meta import Meta, merged
from gateway.spool.row import Record, Stretch
from gateway.spool.view import RING_LOST, View


def adopt(file: SpoolFile, other: SpoolFile) -> None:
    """Take over all of `other` under its own epochs, in one transaction; this file's epoch then goes on."""
    mine, theirs, open_ = file.meta, other.meta, file.view.stretches[-1]
    shift = max(0, mine.next_id - other.view.stretches[0].first_id)
    moved = [replace(s, first_id=s.first_id + shift) for s in other.view.stretches if s.last >= s.first]
    meta = merged(mine, theirs, shift)
    goes_on = replace(open_, first_id=meta.next_id, first=mine.next_seq, last=mine.next_seq - 1)
    ranges = {**file.view.ranges(), **other.view.ranges()}
    with file.db.transaction():
        for segment in other.view.segments.values():
            file.write_segment(segment)
        stretches = list(file.view.stretches)
        for stretch in [*moved, goes_on]:
            file.write_open(stretches, stretch)
            stretches.append(stretch)
        for stretch in other.view.stretches:
            for record in other.records(SeqRanges.of([(stretch.first_id, stretch.last_id)]))[0]:
                file.db.put_record(replace(record, id=record.id + shift))
        for epoch, parked in other.view.parked.items():
            for seq, why in parked.items():
                file.db.put_parked(epoch, seq, why)
        file.db.put_ranges(file.saved, ranges)
        file.db.put_meta(meta)
    file.load()
    file.tell_mark()


def bury(file: SpoolFile, rings: Sequence[Stretch]) -> None:
    """Let rings that died be known: pending without a row, so each is a gap. This file's epoch goes on behind them."""
    meta, stretches = file.meta, list(file.view.stretches)
    goes_on = replace(stretches[-1], first=meta.next_seq, last=meta.next_seq - 1)
    with file.db.transaction():
        for ring in rings:
            stretch = replace(ring, first_id=meta.next_id, why=RING_LOST)
            meta = replace(meta, next_id=stretch.last_id + 1)
            file.write_open(stretches, stretch)
            stretches.append(stretch)
        file.write_open(stretches, replace(goes_on, first_id=meta.next_id))
        file.db.put_ranges(file.saved, file.view.ranges())
        file.db.put_meta(meta)
    file.load()
    file.tell_mark()


def plant(file: SpoolFile, view: View, meta: Meta | None, *, whole: bool) -> None:
    """Into a fresh file: all that an old one was known to hold, except the log; `whole`: no range was lost."""
    view.serve(file.others, whole=whole)
    with file.db.transaction():
        for segment in view.segments.values():
            file.db.put_segment(segment)
        for stretch in view.stretches:
            file.db.put_stretch(stretch)
        for epoch, parked in view.parked.items():
            for seq, why in parked.items():
                file.db.put_parked(epoch, seq, why)
        file.db.put_ranges(None, view.ranges())
        if meta is not None:
            file.db.put_meta(meta)
    file.load()


def replant(file: SpoolFile, records: Sequence[Record]) -> None:
    """Salvaged rows, at their old places; rows of an epoch that nobody knew of make it known."""
    known = {(s.epoch, s.shift): s for s in file.view.stretches}
    grown: dict[tuple[str, int], Stretch] = {}
    for record in records:
        key = (record.epoch, record.id - record.seq)
        stretch = known.get(key) or Stretch(record.id, record.epoch, record.seq, 0, file.gateway, "", why="salvaged")
        if record.seq > stretch.last:
            known[key] = grown[key] = replace(stretch, last=record.seq)
    with file.db.transaction():
        for record in records:
            file.db.put_record(record)
        for stretch in grown.values():
            file.db.put_stretch(stretch)
    file.view.know(grown.values())
