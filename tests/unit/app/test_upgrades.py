"""gateway.app.upgrades: what was refused before an upgrade comes back once, over restarts and a failing disk."""

import asyncio
from pathlib import Path

import pytest

from gateway.app import files
from gateway.app.upgrades import NAME, RETRY_MS, Upgrades
from gateway.errors import SpoolFailed
from gateway.model import BatchId, Event
from gateway.north.versions import RUN
from gateway.testing.worker import InlineWorker
from tests.support.spools import GATEWAY, Box, draft


class Gateway:
    """A box whose spool has three batches, two of them parked: refused, unanswered."""

    def __init__(self, folder: Path) -> None:
        self.box = Box(folder)
        self.told: list[Event] = []

    async def start(self, version: str) -> Upgrades:
        """The daemon's part of it."""
        await self.box.start()
        spool, clock = self.box.spool, self.box.clock
        return Upgrades(self.box.folder, version, spool, clock, InlineWorker(), self.told.append)

    async def park(self) -> None:
        """As the window does."""
        while self.box.spool.status.pending < 3:
            await self.box.spool.append(draft())
        epoch = self.box.spool.epoch
        await self.box.spool.park(BatchId(GATEWAY, epoch, 2), "refused:schema")
        await self.box.spool.park(BatchId(GATEWAY, epoch, 3), "unanswered")

    async def offered(self) -> list[int]:
        """Seqs."""
        return [batch.id.seq for batch in await self.box.spool.read(0, None, 10)]


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    """Not started."""
    return Gateway(tmp_path)


async def test_a_new_version_of_the_gateway_brings_back_what_was_refused(gateway: Gateway) -> None:
    """W-76, PARK-2: also in a spool of before `versions.json`; only what was refused; counted in an event; once."""
    await (await gateway.start("1.0")).step()
    await gateway.park()
    await gateway.box.spool.close()
    again = await gateway.start("1.0")
    await again.step()
    assert await gateway.offered() == [1]
    assert gateway.told == []
    await gateway.box.spool.close()
    for _ in range(2):
        new = await gateway.start("1.1")
        await new.step()
        assert await gateway.offered() == [1, 2]
        assert [(event.code, event.detail) for event in gateway.told] == [("refused_again", (1, "gateway", "1.1"))]
        await gateway.box.spool.close()


async def test_a_new_version_of_the_centre_brings_back_what_was_refused(gateway: Gateway) -> None:
    """W-59, W-77, PARK-2: by itself, while the gateway runs; two that take turns afterwards bring back nothing."""
    upgrades = await gateway.start("1.0")
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(upgrades.run(), name="upgrades")
        upgrades.heard("2.0")
        await gateway.box.clock.advance(1)
        await gateway.park()
        for _ in range(RUN):
            upgrades.heard("2.1")
        await gateway.box.clock.advance(1)
        assert await gateway.offered() == [1, 2]
        assert [event.detail for event in gateway.told] == [(1, "ioc", "2.1")]
        await gateway.park()
        for version in ("2.0", "2.1") * RUN:
            upgrades.heard(version)
            await gateway.box.clock.advance(1)
        assert await gateway.offered() == [1]
        assert b'"theirs":["2.0","2.1"]' in (gateway.box.folder / NAME).read_bytes()
        running.cancel()
    await gateway.box.spool.close()


async def test_what_is_parked_on_a_failing_disk_comes_back_with_it(gateway: Gateway) -> None:
    """PARK-2: the ring is not the disk; the version has not had its turn yet."""
    await (await gateway.start("1.0")).step()
    await gateway.park()
    upgrades = Upgrades(
        gateway.box.folder, "1.1", gateway.box.spool, gateway.box.clock, InlineWorker(), gateway.told.append
    )
    await gateway.box.spool.steps._fall(SpoolFailed("EIO"))
    assert not await upgrades.step()
    assert gateway.told == []
    await gateway.box.clock.advance(2 * RETRY_MS)
    await gateway.box.spool.tick()
    assert await upgrades.step()
    assert 2 in await gateway.offered()
    await gateway.box.spool.close()


async def test_a_file_that_cannot_be_used_costs_one_more_try(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """PARK-2: damaged, or not writable: it starts, and tries once at each start."""
    (gateway.box.folder / NAME).write_bytes(b'{"v":1,"ours":[7],"theirs":[]}')

    def broken(path: Path, data: bytes) -> None:
        raise OSError(path, len(data))

    monkeypatch.setattr(files, "keep", broken)
    for _ in range(2):
        upgrades = await gateway.start("1.0")
        await gateway.park()
        assert await upgrades.step()
        assert await gateway.offered() == [1, 2]
        await gateway.box.spool.close()
