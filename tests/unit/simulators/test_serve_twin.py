"""Devices with a protocol module, on a pty: what they say, at which speed, and what is logged."""

import asyncio
import json
import os
import termios
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gateway.profile.profile import Field, Line, Profile, ProtocolSource
from gateway.protocols import dlt645, iec62056, plugin, vedirect
from gateway.protocols.plugin import OWN
from gateway.site import Device
from simulators.device import TwinDevice
from simulators.fault import Target
from simulators.faults import fault
from simulators.in_force import InForce
from simulators.run import Run
from simulators.serve_twin import TwinServer
from simulators.truth import TruthLog
from tests.unit.simulators.worlds import bus, constants, idle, polled, stream_device, until

CALL = b"/?!\r\n"
ACK = b"\x06050\r\n"


def a_twin(protocol: str, address: str, *parts: str) -> Device:
    """A device with a field for each part, named f0, f1."""
    fields = tuple(Field(f"f{n}", "x", "1", "f", 1, part=part) for n, part in enumerate(parts))
    source = ProtocolSource(Line(), protocol, OWN[protocol], address)
    return Device("a", Profile("acme/x@1", "x", (), "guess", fields, source), 0, polled("a", fields), address=address)


@asynccontextmanager
async def served(
    folder: Path, device: Device, baud: int, faults: Mapping[str, object] | None = None, **values: float
) -> AsyncIterator[int]:
    """The gateway's end of a line with this device."""
    in_force, log = InForce(1), TruthLog(folder / "truth")
    if faults:
        in_force.add(fault("a", Target("device", "talk"), faults))
    twins = [TwinDevice(device, constants(**values))]
    async with (
        TwinServer(bus("talk", str(folder / "line"), device, baud=baud), twins, Run(log, in_force)) as server,
        asyncio.TaskGroup() as group,
    ):
        task = group.create_task(server.run(), name="bus")
        fd = os.open(folder / "line", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        yield fd
        os.close(fd)
        task.cancel()
    log.close()


async def heard(fd: int, size: int) -> bytes:
    """So many bytes, or what came in time."""
    found = bytearray()

    def ended() -> bool:
        with suppress(BlockingIOError):
            found.extend(os.read(fd, 4096))
        return len(found) >= size

    await until(ended)
    return bytes(found)


def truth(folder: Path) -> list[tuple[object, ...]]:
    """Field, value, via, fault of each line."""
    lines = [json.loads(line) for line in (folder / "truth").read_text().splitlines()]
    return [(one.get("field"), one.get("value"), one.get("via"), one.get("fault")) for one in lines]


def at_speed(fd: int, speed: int) -> None:
    """The gateway's end changes its speed."""
    settings = termios.tcgetattr(fd)
    settings[4] = settings[5] = speed
    termios.tcsetattr(fd, termios.TCSANOW, settings)


async def test_what_speaks_by_itself_is_not_asked(tmp_path: Path) -> None:
    """A block, and what it says is logged as a stream's."""
    block = vedirect.block_of({"V": "12.5"})
    async with served(tmp_path, a_twin("vedirect", "", "V"), 19200, f0=12.5) as fd:
        assert await heard(fd, len(block)) == block
        await idle(20)
    assert truth(tmp_path) == [("f0", 12.5, "stream", None)]


async def test_only_what_is_said_is_true(tmp_path: Path) -> None:
    """A meter that is asked for one of two values has served one."""
    own = "123456789012"
    question = dlt645.WAKE + dlt645.frame_of(own, dlt645.READ, bytes.fromhex("00010102"))
    answer = dlt645.WAKE + dlt645.frame_of(own, dlt645.TOLD, bytes.fromhex("00010102 0523"))
    async with served(tmp_path, a_twin("dlt645-2007", own, "02010100", "02010200"), 9600, f0=230.5, f1=1.0) as fd:
        os.write(fd, question)
        assert await heard(fd, len(answer)) == answer
        await idle(20)
    assert truth(tmp_path) == [("f0", 230.5, "poll", None)]


@pytest.mark.parametrize("follows", [True, False])
async def test_the_speed_changes_for_who_follows(tmp_path: Path, follows: bool) -> None:
    """At the old speed the readout is garbage, and nobody has heard it."""
    readout = iec62056.readout_of({"13.7": "0.5"})
    async with served(tmp_path, a_twin("iec62056-21", "", "13.7"), 9600, f0=0.5) as fd:
        at_speed(fd, termios.B9600)
        os.write(fd, CALL)
        assert await heard(fd, len(iec62056.TWIN_IDENT)) == iec62056.TWIN_IDENT
        os.write(fd, ACK)
        await idle(20)
        at_speed(fd, termios.B9600 if follows else termios.B300)
        assert (await heard(fd, len(readout) if follows else 1) == readout) is follows
        await idle(20)
    assert [one for one in truth(tmp_path) if one[1] is not None] == [("f0", 0.5, "poll", None)] * follows


async def test_a_torn_answer_is_not_true(tmp_path: Path) -> None:
    """A fault is on what carries values."""
    block = vedirect.block_of({"V": "12.5"})
    async with served(tmp_path, a_twin("vedirect", "", "V"), 19200, {"kind": "truncated", "keep": 5}, f0=12.5) as fd:
        assert await heard(fd, 5) == block[:5]
        await idle(20)
    assert [one[3] for one in truth(tmp_path)] == ["truncated"]


def test_only_devices_with_a_protocol() -> None:
    """Others have servers of their own."""
    with pytest.raises(TypeError):
        TwinDevice(stream_device(), {})
    assert isinstance(plugin.load(OWN["vedirect"]), plugin.SerialProtocol)
