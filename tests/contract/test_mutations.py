"""What the suite is worth: with one rule taken out, a scenario of it gives a wrong value, so it would turn red.

Each test runs the scenario as the suite does, sees it pass, takes the rule out and sees a wrong value come.
"""

from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from pymodbus.framer import FramerRTU

from gateway.protocols import modbus_frame, modbus_pdu
from gateway.protocols.modbus_pdu import ReadRequest, Table
from gateway.south.links import guard, modbus_links
from gateway.south.links.late import LateReplies
from gateway.south.links.link import Heard
from gateway.south.links.modbus_links import StreamLink
from tests.contract.bench import ALL, COUNT, LATE_NS, OWN, PATIENT_NS, TIMEOUT_NS, plugged
from tests.contract.faults import fewer_registers, late_by, under_the_newest_transaction, wrong_data_byte
from tests.support.modbus_server import Fault

ATTEMPTS = 5


async def one_late_reply(driver: str, transport: str) -> list[str]:
    """The wrong values after one late reply; on TCP from a converter that mixes the transactions."""
    async with plugged(driver, transport) as bench:
        fault = late_by(1.5)
        if transport == "tcp":
            bench.server.every = under_the_newest_transaction(bench.server, 0)
            fault = under_the_newest_transaction(bench.server, 1.5)
        bench.server.faults[1] = fault
        await bench.ask(1, ReadRequest(Table.HOLDING, 1, COUNT))
        await bench.ask(1, ReadRequest(Table.HOLDING, 50, COUNT))
        await bench.ask(1, ReadRequest(Table.HOLDING, 90, COUNT))
        return bench.wrong


async def soon_wrong(scenario: Callable[[], Awaitable[list[str]]]) -> list[str]:
    """The wrong values of the first attempt that has some: on a machine that stands still one may miss its time."""
    for _ in range(ATTEMPTS):
        if wrong := await scenario():
            return wrong
    return []


async def one_reply(driver: str, transport: str, fault: Fault) -> list[str]:
    """The wrong values from one read that meets a fault."""
    async with plugged(driver, transport) as bench:
        bench.server.faults[1] = fault
        await bench.ask(1, ReadRequest(Table.HOLDING, 1, COUNT), 3 * TIMEOUT_NS)
        return bench.wrong


async def one_reply_while_nobody_asks(driver: str, transport: str) -> list[str]:
    """The wrong values after a reply that comes when its request is given up and nothing else is asked."""
    async with plugged(driver, transport) as bench:
        if transport == "tcp":  # the same transaction again, 65 535 requests later
            bench.server.every = lambda asked: [(0, asked.wire(asked.pdu(), tid=2))]
            bench.server.faults[1] = lambda asked: [(0.15, asked.wire(asked.pdu(), tid=2))]
        else:
            bench.server.faults[1] = late_by(1.5)
        await bench.ask(1, ReadRequest(Table.HOLDING, 1, COUNT))
        await bench.clock.wire_wait(bench.after(LATE_NS + TIMEOUT_NS))
        await bench.ask(1, ReadRequest(Table.HOLDING, 50, COUNT), PATIENT_NS)
        return bench.wrong


@pytest.mark.parametrize(("driver", "transport"), ALL)
async def test_without_the_barred_shapes(driver: str, transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One late reply is taken for the next one's."""
    assert await one_late_reply(driver, transport) == []
    monkeypatch.setattr(LateReplies, "barred_ns", lambda *_: None)
    assert await soon_wrong(partial(one_late_reply, driver, transport)) != []


@pytest.mark.parametrize(("driver", "transport"), [link for link in ALL if link[1] != "tcp"])
async def test_without_the_crc(driver: str, transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A register with a flipped bit is taken for good."""
    assert await one_reply(driver, transport, wrong_data_byte) == []
    if driver == "own":
        monkeypatch.setattr(modbus_frame, "_crc_is_good", lambda *_: True)
    else:
        monkeypatch.setattr(FramerRTU, "check_CRC", lambda *_: True)
    assert len(await soon_wrong(partial(one_reply, driver, transport, wrong_data_byte))) == 1


@pytest.mark.parametrize(("driver", "transport"), ALL)
async def test_without_the_byte_count(driver: str, transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight registers of ten are taken for an answer. Three look at it: frame, response and guard."""
    assert await one_reply(driver, transport, fewer_registers) == []
    monkeypatch.setattr(modbus_links, "pdu_length", lambda _: None)
    monkeypatch.setattr(modbus_pdu, "_read_data", lambda _, pdu: pdu[2:])
    monkeypatch.setattr(guard, "_checked", lambda _, reply: reply)
    assert len(await soon_wrong(partial(one_reply, driver, transport, fewer_registers))) == 1


@pytest.mark.parametrize("unguarded", ["frame", "response", "guard"])
async def test_one_look_at_the_byte_count_less_is_made_up_for(unguarded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other two still refuse."""
    if unguarded == "frame":
        monkeypatch.setattr(modbus_links, "pdu_length", lambda _: None)
    elif unguarded == "response":
        monkeypatch.setattr(modbus_pdu, "_read_data", lambda _, pdu: pdu[2:])
    else:
        monkeypatch.setattr(guard, "_checked", lambda _, reply: reply)
    assert await one_reply("own", "rtu", fewer_registers) == []


@pytest.mark.parametrize(("driver", "transport"), OWN)
async def test_without_the_drain(driver: str, transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in the buffer when the bar has run out is taken for the answer. pymodbus empties its own."""
    assert await one_reply_while_nobody_asks(driver, transport) == []
    monkeypatch.setattr(StreamLink, "drain", lambda _: Heard((), 0))
    assert len(await soon_wrong(partial(one_reply_while_nobody_asks, driver, transport))) == 1
