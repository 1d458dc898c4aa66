"""PahoConnection against a real mosquitto, and against servers that are none: reasons, acks, wills, losses.

Nothing may be left behind: each test ends with the threads and file descriptors it began with.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGSTOP

import pytest

from gateway.errors import ConnectionLost, PeerError, Refused
from gateway.mqtt import connection as mqtt
from tests.support.mqtt import connected, loss_of, next_message, nothing_left_behind, outcome, threads_end
from tests.support.servers import Mosquitto

pytestmark = pytest.mark.server

CONNACK = bytes([0x20, 3, 0, 0, 0])


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    with nothing_left_behind():
        yield


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """Open to all."""
    with Mosquitto(tmp_path) as server:
        yield server


async def test_every_puback_reason_reaches_the_caller(tmp_path: Path) -> None:
    """16 without a subscriber, 0 with one, 135 where the ACL says no; QoS 0 has none."""
    with Mosquitto(tmp_path, acl="topic readwrite open/#\n") as server:
        async with connected(server) as connection:
            assert await connection.publish("open/x", b"1") == 16
            await connection.subscribe("open/x")
            assert await connection.publish("open/x", b"2") == 0
            assert await connection.publish("open/x", b"3", qos=0) == 0
            assert [(await next_message(connection)).payload for _ in range(2)] == [b"2", b"3"]
            assert await connection.publish("closed/x", b"4") == 135


async def test_a_message_is_acked_by_hand_and_on_its_own_connection_only(mosquitto: Mosquitto) -> None:
    """The server sees one PUBACK: a late ack must not confirm another message of the next connection."""
    async with connected(mosquitto) as first:
        await first.subscribe("t")
        await first.publish("t", b"1")
        old = await next_message(first)
    async with connected(mosquitto) as second:
        await second.subscribe("t")
        await second.publish("t", b"2")
        new = await next_message(second)
        assert (old.mid, new.mid) == (1, 1)
        second.ack(old)
        first.ack(old)
        await second.publish("t", b"a round trip after the ack")
        assert mosquitto.log_tail().count("Received PUBACK") == 0
        second.ack(new)
        await second.publish("t", b"another")
        assert mosquitto.log_tail().count("Received PUBACK") == 1


async def test_retained_messages_say_so(mosquitto: Mosquitto) -> None:
    """Ingest tells an old status from a new one by it."""
    async with connected(mosquitto) as connection:
        await connection.publish("s", b"kept", retain=True)
        await connection.subscribe("s")
        message = await next_message(connection)
        assert (message.payload, message.retain, message.qos) == (b"kept", True, 1)


async def test_the_servers_limits_are_read_from_connack(tmp_path: Path) -> None:
    """What paho does not read."""
    with Mosquitto(tmp_path, settings=("max_packet_size 2000",)) as server:
        async with connected(server) as connection:
            assert connection.maximum_packet_bytes == 2_000
            assert connection.receive_maximum == 200


async def test_publishes_wait_for_the_servers_receive_maximum(mosquitto: Mosquitto) -> None:
    """500 at once against 200: all get their PUBACK, none is dropped, no more than 200 are ever out."""
    async with connected(mosquitto) as connection:
        async with asyncio.TaskGroup() as tasks:
            publishes = [tasks.create_task(connection.publish("t", b"%d" % n), name=f"p{n}") for n in range(500)]
            await asyncio.sleep(0)  # one turn: all of them have started
            assert len(connection._waiting) == 200
        assert {task.result() for task in publishes} == {16}


async def test_close_sends_no_will_unless_asked_to(mosquitto: Mosquitto) -> None:
    """Reason 0: nothing; reason 4: the will; a cut connection: the will."""
    async with connected(mosquitto, "watcher") as watcher:
        await watcher.subscribe("will")
        async with connected(mosquitto, will=("will", b"0")):
            pass
        async with connected(mosquitto, will=("will", b"4")) as asked:
            await asked.close(reason=4)
        async with connected(mosquitto, will=("will", b"cut")) as cut:
            cut._cut()
            await loss_of(cut)
        assert [(await next_message(watcher)).payload for _ in range(2)] == [b"4", b"cut"]


async def test_a_takeover_tells_its_reason() -> None:
    """DISCONNECT 0x8E: somebody connected with our client id; scripted, as mosquitto 2.0.11 just hangs up."""
    async with scripted(CONNACK + bytes([0xE0, 2, 0x8E, 0])) as port, connected(port) as connection:
        lost = await loss_of(connection)
        assert (lost.reason, str(lost)) == (0x8E, "server: Session taken over (142)")


async def test_a_second_connection_with_our_name_ends_the_first(mosquitto: Mosquitto) -> None:
    """As MQTT has it; the first one learns that it is over."""
    async with connected(mosquitto) as first, connected(mosquitto) as second:
        await loss_of(first)
        assert await second.publish("t", b"1") == 16


async def test_everybody_who_waits_learns_of_the_loss(mosquitto: Mosquitto) -> None:
    """SIGKILL of the broker: publishes, subscribes, readers and all later calls get ConnectionLost."""
    async with connected(mosquitto) as connection:
        os.kill(mosquitto.pid, SIGSTOP)  # it answers nothing, the connection stays
        waits = [connection.publish("t", b"1"), connection.subscribe("t"), loss_of(connection)]
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(outcome(wait), name="waiter") for wait in waits]
            await asyncio.sleep(0.05)  # lets paho's thread write; no claim depends on it
            mosquitto.kill()
        assert [type(task.result()) for task in waiting[:2]] == [ConnectionLost, ConnectionLost]
        assert isinstance(waiting[2].result(), ConnectionLost)
        for late in (connection.publish("t", b"2"), connection.subscribe("t")):
            with pytest.raises(ConnectionLost):
                await late
        await connection.close()


async def test_a_publish_that_waits_for_a_slot_learns_of_the_loss(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only those that are out, also those behind them."""
    monkeypatch.setattr(mqtt, "CLOSE_S", 0.2)
    async with connected(mosquitto) as connection:
        os.kill(mosquitto.pid, SIGSTOP)
        async with asyncio.TaskGroup() as tasks:
            waits = [tasks.create_task(outcome(connection.publish("t", b"1")), name=f"p{n}") for n in range(300)]
            await asyncio.sleep(0.05)  # lets paho's thread write; no claim depends on it
            mosquitto.kill()
        assert all(isinstance(wait.result(), ConnectionLost) for wait in waits)


