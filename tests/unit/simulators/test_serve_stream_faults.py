"""A sensor that speaks by itself, badly."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from simulators.device import StreamDevice
from simulators.fault import Target
from simulators.faults import fault
from simulators.in_force import InForce
from simulators.run import Run
from simulators.serve_stream import StreamServer
from simulators.signals import Moment
from simulators.truth import TruthLog
from tests.unit.simulators.worlds import bus, constants, idle, stream_device, until


@asynccontextmanager
async def served(folder: Path, *tables: dict[str, object]) -> AsyncIterator[StreamServer]:
    """It says its direction, and the number of the frame as its speed."""
    in_force = InForce(1)
    for table in tables:
        in_force.add(fault("wind-1", Target("device", "stream"), table))
    run = Run(TruthLog(folder / "truth"), in_force)
    device = stream_device(period_ms=20)
    stream = StreamDevice(device, constants(direction=271.0) | {"speed": number})
    endpoint = str(folder / "wind")
    async with (
        StreamServer(bus("stream", endpoint, device, baud=115200), stream, run) as server,
        asyncio.TaskGroup() as group,
    ):
        task = group.create_task(server.run(), name="bus")
        yield server
        task.cancel()
    run.truth.close()


def number(moment: Moment) -> float:
    """Of the frame."""
    return float(moment.n)


async def heard(port: Path, ends: int) -> bytes:
    """All that is said until so many lines have ended."""
    fd = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    got = bytearray()

    def enough() -> bool:
        with suppress(BlockingIOError):
            got.extend(os.read(fd, 4096))
        return got.count(b"\r\n") >= ends

    try:
        await until(enough)
    finally:
        os.close(fd)
    return bytes(got)


async def test_each_fault_spoils_a_frame(tmp_path: Path) -> None:
    """Silent, spoiled, torn, with noise before; spoiled ones are no truth, a disturbed one may be lost."""
    kinds: tuple[dict[str, object], ...] = (
        {"kind": "silent"}, {"kind": "bit_flip"}, {"kind": "torn", "keep": 3}, {"kind": "garbage", "hex": "2a2a"},
    )  # fmt: skip
    async with served(tmp_path, *(kind | {"times": 1} for kind in kinds)):
        said = await heard(tmp_path / "wind", 4)
    assert said == b"$271,3.00\r\n" + b"$27" + b"1,3.00\r\n" + b"**$271,4.00\r\n" + b"$271,5.00\r\n"
    lines = [json.loads(line) for line in (tmp_path / "truth").read_text().splitlines()]
    assert [(line["n"], line.get("fault"), line.get("value")) for line in lines if line.get("field") != "direction"][
        :6
    ] == [
        (1, "silent", None), (2, "bit_flip", None), (3, "torn", None), (4, "garbage", None), (4, "garbage", 4.0),
        (5, None, 5.0),
    ]  # fmt: skip


async def test_its_port_vanishes_and_comes_back(tmp_path: Path) -> None:
    """It goes on speaking when somebody listens again."""
    async with served(tmp_path) as server:
        assert await heard(tmp_path / "wind", 1)
        await server.turn("vanish")
        await server.turn("vanish")
        assert not (tmp_path / "wind").exists()
        await idle(30)
        await server.turn("")
        assert (await heard(tmp_path / "wind", 2)).startswith(b"$271,")
