"""gateway.app.uplinks: the uplinks behind the first, on a real spool and a broker in memory."""

import asyncio
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from gateway.app.uplinks import PlainUplink, plain_uplinks
from gateway.model import Draft, Event
from gateway.seams import Broker
from gateway.site import UplinkSettings
from gateway.testing.broker import FakeBroker
from gateway.wire.documents import UplinkStatus
from tests.support.ioc import make_batch, row
from tests.support.spools import BOOT, Box, draft
from tests.unit.app.test_status import SITE, board

SERVER = Broker("127.0.0.1", 1884, "hc-0001-telegraf")
SECOND = UplinkSettings(
    "telegraf",
    (),
    "wired",
    1_000,
    60_000,
    settle="puback",
    format="json",
    topic="{root}/{gateway}/{device}",
    password_files=("secret",),
)


class Bench:
    """One second uplink."""

    def __init__(self, box: Box) -> None:
        self.box, self.broker, self.events = box, FakeBroker(), list[Event]()

    def made(self) -> PlainUplink:
        """Of a site of two."""
        site = replace(SITE, uplinks=(*SITE.uplinks, SECOND))
        box = self.box
        (only,) = plain_uplinks(
            site,
            [(), (SERVER,)],
            box.spool,
            self.broker.connect,
            box.clock,
            box.counters,
            Random(7),
            self.events.append,
            board(),
        )
        return only


@pytest.fixture
async def bench(tmp_path: Path) -> Bench:
    """On a spool whose epoch_start has been told."""
    box = Box(tmp_path / "spool", others=("telegraf",))
    await box.start()
    return Bench(box)


def full(at: int) -> Draft:
    """One row."""
    made = make_batch(1, [row(0)])
    return replace(draft(at, 1, boot=BOOT), body=made.body, enc=made.enc)


async def test_what_it_sends_and_says(bench: Bench) -> None:
    """From the spool to the topic; its status is its own, its events name it, and the first uplink waits as before."""
    reader = await bench.broker.connect(replace(SERVER, client_id="reader"))
    await reader.subscribe("#")
    await bench.box.spool.append(full(bench.box.clock.boot_ms()))
    uplink = bench.made()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(uplink.run(), name="uplink")
        await bench.box.clock.advance(3_000)
        await bench.box.spool.step(lambda _: None)  # counts are as of the disk's last step
        assert uplink.status == UplinkStatus("telegraf", "json", "puback", True, 0, 2, 0)
        uplink.stop()
        await bench.box.clock.advance(4_000)
    assert {message.topic for message in bench.broker.published} == {"city/hc-0001/meter-1", "city/hc-0001/gateway"}
    assert {(event.subject, event.code) for event in bench.events} == {("telegraf", "uplink_up")}
    assert bench.box.spool.counts() == (2, 0)
    assert not uplink.status.connected


async def test_one_that_nobody_reads(bench: Bench) -> None:
    """Its alarm is in its own status, in words that fit."""
    await bench.box.spool.append(full(bench.box.clock.boot_ms()))
    uplink = bench.made()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(uplink.run(), name="uplink")
        await bench.box.clock.advance(3_000)
        assert uplink.status.alarms == ("nobody_subscribes",)
        assert uplink.status.pending == 2
        uplink.stop()
        await bench.box.clock.advance(4_000)
    assert ("telegraf", "nobody_subscribes") in {(event.subject, event.code) for event in bench.events}