async def test_close_is_bounded_when_the_server_is_stopped(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that takes no bytes: DISCONNECT cannot leave, the socket is cut."""
    monkeypatch.setattr(mqtt, "CLOSE_S", 0.3)
    async with connected(mosquitto) as connection:
        os.kill(mosquitto.pid, SIGSTOP)
        async with asyncio.TaskGroup() as tasks:
            stuck = [tasks.create_task(outcome(connection.publish("t", bytes(60_000))), name="p") for _ in range(150)]
            await asyncio.sleep(0.1)  # fills the socket's buffers; no claim depends on it
            async with asyncio.timeout(5):
                await connection.close()
        assert all(isinstance(task.result(), ConnectionLost) for task in stuck)
        mosquitto.kill()


async def test_a_refused_port_is_a_lost_connection(mosquitto: Mosquitto) -> None:
    """The server is down: try again."""
    mosquitto.kill()
    with pytest.raises(ConnectionLost, match="refused"):
        async with connected(mosquitto):
            pass


async def test_a_connack_refusal_keeps_its_reason(tmp_path: Path) -> None:
    """Not authorised is the technician's problem, not the network's."""
    with Mosquitto(tmp_path, settings=("allow_anonymous false",)) as server:
        with pytest.raises(Refused) as refused:
            async with connected(server):
                pass
        assert refused.value.reason == 135


async def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It took the connection and never sends CONNACK."""
    monkeypatch.setattr(mqtt, "CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with threads_end():
            with pytest.raises(ConnectionLost, match="no answer"):
                async with connected(silent.getsockname()[1]):
                    pass


async def test_a_cancelled_connect_leaves_nothing() -> None:
    """The daemon stops while it connects."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with threads_end():
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await outcome(connected(silent.getsockname()[1]).__aenter__())


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"",
        bytes([0x20, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]),  # a length of five bytes
        bytes([0x20, 3, 0, 0x87, 0]),
        bytes([0x20, 3, 0, 0xEE, 0]),  # a reason that no specification knows
        bytes([0x20, 4, 0, 0, 3, 0x21]),  # properties cut short
        bytes([0x20, 2, 0, 0]),
        bytes([0x30, 5, 0, 3, 0xFF, 0xFE, 0xFD]),  # a message before CONNACK, its topic no UTF-8
    ],
    ids=range(8),
)
async def test_what_is_no_mqtt_5_ends_with_a_cause(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A web server on that port, a broken proxy, an enemy: an error of ours, and no thread that hangs."""
    monkeypatch.setattr(mqtt, "CONNECT_S", 2.0)
    async with scripted(said) as port:
        with pytest.raises(PeerError):
            async with connected(port):
                pass


@pytest.mark.parametrize(
    "said", [bytes([0x40, 2, 0, 1, 0x40, 1, 0]), bytes([0x30, 5, 0, 3, 0xFF, 0xFE, 0xFD]), b"\xf0\x00"]
)
async def test_garbage_on_a_running_connection_ends_it(said: bytes) -> None:
    """Whatever breaks inside paho: the reader is told, nobody hangs."""
    async with scripted(CONNACK + said) as port, connected(port) as connection:
        await loss_of(connection)


async def test_a_server_that_floods_us_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """More messages than we asked for, taken by nobody: bounded, then over, with its cause."""
    monkeypatch.setattr(mqtt, "INCOMING_MAX", 50)
    message = bytes([0x30, 5, 0, 1, ord("t"), 0, ord("x")])
    async with scripted(CONNACK + 500 * message) as port, connected(port) as connection:
        async with asyncio.timeout(10):
            await connection._over.wait()
        assert len(connection._incoming) == 50
        assert "more than 50 messages" in str(await loss_of(connection))


@asynccontextmanager
async def scripted(said: bytes) -> AsyncIterator[int]:
    """A server that waits for CONNECT, says this, and hangs up when its client does; its port."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1_000)
        writer.write(said)
        if not said.startswith(b"\x20"):
            writer.write_eof()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
