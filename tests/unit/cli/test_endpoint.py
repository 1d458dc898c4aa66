"""gateway.cli.endpoint: whom scan and probe ask: the running gateway where the bus is its own, else the port."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.app.jobs import job_handlers
from gateway.cli.endpoint import BadTarget, Remote, address_of, find, told
from gateway.control.client import NoAccess, NotRunning, Refused
from gateway.errors import BadReply, BusBusy, DeviceException, GatewayError, LinkDown, NoReply
from gateway.protocols.modbus_pdu import ReadDeviceId, ReadRequest, Table
from gateway.south.jobs.lone import Lone
from gateway.south.jobs.ways import Way
from gateway.testing.clock import FakeClock
from gateway.text import words
from tests.support.south import a_bus, a_device, a_field
from tests.unit.app.test_jobs import FakeAsks, Loop

ONE = ReadRequest(Table.HOLDING, 0, 1)


class Daemon:
    """A running gateway with one bus, as its client sees it."""

    def __init__(self, asks: FakeAsks | None = None) -> None:
        bus = a_bus(a_device("meter-1", ([a_field(0)], 1000), unit_id=7, never_read=((Table.HOLDING, 100, 109),)))
        self.handlers = job_handlers([bus], [Loop(asks or FakeAsks())])

    async def ask(self, name: str, **arguments: object) -> AsyncIterator[object]:
        """As `Client`."""
        try:
            async for answer in self.handlers[name](arguments):
                yield answer
        except GatewayError as error:
            raise Refused(error.code) from None


class Says:
    """A client to whom always the same is answered."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    async def ask(self, name: str, **arguments: object) -> AsyncIterator[object]:
        """As `Client`."""
        assert name
        assert arguments
        if isinstance(self.answer, Exception):
            raise self.answer
        yield self.answer


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("/dev/ttyS7", "/dev/ttyS7"),
        ("by-id/usb-1", "/dev/serial/by-id/usb-1"),
        ("null", "/dev/null"),
        ("10.0.0.5", "10.0.0.5:502"),
        ("moxa.local:1502", "moxa.local:1502"),
        ("by-id/../../etc/passwd", ""),
        ("a b", ""),
        ("10.0.0.5:99999", ""),
        ("ttyNONE7", "/dev/ttyNONE7"),
        ("rs485-1", ""),
        ("rs485-1:502", "rs485-1:502"),
    ],
)
def test_what_a_target_means(target: str, address: str) -> None:
    """A path, a short name in /dev, a host with the port of Modbus; else nothing. One word is no host."""
    assert address_of(target) == address


@pytest.mark.parametrize("target", ["bus-1", "/dev/test"])
async def test_a_bus_of_the_running_gateway(target: str) -> None:
    """By name or port: asked through it, on its line alone."""
    place = await find(target, Daemon(), FakeClock())
    assert (place.bus, place.address, place.way, place.devices) == ("bus-1", "/dev/test", Way("rtu"), {7: "meter-1"})
    assert place.serial
    async with place.opens(Way("rtu")) as asks:
        assert (await asks.ask(7, ONE, 50)).data == b"\0\7"


@pytest.mark.parametrize("client", [Says(NotRunning("no")), Says(Refused("unknown_request")), Daemon()])
async def test_a_port_of_ones_own(client: Any) -> None:
    """Where no gateway runs, an old one does, or this port is not its own."""
    place = await find("/dev/other", client, FakeClock())
    assert (place.bus, place.address, place.way) == ("", "/dev/other", None)
    assert isinstance(place.opens(Way("rtu")), Lone)
    assert place.serial
    assert not (await find("10.0.0.7", client, FakeClock())).serial


async def test_a_gateway_that_may_not_be_asked_is_not_gone_round() -> None:
    """It runs, and owns its ports."""
    with pytest.raises(NoAccess):
        await find("/dev/other", Says(NoAccess("control.sock")), FakeClock())


async def test_what_is_neither() -> None:
    """Told as such."""
    with pytest.raises(BadTarget):
        await find("a b", Daemon(), FakeClock())


@pytest.mark.parametrize("answer", ["text", {}, {"name": "a", "transport": "rtu", "endpoint": "/x", "line": [1]}])
async def test_a_daemon_that_makes_no_sense(answer: object) -> None:
    """Refused, not a crash."""
    with pytest.raises(Refused):
        await find("bus-1", Says(answer), FakeClock())


@pytest.mark.parametrize(
    ("error", "raised"),
    [(NoReply("n"), NoReply), (BadReply("b"), BadReply), (LinkDown("l"), LinkDown), (BusBusy("f"), BusBusy)],
)
async def test_a_failure_crosses_the_socket(error: GatewayError, raised: type[GatewayError]) -> None:
    """As itself."""
    with pytest.raises(raised) as caught:
        await Remote(Daemon(FakeAsks(error)), "bus-1").ask(7, ONE, 50)
    assert type(caught.value) is raised


async def test_an_exception_crosses_the_socket() -> None:
    """With its number; a hole of the profile looks like no such register."""
    with pytest.raises(DeviceException) as caught:
        await Remote(Daemon(FakeAsks(DeviceException(4))), "bus-1").ask(7, ONE, 50)
    assert caught.value.exception == 4
    with pytest.raises(DeviceException) as caught:
        await Remote(Daemon(), "bus-1").ask(7, ReadRequest(Table.HOLDING, 100, 1), 50)
    assert caught.value.exception == 2


async def test_identification_crosses_the_socket() -> None:
    """Function 43/14 is a read too."""
    assert (await Remote(Daemon(FakeAsks(b"xyz")), "bus-1").ask(7, ReadDeviceId(1, 0), 50)).data == b"xyz"


@pytest.mark.parametrize("answer", ["text", {}, {"data": "zz"}, {"data": "00"}, {"failure": "strange"}])
async def test_an_answer_that_makes_no_sense(answer: object) -> None:
    """Refused, not a crash, and no value."""
    with pytest.raises(Refused):
        await Remote(Says(answer), "bus-1").ask(7, ONE, 50)


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_a_refusal_is_told_by_its_reason(lang: str) -> None:
    """The gateway's own code, where it is known; any other error by its own."""
    assert words.next_step("bus_not_asked", lang) in told(Refused("bus_not_asked"), lang)
    assert words.next_step("request_refused", lang) in told(Refused("no answer to this"), lang)
    assert "unplugged" in told(LinkDown("unplugged"), lang)
