"""gateway.south.jobs.lone: a port of one's own, and connections that the other end closes."""

import pytest

from gateway.errors import BadReply, LinkDown
from gateway.protocols.modbus_pdu import ReadRequest, Table
from gateway.south.jobs.ways import Way
from tests.support.cable import Cable, JumpingClock, Slave

NINE, TCP = Way("rtu"), Way("tcp")
ONE = ReadRequest(Table.HOLDING, 0, 1)


def cable() -> Cable:
    """One good device on either."""
    slave = Slave({Table.HOLDING: {0: 7}})
    return Cable(JumpingClock(), {NINE: {1: slave}, TCP: {1: slave}})


@pytest.mark.parametrize("way", [NINE, TCP])
async def test_open_ask_close(way: Way) -> None:
    """Opened once, closed after."""
    hung = cable()
    async with hung.opens(way) as asks:
        assert (await asks.ask(1, ONE, 100)).data == b"\0\7"
        assert (await asks.ask(1, ONE, 100)).data == b"\0\7"
    assert hung.opened == [way]
    assert all(stream.closed for stream in hung.streams)


async def test_what_cannot_be_opened() -> None:
    """Told before anything is asked."""
    hung = cable()
    hung.cannot = lambda _: "in use"
    with pytest.raises(LinkDown, match="in use"):
        async with hung.opens(NINE):
            pass


async def test_a_serial_port_that_goes_away() -> None:
    """It is not opened again: whoever pulled it out may be putting another one in."""
    hung = cable()
    async with hung.opens(NINE) as asks:
        hung.streams[0].vanish("unplugged")
        with pytest.raises(LinkDown, match="unplugged"):
            await asks.ask(1, ONE, 100)
    assert hung.opened == [NINE]


async def test_a_converter_that_hung_up() -> None:
    """The connection is made once more, and the question asked again."""
    hung = cable()
    async with hung.opens(TCP) as asks:
        hung.streams[0].vanish("closed by the other end")
        assert (await asks.ask(1, ONE, 100)).data == b"\0\7"
    assert hung.opened == [TCP, TCP]


async def test_a_question_that_ends_every_connection() -> None:
    """No good answer, and no end of the job: the next one gets a connection of its own."""
    hung = cable()
    deadly = True
    good = hung.opener

    async def opener(*arguments: object) -> object:
        link = await good(*arguments)  # type: ignore[arg-type]
        if deadly:
            hung.streams[-1].vanish("closed by the other end")
        return link

    hung.opener = opener  # type: ignore[method-assign, assignment]
    async with hung.opens(TCP) as asks:
        with pytest.raises(BadReply, match="hangs up"):
            await asks.ask(1, ONE, 100)
        deadly = False
        assert (await asks.ask(1, ONE, 100)).data == b"\0\7"


async def test_a_converter_that_is_gone() -> None:
    """It cannot be reached again: that is no device's fault."""
    hung = cable()
    async with hung.opens(TCP) as asks:
        hung.streams[0].vanish("closed by the other end")
        hung.cannot = lambda _: "unreachable"
        with pytest.raises(LinkDown, match="unreachable"):
            await asks.ask(1, ONE, 100)
