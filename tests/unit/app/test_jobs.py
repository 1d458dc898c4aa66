"""gateway.app.jobs: what others may ask of a bus, and what they may not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.app.jobs import BusNotAsked, NoSuchBus, job_handlers
from gateway.errors import BadReply, BusBusy, DeviceException, GatewayError, LinkDown, Malformed, NoReply
from gateway.protocols.modbus_pdu import ReadDeviceId, ReadRequest, Request, Table
from gateway.site import Bus
from gateway.south.links.link import PLAIN, Manner, Reply
from gateway.south.turns import Asks
from tests.support.south import a_bus, a_device, a_field

DEVICE = a_device("meter-1", ([a_field(0)], 1000), unit_id=7, min_gap_ms=5.0, never_read=((Table.HOLDING, 100, 109),))
RTU = a_bus(DEVICE)
TCP = Bus("tcp-1", "tcp", "own", "10.0.0.5:502", RTU.line, ())


class FakeAsks:
    """Answers every request with what it is told to."""

    def __init__(self, answer: bytes | Exception = b"\0\7") -> None:
        self.answer = answer
        self.asked: list[tuple[int, Request, float]] = []
        self.manners: list[Manner] = []

    async def ask(self, unit_id: int, request: Request, timeout_ms: float, manner: Manner = PLAIN) -> Reply:
        """As `Asks`."""
        self.manners.append(manner)
        self.asked.append((unit_id, request, timeout_ms))
        if isinstance(self.answer, Exception):
            raise self.answer
        return Reply(self.answer, 1, 2, 3)


class Loop:
    """A bus loop."""

    def __init__(self, asks: Asks | None) -> None:
        self.asks = asks


async def said(name: str, asks: Asks | None = None, **arguments: object) -> Any:
    """The one answer of a daemon with these two buses."""
    table = job_handlers([RTU, TCP], [Loop(asks), Loop(None)])
    (answer,) = [answer async for answer in table[name](arguments)]
    return answer


async def ask(asks: Asks, question: object = ("holding", 0, 1), **other: object) -> Any:
    """With good arguments, but for `other`."""
    listed = list(question) if isinstance(question, tuple) else question
    return await said("ask", asks, **({"bus": "bus-1", "unit_id": 7, "question": listed, "timeout_ms": 50} | other))


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("bus-1", "bus-1"),
        ("/dev/test", "bus-1"),
        ("/dev/../dev/test", "bus-1"),
        ("10.0.0.5", "tcp-1"),
        ("tcp-1", "tcp-1"),
    ],
)
async def test_a_bus_is_found_by_what_people_call_it(target: str, name: str) -> None:
    """Its name, its port by any path, its host."""
    assert (await said("bus", target=target))["name"] == name


async def test_what_is_said_of_a_bus() -> None:
    """All that a job needs to ask there, and to tell old devices from new ones."""
    assert await said("bus", target="bus-1") == {
        "name": "bus-1",
        "transport": "rtu",
        "endpoint": "/dev/test",
        "line": [9600, 8, "N", 1],
        "devices": [["meter-1", 7, "test/thing@1"]],
    }


@pytest.mark.parametrize(
    "target",
    ["bus-2", "/dev/other", "10.0.0.6", "10.0.0.5:1502", "", 7, None, "/dev/\0", "/" + "a/" * 20_000, ["/dev"]],
)
async def test_no_such_bus(target: object) -> None:
    """A code of its own: who asks may then open the port."""
    with pytest.raises(NoSuchBus):
        await said("bus", target=target)


async def test_a_link_that_leads_to_itself_is_no_bus(tmp_path: Path) -> None:
    """And no error of a library."""
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(NoSuchBus):
        await said("bus", target=str(tmp_path / "loop"))


async def test_a_question_is_asked_on_the_bus() -> None:
    """And its answer told with its times."""
    asks = FakeAsks()
    assert await ask(asks, unit_id=8) == {"data": "0007", "sent_ns": 1, "first_ns": 2, "done_ns": 3}
    await ask(asks, (1, 0), unit_id=8)
    assert asks.asked == [(8, ReadRequest(Table.HOLDING, 0, 1), 50), (8, ReadDeviceId(1, 0), 50)]
    assert asks.manners == [PLAIN, PLAIN]


async def test_a_device_of_the_site_is_asked_as_its_profile_says() -> None:
    """Cut short, its reply would be owed, and polls would wait for it; without its pause or wake-up it is not heard."""
    asks = FakeAsks()
    await ask(asks, timeout_ms=50)
    await ask(asks, timeout_ms=500)
    await ask(asks, unit_id=8, timeout_ms=1)
    assert [timeout_ms for _, _, timeout_ms in asks.asked] == [200, 500, 20]
    assert asks.manners == [Manner(5_000_000), Manner(5_000_000), PLAIN]


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (NoReply("nothing"), {"failure": "no_reply", "detail": "nothing"}),
        (BadReply("half"), {"failure": "bad_reply", "detail": "half"}),
        (DeviceException(2), {"failure": "device_exception", "detail": 2}),
        (LinkDown("gone"), {"failure": "link_down", "detail": "gone"}),
        (BusBusy("full"), {"failure": "bus_busy", "detail": "full"}),
    ],
)
async def test_what_went_wrong_is_told(error: Exception, failure: object) -> None:
    """Each failure by its code."""
    assert await ask(FakeAsks(error)) == failure


@pytest.mark.parametrize(
    "question", [("holding", 100, 1), ("holding", 90, 11), ("holding", 109, 5), ("holding", 0, 125)]
)
async def test_a_hole_is_not_read_for_anybody(question: tuple[object, ...]) -> None:
    """A profile says that reading there does harm."""
    asks = FakeAsks()
    assert (await ask(asks, question))["failure"] == "never_read"
    assert (await ask(asks, question, unit_id=0))["failure"] == "no_reply"
    assert asks.asked == []
    await ask(asks, question, unit_id=8)
    assert len(asks.asked) == 1


@pytest.mark.parametrize("unit_id", [0, 8, 255])
async def test_a_hole_is_not_read_by_another_number(unit_id: int) -> None:
    """Over a network many devices do not look at it: who asks 255 would empty the counter of 7."""
    asks = FakeAsks()
    table = job_handlers([replace(RTU, transport="tcp", endpoint="10.0.0.7:502")], [Loop(asks)])
    arguments = {"bus": "bus-1", "unit_id": unit_id, "question": ["holding", 100, 1], "timeout_ms": 50}
    assert [answer["failure"] async for answer in table["ask"](dict(arguments)) if isinstance(answer, dict)] == [
        "no_reply"
    ]
    assert asks.asked == []
    _ = [answer async for answer in table["ask"](arguments | {"question": ["holding", 0, 1]})]
    assert len(asks.asked) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"unit_id": 256}, {"unit_id": "7"}, {"unit_id": None}, {"timeout_ms": 0}, {"timeout_ms": 60_000},
        {"timeout_ms": "1"}, {"question": None}, {"question": []}, {"question": ["holding", 0]},
        {"question": ["holding", 0, 126]}, {"question": ["holding", 0xFFFF, 2]}, {"question": ["register", 0, 1]},
        {"question": ["holding", 0, 1, 1]}, {"question": [9, 0]}, {"question": ["holding", 1.5, 1]},
        {"question": "holding"}, {"unit_id": True}, {"unit_id": -1}, {"unit_id": 1.0}, {"timeout_ms": True},
        {"timeout_ms": float("nan")}, {"question": ["holding", True, 1]}, {"question": [True, 0]},
        {"question": ["holding", 1 << 70, 1]}, {"question": [["holding"], 0, 1]}, {"question": {"holding": 0}},
    ],
)  # fmt: skip
async def test_what_is_no_read_is_refused(wrong: dict[str, object]) -> None:
    """Malformed, with nothing asked: a write cannot even be said."""
    asks = FakeAsks()
    with pytest.raises(Malformed):
        await ask(asks, **wrong)
    assert asks.asked == []


async def test_a_bus_where_nobody_is_asked() -> None:
    """A stream, or another master's."""
    with pytest.raises(BusNotAsked):
        await ask(FakeAsks(), bus="tcp-1")
    with pytest.raises(NoSuchBus):
        await ask(FakeAsks(), bus="bus-9")


async def test_a_wait_that_is_too_long_for_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """`bus_busy`, before it hangs up."""
    monkeypatch.setattr("gateway.app.jobs.ANSWER_MAX_S", 0.01)

    class Never(FakeAsks):
        async def ask(self, unit_id: int, request: Request, timeout_ms: float, manner: Manner = PLAIN) -> Reply:
            import asyncio

            await asyncio.Event().wait()
            return await super().ask(unit_id, request, timeout_ms, manner)

    assert (await ask(Never()))["failure"] == "bus_busy"


def test_the_errors_are_of_the_tree() -> None:
    """The control socket answers with their codes."""
    assert issubclass(NoSuchBus, GatewayError)
    assert issubclass(BusNotAsked, GatewayError)
