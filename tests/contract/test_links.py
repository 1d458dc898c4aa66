"""Every link behind the guard, one exchange at a time: each function, each exception, echoes, cancels, noise."""

from functools import partial

import pytest

from gateway.errors import BadReply, DeviceException, NoReply
from gateway.protocols.modbus_pdu import (
    ReadDeviceId,
    ReadRequest,
    Request,
    Table,
    WriteCoils,
    WriteRegisters,
    encode_exception,
)
from gateway.south.links.link import Manner
from tests.contract.bench import COUNT, EVERY_LINK, PATIENT_NS, TIMEOUT_NS, cancelled_in_flight, plugged
from tests.contract.faults import echo_before, echo_only, garbage_before, late, twice, unit_id_before
from tests.support.modbus_server import Answer, Asked, Fault, content

ON_SERIAL = pytest.mark.parametrize("transport", ["rtu", "rtu_over_tcp"])
WRITES = [
    pytest.param(WriteCoils(5, (True,)), id="5"),
    pytest.param(WriteRegisters(5, (1234,)), id="6"),
]


@EVERY_LINK
@pytest.mark.parametrize(
    "request_",
    [
        ReadRequest(Table.COIL, 3, 9),
        ReadRequest(Table.COIL, 3, 10),
        ReadRequest(Table.DISCRETE, 3, 8),
        ReadRequest(Table.HOLDING, 0, 125),
        ReadRequest(Table.INPUT, 0xFFFF, 1),
        WriteCoils(5, (True,)),
        WriteCoils(5, (True, False, True)),
        WriteRegisters(5, (1234,)),
        WriteRegisters(5, (1, 2), multiple=True),
        ReadDeviceId(),
    ],
    ids=lambda request: f"{type(request).__name__}-{getattr(request, 'count', len(getattr(request, 'values', '')))}",
)
async def test_every_function(driver: str, transport: str, request_: Request) -> None:
    """Each request of modbus_pdu is carried there and back."""
    async with plugged(driver, transport) as bench:
        reply = await bench.guard.request(17, request_, bench.after(PATIENT_NS))
        assert reply.data == content(17, request_)
        assert reply.t_sent_ns <= reply.t_first_ns <= reply.t_done_ns


@EVERY_LINK
async def test_every_exception_is_the_device_saying_no(driver: str, transport: str) -> None:
    """1 to 11 come through, each with its number; what follows is asked as if nothing had been."""
    async with plugged(driver, transport) as bench:
        for number in range(1, 12):
            bench.server.faults[number] = partial(_refuses, number)
            with pytest.raises(DeviceException) as refused:
                await bench.guard.request(1, ReadRequest(Table.HOLDING, 1, 1), bench.after(PATIENT_NS))
            assert refused.value.exception == number
        assert await bench.ask(1, ReadRequest(Table.HOLDING, 1, 1), PATIENT_NS)
        assert bench.wrong == []


@pytest.mark.parametrize("transport", ["tcp", "rtu", "rtu_over_tcp"])
async def test_exception_0_is_none(transport: str) -> None:
    """The specification counts from 1: bytes that look like one are noise."""
    async with plugged("own", transport) as bench:
        bench.server.faults[1] = lambda asked: [(0, asked.wire(encode_exception(3, 0)))]
        with pytest.raises(BadReply):
            await bench.guard.request(1, ReadRequest(Table.HOLDING, 1, 1), bench.after(TIMEOUT_NS))


@ON_SERIAL
@pytest.mark.parametrize("fault", [garbage_before, unit_id_before, echo_before, twice])
async def test_our_links_lose_no_read_to_noise(transport: str, fault: Fault) -> None:
    """The answer stands behind it."""
    async with plugged("own", transport) as bench:
        bench.server.every = fault
        for at in range(5):
            assert await bench.ask(1, ReadRequest(Table.HOLDING, at, COUNT), PATIENT_NS)
        assert bench.wrong == []


@ON_SERIAL
@pytest.mark.parametrize("write", WRITES)
async def test_an_echo_is_not_the_reply_to_a_write(transport: str, write: Request) -> None:
    """Also when the write is the first thing that goes over the line: a dead device has not carried it out."""
    async with plugged("own", transport) as bench:
        bench.server.every = echo_only
        for _ in range(2):
            with pytest.raises(NoReply):
                await bench.guard.request(1, write, bench.after(2 * TIMEOUT_NS))


