"""gateway.ioc.commander: a command goes down, its outcome is told from others', and silence is no outcome."""

import asyncio

import orjson

from gateway.errors import ConnectionLost, GatewayError, Refused
from gateway.ioc import commander
from gateway.ioc.commander import GatewayOffline, NoOutcome
from gateway.model import UtcMs
from gateway.seams import Broker
from gateway.testing.broker import FakeBroker
from gateway.testing.clock import turns
from gateway.wire.command import Command, Outcome, decode, encode
from gateway.wire.topic import Topics

TOPICS = Topics("city", "hc-0001")
COMMAND = Command("c-1", UtcMs(1_795_484_690_000), "write", {"device": "level-1"})
GOOD = Outcome("c-1", ok=True, code="ok", value=0.25)


class Bench:
    """A broker with a gateway that listens, and does not answer by itself."""

    def __init__(self) -> None:
        self.broker = FakeBroker()
        self.results: list[Outcome | GatewayError] = []

    async def listen(self) -> None:
        """The gateway is there."""
        connection = await self.broker.connect(Broker("ioc", 8883, "hc-0001"))
        await connection.subscribe(TOPICS.command)

    async def send(self, patience_s: float = 5.0) -> None:
        """Until the end, whatever it is."""
        operator = Broker("ioc", 8884, "operator-1")
        try:
            self.results.append(await commander.send(self.broker.connect, operator, TOPICS, COMMAND, patience_s))
        except GatewayError as error:
            self.results.append(error)

    async def say(self, payload: bytes, topic: str = TOPICS.outcome) -> None:
        """As the gateway."""
        await turns()
        await self.broker.publish(topic, payload)
        await turns()


async def test_the_outcome_of_this_command_is_told() -> None:
    """What others asked, and what nobody can read, is passed over."""
    bench = Bench()
    await bench.listen()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(bench.send(), name="send")
        await bench.say(b"\xff")
        await bench.say(orjson.dumps({"v": 1, "id": 5}))
        await bench.say(encode(Outcome("c-2", ok=False, code="expired")))
        assert bench.results == []
        await bench.say(encode(GOOD))
    assert bench.results == [GOOD]
    (sent,) = bench.broker.payloads(TOPICS.command)
    assert decode(sent) == COMMAND
    assert "operator-1" not in bench.broker.connections


async def test_a_gateway_that_is_away_is_known_at_once() -> None:
    """PUBACK 16: nobody subscribes, so nothing was done."""
    bench = Bench()
    await bench.send()
    assert isinstance(bench.results[0], GatewayOffline)


async def test_silence_is_no_outcome() -> None:
    """In time: the command may have been carried out."""
    bench = Bench()
    await bench.listen()
    await bench.send(patience_s=0.01)
    assert isinstance(bench.results[0], NoOutcome)


async def test_a_lost_connection_is_no_outcome_either() -> None:
    """The command is out; whoever wants to know asks again with the same id."""
    bench = Bench()
    await bench.listen()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(bench.send(), name="send")
        await turns()
        bench.broker.cut("operator-1")
    assert isinstance(bench.results[0], NoOutcome)


async def test_whoever_may_not_send_is_told_so() -> None:
    """The broker's rights."""
    bench = Bench()
    await bench.listen()
    bench.broker.puback = lambda _: 0x87
    await bench.send()
    assert isinstance(bench.results[0], Refused)
    assert bench.results[0].reason == 0x87


async def test_a_broker_that_is_away() -> None:
    """Nothing was sent."""
    bench = Bench()
    bench.broker.down = True
    await bench.send()
    assert isinstance(bench.results[0], ConnectionLost)
