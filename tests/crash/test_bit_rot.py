"""One flipped bit anywhere, or a file cut off anywhere: it starts, nothing wrong is passed on, what is lost is named.

Damages that leave the same to be read are one (`sight`). Short form: a seeded share of those that can matter. Long
form, every one: `ROT_SHARE=1 ROT_DULL=1 pytest tests/crash/test_bit_rot.py` (1.2 million damages, 61,000 spools opened;
about ten minutes). `ROT_SLICE=2/4`: the second quarter of it.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from gateway.spool.ring_mark import SLOTS
from gateway.spool.view import RING_LOST
from tests.crash.recorded import in_ram
from tests.crash.replay import lay_out
from tests.crash.rot import Damage, Spool, at_rest, died, running
from tests.crash.sight import DB, RING, in_room, sight
from tests.crash.truth import stand_up, wrongs_of_rot

SHARE = float(os.environ.get("ROT_SHARE", "0.06"))
DULL = float(os.environ.get("ROT_DULL", "0.01"))
SEED = int(os.environ.get("ROT_SEED", "1"))
SLICE, SLICES = map(int, os.environ.get("ROT_SLICE", "1/1").split("/"))
TIMEOUT_S = 60 + 6_000 * SHARE
NOISES = 16


async def broken(spool: Spool, damage: Damage, folder: Path) -> list[str]:
    """What a spool with this damage does that it must not."""
    lay_out(folder, damage.done_to(spool.files))
    wrong = wrongs_of_rot(spool.truth, await stand_up(folder, machine="m2"))
    shutil.rmtree(folder)
    return [f"{damage}: {sentence}" for sentence in wrong]


def unlike(spool: Spool, folder: Path) -> Iterator[Damage]:
    """One of all that leave the same to be read; of them this run's slice."""
    seen = set[bytes]()
    for damage in spool.some(SHARE, DULL, Random(SEED)):
        left = sight(damage.done_to(spool.files), folder)
        if left not in seen and int.from_bytes(left[:4], "big") % SLICES == SLICE - 1:
            yield damage
        seen.add(left)


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("make", [at_rest, running])
async def test_every_damage_is_survived_and_counted(make: object) -> None:
    """P8, CRC-1, DMG-1..7, MARK-1: no wrong row, no wrong time, no refusal, no seq twice, no silent loss."""
    out, tried = [], 0
    with in_ram() as folder:
        spool = await (at_rest if make is at_rest else running)(folder / "made")
        for damage in unlike(spool, folder / "copies"):
            out += await broken(spool, damage, folder / "spool")
            tried += 1
    assert out == []
    assert tried > 100 / SLICES


async def test_every_damage_of_a_note_of_rings() -> None:
    """RING-8, P8: nothing that it told is another's or more than was; what is on the disk is as it was."""
    wrong, told, tried = list[str](), set[tuple[tuple[int, int], ...]](), 0
    with in_ram() as folder:
        spool = await died(folder / "made")
        ring, last = next((epoch, seq) for epoch, seq in spool.truth.highest.items() if epoch == "epoch91")
        own = replace(spool.truth, appended={k: v for k, v in spool.truth.appended.items() if k[0] != ring})
        seen = set[bytes]()
        for damage in (damage for damage in spool.damages() if damage.file == RING):
            files = damage.done_to(spool.files)
            left = sight({RING: files[RING]}, folder / "copies")
            if left in seen:
                continue
            seen.add(left)
            lay_out(folder / "spool", files)
            found = await stand_up(folder / "spool", machine="m2")
            shutil.rmtree(folder / "spool")
            wrong += [f"{damage}: {sentence}" for sentence in wrongs_of_rot(own, found)]
            lost = [gap for gap in found.gaps if gap.reason == RING_LOST]
            wrong += [f"{damage}: {gap}" for gap in lost if (gap.epoch, gap.first) != (ring, 1) or gap.last > last]
            told.add(tuple((gap.first, gap.last) for gap in lost))
            tried += 1
    assert wrong == []
    assert told == {(), ((1, 2),), ((1, 3),)}
    assert tried == 2**SLOTS  # each slot says its word, or nothing


@pytest.mark.parametrize("damage", [Damage(DB, 4105, 4), Damage(DB, 0, None), Damage(DB, 20003, 0)], ids=str)
async def test_a_damaged_spool_still_names_a_dead_ring(damage: Damage) -> None:
    """RING-7, DMG-6, DMG-7: what the note tells does not depend on the file that failed."""
    with in_ram() as folder:
        assert await broken(await died(folder / "made"), damage, folder / "spool") == []


async def test_room_between_pointers_and_cells_is_read_by_nobody() -> None:
    """P8: damages in it may be tried once; with noise in all of it the spool offers what it offered."""
    random = Random(SEED)
    with in_ram() as folder:
        spool = await at_rest(folder / "made")
        room = in_room(spool.files[DB])
        assert len(room) > len(spool.files[DB]) // 2
        found = []
        for number in range(NOISES + 1):
            data = bytearray(spool.files[DB])
            for at in room if number else ():
                data[at] ^= random.randrange(256)
            lay_out(folder / f"{number}", {**spool.files, DB: bytes(data)})
            found.append(await stand_up(folder / f"{number}", machine="m2"))
    assert [one for one in found if one != found[0]] == []


@pytest.mark.parametrize(
    "damage",
    [
        Damage("spool.db", 1, 0),  # the magic
        Damage("spool.db", 36, 7),  # the count of free pages, now below zero: the quota would give up everything
        Damage("spool.db", 56 + 3, 1),  # another text encoding: every text would be another one
        Damage("spool.db", 2123, 7),  # the schema: SQLite's own message is no longer text
        Damage("spool.db", 0, None),  # a database of no bytes is a new one
        Damage("spool.db", 12297, 5),  # segments: a gap batch whose time is lost still names what it names
        Damage("spool.db", 20003, 0),  # the log's root, met by a look at the oldest batch
        Damage("spool.db", 4105, 4),  # meta's tree takes a new row, and does not find it again
        Damage("spool.mark", 10, 0),  # the second word alone says nothing
    ],
    ids=str,
)
async def test_what_was_found_by_it(damage: Damage) -> None:
    """DMG-5, DMG-6, DMG-7, MARK-1: each of these lost something silently, or stopped the daemon, once."""
    with in_ram() as folder:
        assert await broken(await at_rest(folder / "made"), damage, folder / "spool") == []


@pytest.mark.parametrize("damage", [Damage("spool.db-wal", 217, None), Damage("spool.db-wal", 626, 5)], ids=str)
async def test_a_shorter_wal_is_noticed(damage: Damage) -> None:
    """MARK-1, SEQ-2: an epoch and its batches were in the WAL alone; they are named, and no number is used again."""
    with in_ram() as folder:
        assert await broken(await running(folder / "made"), damage, folder / "spool") == []
