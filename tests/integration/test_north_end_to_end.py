"""An uplink, a real mosquitto and an ingest of 20 lines: what was appended is stored, whatever dies in between."""

import asyncio
from pathlib import Path

import pytest

from gateway.model import Event
from tests.support.backlog import MemoryBacklog
from tests.support.mqtt import connected, next_message, nothing_left_behind
from tests.support.real_uplink import TOPICS, Ingest, make_uplink, until
from tests.support.servers import Mosquitto

pytestmark = pytest.mark.server

SERVERS_DIE = 2


async def test_every_batch_is_stored_though_the_broker_is_killed_again_and_again(tmp_path: Path) -> None:
    """SIGKILL of the broker, without persistence, in the middle of a drain: PUBACKed messages die, batches do not."""
    backlog, events = MemoryBacklog(), list[Event]()
    with nothing_left_behind(), Mosquitto(tmp_path) as mosquitto:
        ingest = Ingest(mosquitto.port)
        uplink = make_uplink(backlog, events, mosquitto.port)
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(ingest.run(), name="ingest")
            running = tasks.create_task(uplink.run(), name="uplink")
            for death in range(SERVERS_DIE):
                for _ in range(200):
                    backlog.append()
                await until(lambda: len(ingest.stored) >= 200 * death + 50)  # noqa: B023 - awaited in this turn
                mosquitto.kill()
                backlog.append(urgent=True)
                mosquitto.start()
            await until(lambda: not backlog.pending)
            uplink.stop()
            await running
            serving.cancel()
        assert ingest.stored == {batch.id.seq: batch.crc for batch in backlog.batches}
        assert len(ingest.stored) == 200 * SERVERS_DIE + SERVERS_DIE
        async with connected(mosquitto, "late") as late:
            await late.subscribe(TOPICS.status)
            status = await next_message(late)
            assert status.retain
            assert b'"online":false' in status.payload.replace(b" ", b"")


async def test_while_the_ingest_is_away_nothing_is_settled_and_it_is_told(tmp_path: Path) -> None:
    """The broker says so itself: 16, nobody subscribes. When the ingest comes, all arrives without a new connection."""
    backlog, events = MemoryBacklog(), list[Event]()
    with nothing_left_behind(), Mosquitto(tmp_path) as mosquitto:
        uplink = make_uplink(backlog, events, mosquitto.port)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(uplink.run(), name="uplink")
            for _ in range(30):
                backlog.append()
            await until(lambda: uplink.alarms == {"nobody_stores"})
            assert len(backlog.pending) == 30
            ingest = Ingest(mosquitto.port)
            serving = tasks.create_task(ingest.run(), name="ingest")
            await until(lambda: not backlog.pending)
            assert uplink.alarms == frozenset()
            uplink.stop()
            await running
            serving.cancel()
        assert [event.code for event in events] == ["uplink_up", "nobody_stores", "no_receipts", "receipts_again"]
