"""The broker in memory keeps to what MQTT 5 brokers do."""

import asyncio

import pytest

from gateway.errors import ConnectionLost, Refused
from gateway.seams import Broker
from gateway.testing.broker import FakeBroker, FakeConnection, matches
from gateway.testing.clock import turns


async def join(broker: FakeBroker, name: str, *filters: str, receive_maximum: int = 100) -> FakeConnection:
    """A client that subscribes."""
    made = await broker.connect(Broker("x", 1, name), will=(f"will/{name}", b"gone"), receive_maximum=receive_maximum)
    assert isinstance(made, FakeConnection)
    for topic in filters:
        await made.subscribe(topic)
    return made


async def take(connection: FakeConnection, count: int) -> list[bytes]:
    """The next payloads, acked."""
    taken: list[bytes] = []
    async for message in connection.messages():
        taken.append(message.payload)
        connection.ack(message)
        if len(taken) == count:
            break
    return taken


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("a/b/c", "a/b", False),
        ("+/+/up/data", "city/hc-0001/up/data", True),
    ],
)
def test_filters_match_as_the_specification_says(pattern: str, topic: str, expected: bool) -> None:
    """MQTT 5, 4.7."""
    assert matches(pattern, topic) is expected


async def test_a_message_reaches_its_readers_and_the_puback_says_whether_there_are_any() -> None:
    """0 with a subscriber, 16 without."""
    broker = FakeBroker()
    reader, writer = await join(broker, "r", "t"), await join(broker, "w")
    assert await writer.publish("t", b"1") == 0
    assert await writer.publish("u", b"2") == 16
    assert await take(reader, 1) == [b"1"]


async def test_a_shared_filter_gives_each_message_to_one_member() -> None:
    """Round robin; a plain subscription gets all."""
    broker = FakeBroker()
    one, two = await join(broker, "1", "$share/g/t"), await join(broker, "2", "$share/g/t")
    all_ = await join(broker, "3", "t")
    for n in range(4):
        await broker.publish("t", b"%d" % n)
    assert await take(one, 2) == [b"0", b"2"]
    assert await take(two, 2) == [b"1", b"3"]
    assert await take(all_, 4) == [b"0", b"1", b"2", b"3"]


async def test_retained_messages_come_at_the_subscription() -> None:
    """Marked as such."""
    broker = FakeBroker()
    await broker.publish("t", b"kept", retain=True)
    reader = await join(broker, "r", "t")
    async for message in reader.messages():
        assert (message.payload, message.retain) == (b"kept", True)
        break


async def test_the_client_s_receive_maximum_is_kept() -> None:
    """The second message comes after the first ack."""
    broker = FakeBroker()
    reader = await join(broker, "r", "t", receive_maximum=1)
    await broker.publish("t", b"1")
    await broker.publish("t", b"2")
    assert len(reader.unacked) == 1
    assert await take(reader, 2) == [b"1", b"2"]


async def test_a_second_connection_takes_over_and_the_will_is_published() -> None:
    """0x8E; close with reason 0 publishes no will."""
    broker = FakeBroker()
    first = await join(broker, "a")
    second = await join(broker, "a")
    with pytest.raises(ConnectionLost) as lost:
        await first.publish("t", b"")
    assert lost.value.reason == 0x8E
    assert broker.payloads("will/a") == [b"gone"]
    await second.close()
    assert broker.payloads("will/a") == [b"gone"]
    assert broker.connections == {}


async def test_held_pubacks_are_answered_on_release_or_lost() -> None:
    """And no more wait than the server's Receive Maximum."""
    broker = FakeBroker(receive_maximum=2, hold_pubacks=True)
    writer = await join(broker, "w")
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(writer.publish("t", b"%d" % n), name="p") for n in range(4)]
        await turns()
        assert writer.in_flight_max == 2
        assert broker.published == []
        broker.release_pubacks()
    assert {task.result() for task in waiting} == {16}
    assert writer.in_flight_max == 2


async def test_it_does_wrong_when_told_to() -> None:
    """Refusals, a closed port, a reason, a packet too large."""
    broker = FakeBroker(maximum_packet_bytes=100)
    broker.refusals.append(Refused(135, "no"))
    with pytest.raises(Refused):
        await join(broker, "a")
    broker.down = True
    with pytest.raises(ConnectionLost):
        await join(broker, "a")
    broker.down = False
    writer = await join(broker, "a")
    broker.puback = lambda message: 151 if message.topic == "t" else None
    assert await writer.publish("t", b"1") == 151
    with pytest.raises(ConnectionLost):
        await writer.publish("u", bytes(100))
