"""An uplink and a real mosquitto with a bad way between them: what is wrong is told, and everything arrives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gateway.errors import PeerError
from gateway.model import Event
from gateway.north import uplink as north_uplink
from gateway.north.uplink import Uplink
from gateway.seams import Broker
from tests.support.backlog import GATEWAY, MemoryBacklog, make_batch
from tests.support.mqtt import nothing_left_behind
from tests.support.real_uplink import CONNECT, Ingest, make_uplink, until
from tests.support.servers import Mosquitto
from tests.support.strait import Strait

pytestmark = pytest.mark.server

BATCHES = 60


class Way:
    """An uplink that runs, its spool, and what it said."""

    def __init__(self) -> None:
        self.backlog = MemoryBacklog()
        self.events: list[Event] = []
        self.uplink: Uplink

    @asynccontextmanager
    async def running(self, *ports: int, ingest: int = 0, keepalive_s: int = 60) -> AsyncIterator[None]:
        """Inside; with an ingest on that port."""
        self.uplink = make_uplink(self.backlog, self.events, *ports, keepalive_s=keepalive_s)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self.uplink.run(), name="uplink")
            serving = tasks.create_task(Ingest(ingest).run(), name="ingest") if ingest else None
            try:
                yield
            finally:
                self.uplink.stop()
                await running
                if serving is not None:
                    serving.cancel()

    def append(self, count: int = BATCHES) -> None:
        """So many batches."""
        for _ in range(count):
            self.backlog.append()

    async def all_stored(self) -> None:
        """Every batch has its receipt."""
        await until(lambda: not self.backlog.pending)

    def codes(self) -> list[str]:
        """Of all events."""
        return [event.code for event in self.events]


@pytest.fixture
def mosquitto(tmp_path: Path) -> Mosquitto:
    """Not started."""
    return Mosquitto(tmp_path)


@pytest.mark.parametrize(("slice_bytes", "pause_s"), [(1, 0.0), (200, 0.002)], ids=["byte by byte", "slow"])
async def test_a_way_that_is_sliced_or_slow(mosquitto: Mosquitto, slice_bytes: int, pause_s: float) -> None:
    """A packet in pieces is a packet: everything is stored over one connection, and nothing is alarmed."""
    way = Way()
    way.append()
    with nothing_left_behind(), mosquitto, Strait(mosquitto.port) as strait:
        strait.slice_bytes, strait.pause_s = slice_bytes, pause_s
        async with way.running(strait.port, ingest=mosquitto.port):
            await way.all_stored()
        assert strait.connections == 1
    assert way.codes() == ["uplink_up"]


async def test_half_open(mosquitto: Mosquitto) -> None:
    """Nothing comes and nothing is said: the keepalive tells, a new connection is made, what was out goes again."""
    way = Way()
    with nothing_left_behind(), mosquitto, Strait(mosquitto.port) as strait:
        async with way.running(strait.port, ingest=mosquitto.port, keepalive_s=1):
            way.append()
            await way.all_stored()
            strait.stalled = True
            way.append()
            await until(lambda: "uplink_down" in way.codes())
            assert len(way.backlog.pending) == BATCHES
            strait.cut()
            strait.stalled = False
            await way.all_stored()
            assert strait.connections >= 2


async def test_reset_again_and_again(mosquitto: Mosquitto) -> None:
    """RST in the middle of a drain: what was PUBACKed and not stored goes again."""
    way = Way()
    way.append(300)
    with nothing_left_behind(), mosquitto, Strait(mosquitto.port) as strait:
        async with way.running(strait.port, ingest=mosquitto.port):
            for left in (250, 150, 50):
                await until(lambda: len(way.backlog.pending) < left)  # noqa: B023 - awaited in this turn
                strait.cut()
            await way.all_stored()


async def test_receive_maximum_1(tmp_path: Path) -> None:
    """A server that takes one publish at a time gets one, status and catalog included; all is stored."""
    way = Way()
    way.append()
    with nothing_left_behind(), Mosquitto(tmp_path, settings=("max_inflight_messages 1",)) as mosquitto:
        async with way.running(mosquitto.port, ingest=mosquitto.port):
            await way.all_stored()
    assert way.codes() == ["uplink_up"]


async def test_packets_that_are_too_large_for_the_server(tmp_path: Path) -> None:
    """An alarm; the batch stays pending, the smaller ones beside it are stored, and the connection holds."""
    way = Way()
    way.append(5)
    way.backlog.batches.append(make_batch(6, body=bytes(3_000)))
    way.append(5)
    with nothing_left_behind(), Mosquitto(tmp_path, settings=("max_packet_size 2000",)) as mosquitto:
        async with way.running(mosquitto.port, ingest=mosquitto.port):
            await until(lambda: way.backlog.pending == [6])
            assert way.uplink.alarms == {"packet_too_large"}
    assert [code for code in way.codes() if code != "uplink_up"] == ["packet_too_large"]


async def test_publishes_that_the_server_refuses(tmp_path: Path) -> None:
    """An ACL that forbids data: PUBACK 135 is an alarm, settles nothing and parks nothing."""
    way = Way()
    way.append(5)
    own = f"city/{GATEWAY}"
    acl = f"topic write {own}/up/status\ntopic write {own}/up/catalog\ntopic read {own}/down/#\n"
    with nothing_left_behind(), Mosquitto(tmp_path, acl=acl) as mosquitto:
        async with way.running(mosquitto.port):
            await until(lambda: way.uplink.alarms >= {"publish_refused"})
            assert len(way.backlog.pending) == 5
            assert way.backlog.parked == {}


async def test_the_next_server_and_back(tmp_path: Path, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is down: the second is used; when the first is back for the (shortened) ten minutes, it moves back."""
    monkeypatch.setattr(north_uplink, "HOME_AFTER_MS", 500)
    way = Way()
    with nothing_left_behind(), Mosquitto(tmp_path) as second:
        async with way.running(mosquitto.port, second.port, ingest=second.port):
            way.append()
            await way.all_stored()
            assert way.uplink.status.server == f"127.0.0.1:{second.port}"
            with mosquitto:
                await until(lambda: way.uplink.status.server == f"127.0.0.1:{mosquitto.port}")
                await until(lambda: way.uplink.connected)
            await until(lambda: way.uplink.status.server == f"127.0.0.1:{second.port}" and way.uplink.connected)