@ON_SERIAL
@pytest.mark.parametrize("write", WRITES)
async def test_a_write_is_told_from_its_echo(transport: str, write: Request) -> None:
    """On a line that echoes its reply comes second."""
    async with plugged("own", transport) as bench:
        bench.server.every = echo_before
        for _ in range(2):
            reply = await bench.guard.request(1, write, bench.after(PATIENT_NS))
            assert reply.data == content(1, write)


@pytest.mark.parametrize("write", WRITES)
async def test_pymodbus_writes_nothing_on_a_line_that_echoes(write: Request) -> None:
    """It would take the echo for the reply; so the read before the write has to succeed, and there it never does."""
    async with plugged("pymodbus", "rtu") as bench:
        bench.server.every = echo_before
        with pytest.raises((NoReply, BadReply)):
            await bench.guard.request(1, write, bench.after(2 * TIMEOUT_NS))
        assert [asked.frame.pdu[0] for asked in bench.server.asked] == [1 if isinstance(write, WriteCoils) else 3]


@ON_SERIAL
@pytest.mark.parametrize("write", WRITES)
async def test_a_device_that_cannot_be_read_can_be_written(transport: str, write: Request) -> None:
    """Some relay boards do not answer what they do not know: silence tells as well that nothing echoes."""

    def only_writes(asked: Asked) -> list[Answer]:
        return [(0, asked.good())] if asked.frame.pdu[0] in {5, 6} else []

    async with plugged("own", transport) as bench:
        bench.server.every = only_writes
        reply = await bench.guard.request(1, write, bench.after(12 * TIMEOUT_NS))
        assert reply.data == content(1, write)


@EVERY_LINK
async def test_a_device_that_sleeps_is_woken(driver: str, transport: str) -> None:
    """A byte before each request, and a pause; on TCP, where it would break the frames, nothing."""
    async with plugged(driver, transport) as bench:
        manner = Manner(wake=b"\x00", wake_ns=5_000_000)
        for at in range(3):
            request = ReadRequest(Table.INPUT, at, 4)
            reply = await bench.guard.request(1, request, bench.after(PATIENT_NS), manner)
            assert reply.data == content(1, request)


@EVERY_LINK
async def test_a_cancel_in_flight_makes_no_wrong_value(driver: str, transport: str) -> None:
    """P8: the reply of a request whose caller was cancelled is nobody else's."""
    async with plugged(driver, transport) as bench:
        bench.server.faults[1] = lambda asked: [(TIMEOUT_NS / 4e9, asked.good())]
        await cancelled_in_flight(bench, 1, ReadRequest(Table.HOLDING, 7, COUNT))
        assert bench.good == 0
        await bench.poll()
        await bench.recover()
        assert bench.wrong == []


@EVERY_LINK
async def test_a_dead_device_is_no_reply_and_the_others_go_on(driver: str, transport: str) -> None:
    """A unit_id that never answers costs its timeouts and nothing else."""
    async with plugged(driver, transport) as bench:
        bench.server.dead.add(1)
        await bench.ask(1, ReadRequest(Table.HOLDING, 7, COUNT))
        assert bench.failed == ["no_reply"]
        assert await bench.ask(2, ReadRequest(Table.HOLDING, 7, COUNT), PATIENT_NS)
        assert bench.wrong == []


@EVERY_LINK
async def test_a_refusal_is_believed_again_after_a_silence(driver: str, transport: str) -> None:
    """One lost reply; then a register that is refused at every poll: not for ever "may be an earlier one's"."""
    async with plugged(driver, transport) as bench:
        bench.server.every = _refuses_below_50
        bench.server.faults[1] = late
        await bench.ask(1, ReadRequest(Table.HOLDING, 100, COUNT))
        while "device_exception" not in bench.failed:  # bounded by the timeout of the test
            await bench.ask_when_free(1, ReadRequest(Table.HOLDING, 1, 3))
            await bench.ask_when_free(1, ReadRequest(Table.HOLDING, 100, COUNT + 1))
        assert bench.wrong == []


def _refuses(exception: int, asked: Asked) -> list[Answer]:
    return [(0, asked.wire(encode_exception(3, exception)))]


def _refuses_below_50(asked: Asked) -> list[Answer]:
    address = int.from_bytes(asked.frame.pdu[1:3], "big")
    return [(0, asked.wire(encode_exception(3, 2)) if address < 50 else asked.good())]
