"""New epochs while the spool is open, and an old copy of a card that was put back."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from gateway.cli import audited
from gateway.counters import Counters
from gateway.errors import SpoolFailed
from gateway.ioc import audit
from gateway.ioc.breaker import Breaker
from gateway.ioc.check import Accepted, Document, check
from gateway.ioc.deadletter import DeadLetters
from gateway.ioc.deposit import Deposit
from gateway.ioc.store.sqlite import SqliteStore
from gateway.model import Batch, BootMs, SeqRanges
from gateway.seams import Message
from gateway.spool.spool import Spool
from gateway.testing.clock import FakeClock
from gateway.wire import batch as batches
from gateway.wire.body import decode
from gateway.wire.topic import Topics
from tests.support.spools import GATEWAY, Box


def start_of(batch: Batch) -> list[object]:
    """[old epoch, last seq, why] of a first batch."""
    (event,) = decode(batch.enc, batch.body).events
    assert event.code == "epoch_start"
    return list(event.detail)


async def test_renew_begins_an_epoch_and_keeps_what_is_there(tmp_path: Path) -> None:
    """EPOCH-4: the old epoch is sent to its end, the new one begins at 1 and says where the old one ended."""
    box = Box(tmp_path)
    spool = await box.start()
    await box.append()
    old = spool.epoch
    assert await spool.renew() == (old, spool.epoch)
    assert spool.epoch != old
    assert await box.append() == 2
    sent = await spool.read(0, None, 9)
    assert [(b.id.epoch, b.id.seq) for b in sent] == [(old, 1), (old, 2), (spool.epoch, 1), (spool.epoch, 2)]
    assert start_of(sent[2]) == [old, 2, "renew"]
    await box.restart()
    assert await box.append() == 3
    await box.spool.close()


async def test_an_epoch_that_is_still_empty_is_not_told(tmp_path: Path) -> None:
    """EPOCH-4: renewed twice with nothing in between, the event names the epoch that has batches."""
    box = Box(tmp_path)
    spool = await box.start()
    await box.append()
    old = spool.epoch
    await spool.renew()
    await box.restart()
    await box.spool.renew()
    await box.append()
    sent = await box.spool.read(2, None, 9)
    assert start_of(sent[0]) == [old, 2, "renew"]
    assert [e.epoch for e in box.spool.status.epochs] == [old, box.spool.epoch]
    await box.spool.close()


async def test_while_the_disk_fails_there_is_nothing_to_renew(tmp_path: Path) -> None:
    """EPOCH-4: the ring is an epoch of its own already."""
    tmp_path.joinpath("spool").write_text("no folder")
    box = Box(tmp_path / "spool")
    spool = await box.start()
    with pytest.raises(SpoolFailed):
        await spool.renew()
    await spool.close()


class City:
    """Check, deposit, a store and its audit."""

    def __init__(self, folder: Path) -> None:
        self.store, clock, counters = SqliteStore(folder / "store.db"), FakeClock(), Counters()
        self._letters = DeadLetters(folder / "dead")
        self._deposit = Deposit(self.store, self._letters, Breaker(), clock, counters, Random(1))
        self._clock = clock

    async def take(self, spool: Spool) -> list[int]:
        """All that the spool offers, stored and receipted; the seqs."""
        offered = await spool.read(0, None, 100)
        messages = [
            Message(Topics("city", GATEWAY).data, batches.encode(batch), 1, at) for at, batch in enumerate(offered)
        ]
        checked = [check(message, "city", frozenset(), self._clock.utc_ms()) for message in messages]
        accepted = [one for one in checked if isinstance(one, Accepted)]
        assert len(accepted) == len(offered)
        documents: Sequence[Document] = ()
        settled = await self._deposit.put(accepted, documents, BootMs(1 << 40))
        for one in settled:
            spool.settle(one.batch.id.epoch, SeqRanges.of_seqs([one.batch.id.seq]))
        return [one.batch.id.seq for one in settled]

    async def said(self) -> str:
        """The audit."""
        return audited.text(await audit.audit(self.store, None, self._clock.utc_ms(), None), [], "en")

    async def close(self) -> None:
        """Its files and its thread."""
        await self.store.close()
        self._letters.close()


async def test_an_old_copy_of_the_card_is_seen_and_renew_ends_it(tmp_path: Path) -> None:
    """EPOCH-4: seqs with two contents are an alarm; from `renew` on none is used twice, and none is lost."""
    city, box = City(tmp_path), Box(tmp_path / "spool")
    spool = await box.start()
    await box.measure(1.0)
    await city.take(spool)
    await spool.close()
    shutil.copytree(box.folder, tmp_path / "image")

    await box.start()
    assert [await box.measure(2.0 + at) for at in range(3)] == [3, 4, 5]
    await city.take(box.spool)
    await box.spool.close()
    assert "seq_used_twice" not in await city.said()

    shutil.rmtree(box.folder)
    (tmp_path / "image").rename(box.folder)
    await box.start()
    assert [await box.measure(7.0 + at) for at in range(2)] == [3, 4]
    assert await city.take(box.spool) == [3, 4]
    old = box.spool.epoch
    assert "ALARM seq_used_twice: 3-4" in await city.said()

    await box.spool.renew()
    for _ in range(4):
        await box.measure(9.0)
    await city.take(box.spool)
    said = await city.said()
    assert "ALARM seq_used_twice: 3-4" in said  # what happened stays told; nothing was added to it
    assert f"{GATEWAY} {old}: issued 5: stored 5" in said
    assert f"{GATEWAY} {box.spool.epoch}: issued 5: stored 5" in said
    assert "nothing unexplained" in said
    await box.spool.close()
    await city.close()
