"""Serial sensors that are asked, on one line: who answers, when, and what is logged."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gateway.profile.profile import Field, Line, Profile, SerialSource
from gateway.protocols.declared import Poll
from gateway.protocols.framing import Framing
from gateway.protocols.parse import Parse
from gateway.site import Device
from simulators.device import StreamDevice, TalkDevice
from simulators.fault import Target
from simulators.faults import fault
from simulators.in_force import InForce
from simulators.run import Run
from simulators.serve_talk import TalkServer
from simulators.truth import TruthLog
from tests.unit.simulators.worlds import bus, constants, idle, polled, stream_device, until

FIELDS = (Field("t", "temperature", "Cel", "f", 1, part="one.T"), Field("u", "humidity", "%", "f", 0, part="two.U"))
POLL = Poll("{address} 52 {channel} 0D", 200, start="{address} 2C", address="0", channels=(("one", "1"), ("two", "2")))
PARSE = Parse("pairs", content_from=2, content_until=-1, require=(("0", "{channel}"),))


def a_talker(name: str, address: str) -> Device:
    """Asked aR1 for a temperature, aR2 for a humidity."""
    source = SerialSource(Line(115200), Framing("line", 64, end=b"\r"), PARSE, 0, POLL)
    profile = Profile("acme/x@1", "air", (), "guess", FIELDS, source)
    return Device(name, profile, 0, polled(name, FIELDS), address=address)


@asynccontextmanager
async def served(folder: Path, faults: Mapping[str, object] | None = None) -> AsyncIterator[int]:
    """The gateway's end of a line with the devices "air-1" at 0 and "air-2" at 1."""
    in_force = InForce(1)
    if faults:
        in_force.add(fault("air-1", Target("device", "talk"), faults))
    log = TruthLog(folder / "truth")
    devices = [a_talker("air-1", "0"), a_talker("air-2", "1")]
    values = ({"t": 1.5, "u": 40.0}, {"t": -2.5, "u": 90.0})
    talkers = [TalkDevice(one, constants(**said)) for one, said in zip(devices, values, strict=True)]
    async with (
        TalkServer(bus("talk", str(folder / "air"), *devices, baud=115200), talkers, Run(log, in_force)) as server,
        asyncio.TaskGroup() as group,
    ):
        task = group.create_task(server.run(), name="bus")
        fd = os.open(folder / "air", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        yield fd
        os.close(fd)
        task.cancel()
    log.close()


async def said(fd: int, pieces: Sequence[bytes], answer: bytes) -> bytes:
    """What came to `pieces`, until `answer` has come."""
    heard = bytearray()

    def ended() -> bool:
        with suppress(BlockingIOError):
            heard.extend(os.read(fd, 4096))
        return len(heard) >= len(answer)

    for piece in pieces:
        os.write(fd, piece)
        await idle(5)
    await until(ended)
    return bytes(heard)


async def test_each_device_answers_to_its_own_request(tmp_path: Path) -> None:
    """In pieces, behind noise, for each channel; what is nobody's request is silence."""
    async with served(tmp_path) as fd:
        assert await said(fd, [b"0R1\r"], b"0,1,T=1.5\r") == b"0,1,T=1.5\r"
        assert await said(fd, [b"zz1R", b"2\r"], b"1,2,U=90\r") == b"1,2,U=90\r"
        os.write(fd, b"7R1\r")
        await idle(100)
        with pytest.raises(BlockingIOError):
            os.read(fd, 16)
    lines = [json.loads(line) for line in (tmp_path / "truth").read_text().splitlines()]
    assert [(one["device"], one["field"], one["value"], one["via"]) for one in lines] == [
        ("air-1", "t", 1.5, "poll"),
        ("air-2", "u", 90.0, "poll"),
    ]


async def test_a_late_answer_comes_and_is_not_true(tmp_path: Path) -> None:
    """Beyond the timeout: nobody may believe it; another device answers meanwhile."""
    async with served(tmp_path, {"kind": "late", "by_ms": 400}) as fd:
        os.write(fd, b"0R1\r")
        await idle(20)
        assert await said(fd, [b"1R1\r"], b"1,1,T=-2.5\r") == b"1,1,T=-2.5\r"
        assert await said(fd, [], b"0,1,T=1.5\r") == b"0,1,T=1.5\r"
    lines = [json.loads(line) for line in (tmp_path / "truth").read_text().splitlines()]
    assert [one.get("fault") for one in lines if one["device"] == "air-1"] == ["late"]


async def test_a_torn_answer_ends_before_the_next(tmp_path: Path) -> None:
    """The rest is kept, as by a device that has lost its clock."""
    async with served(tmp_path, {"kind": "torn", "keep": 4}) as fd:
        assert await said(fd, [b"0R1\r"], b"0,1,") == b"0,1,"
        await idle(60)
        assert await said(fd, [b"0R1\r"], b"T=1.5\r0,1,") == b"T=1.5\r0,1,"


async def test_an_echo_is_the_request(tmp_path: Path) -> None:
    """As on two wires."""
    async with served(tmp_path, {"kind": "echo"}) as fd:
        assert await said(fd, [b"0R2\r"], b"0R2\r0,2,U=40\r") == b"0R2\r0,2,U=40\r"


def test_who_speaks_by_itself_is_not_asked() -> None:
    """And the other way round."""
    with pytest.raises(TypeError):
        TalkDevice(stream_device(), {})
    with pytest.raises(TypeError):
        StreamDevice(a_talker("air-1", "0"), {})