async def test_somebody_uses_our_name(mosquitto: Mosquitto) -> None:
    """A mosquitto of 2.0.11 gives no reason when it ends the older connection: ours comes back, all is stored."""
    way = Way()
    with nothing_left_behind(), mosquitto:
        async with way.running(mosquitto.port, ingest=mosquitto.port):
            for _ in range(2):
                await until(lambda: way.uplink.connected)
                way.append(5)
                await _take_over(mosquitto.port)
            await way.all_stored()


async def test_a_server_that_says_that_somebody_uses_our_name() -> None:
    """DISCONNECT 0x8E twice in a minute: the alarm `identity_used_twice`, in status and as an event."""
    way = Way()
    server = await asyncio.start_server(_taken_over, "127.0.0.1", 0)
    async with server, way.running(server.sockets[0].getsockname()[1]):
        await until(lambda: "identity_used_twice" in way.uplink.alarms)
        assert way.codes().count("identity_used_twice") == 1


async def test_two_boxes_with_one_name_at_a_server_that_says_nothing(mosquitto: Mosquitto) -> None:
    """Mosquitto 2.0.11 sends no 0x8E, it hangs up: both are told `hung_up_on`, and everything of both arrives."""
    ours, double = Way(), Way()
    with nothing_left_behind(), mosquitto:
        async with ours.running(mosquitto.port, ingest=mosquitto.port), double.running(mosquitto.port):
            await until(lambda: all("hung_up_on" in way.uplink.alarms for way in (ours, double)))
            ours.append(5)
            await ours.all_stored()
        for way in (ours, double):
            assert "hung_up_on" in way.codes()
            assert "identity_used_twice" not in way.codes()


async def _taken_over(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1_000)
    writer.write(bytes([0x20, 3, 0, 0, 0, 0xE0, 2, 0x8E, 0]))  # CONNACK, DISCONNECT
    await reader.read()
    writer.close()


async def _take_over(port: int) -> None:
    with suppress(PeerError):  # ours may be back first
        thief = await CONNECT(Broker("127.0.0.1", port, GATEWAY))
        await thief.close()
