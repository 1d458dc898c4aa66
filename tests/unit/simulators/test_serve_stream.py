"""A sensor that speaks by itself, to whoever listens."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from gateway.profile.profile import SerialSource
from gateway.protocols.framing import FrameReader
from simulators.device import StreamDevice
from simulators.run import Run
from simulators.serve_stream import StreamServer
from simulators.signals import Moment
from simulators.truth import TruthLog
from tests.unit.simulators.worlds import bus, idle, stream_device, until


def counting(moment: Moment) -> float:
    """Which frame it is."""
    return float(moment.n)


@asynccontextmanager
async def served(folder: Path, period_ms: int = 20) -> AsyncIterator[Path]:
    """Its port; what it says is the number of the frame."""
    device = stream_device(period_ms=period_ms)
    log = TruthLog(folder / "truth")
    stream = StreamDevice(device, {"direction": counting, "speed": counting})
    async with (
        StreamServer(bus("stream", str(folder / "wind"), device, baud=115200), stream, Run(log)) as server,
        asyncio.TaskGroup() as group,
    ):
        task = group.create_task(server.run(), name="bus")
        yield folder / "wind"
        task.cancel()
    log.close()


def listen(port: Path) -> tuple[int, FrameReader]:
    """The gateway's end."""
    source = stream_device().profile.source
    assert isinstance(source, SerialSource)
    return os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK), FrameReader(source.framing)


def heard(fd: int, reader: FrameReader, frames: list[bytes]) -> int:
    """How many frames so far."""
    with suppress(BlockingIOError):
        frames += reader.feed(os.read(fd, 4096))
    return len(frames)


async def test_what_is_heard_is_what_is_logged(tmp_path: Path) -> None:
    """Whole frames, in order, none in the log that was not heard to its end."""
    frames: list[bytes] = []
    async with served(tmp_path) as port:
        fd, reader = listen(port)
        await until(lambda: heard(fd, reader, frames) >= 5)
        os.close(fd)
    entries = [json.loads(line) for line in (tmp_path / "truth").read_text().splitlines()]
    speeds = [entry["value"] for entry in entries if entry["field"] == "speed"]
    assert [float(frame[1:-2].split(b",")[1]) for frame in frames] == speeds[:5] == [1, 2, 3, 4, 5]
    assert {entry["via"] for entry in entries} == {"stream"}
    assert entries[0]["raw"] == b"1".hex()


async def test_it_says_nothing_to_nobody(tmp_path: Path) -> None:
    """What was not said is not in the log, and not in the ears of who comes later."""
    frames: list[bytes] = []
    async with served(tmp_path) as port:
        await idle(200)
        assert (tmp_path / "truth").stat().st_size == 0
        for _ in range(3):
            fd, reader = listen(port)
            await until(lambda: heard(fd, reader, frames) % 2 == 0 and bool(frames))  # noqa: B023  used in this turn only
            os.close(fd)
            await idle(100)
    numbers = [float(frame[1:-2].split(b",")[1]) for frame in frames]
    assert numbers == sorted(set(numbers))
    assert max(numbers) < 20
