"""A recorded trace, served again."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gateway.protocols.modbus_frame import Frame, TcpReader, encode_rtu, encode_tcp
from gateway.protocols.modbus_pdu import ReadRequest, Table, encode_request
from simulators.moments import boot_ns
from simulators.recording import BadTrace, Chunk
from simulators.replay import FILE_MAX_BYTES, read_trace, replay
from tests.unit.simulators.worlds import until

ASK = encode_request(ReadRequest(Table.INPUT, 0, 1))
REPLY = b"\x04\x02\x00\x07"
MS = 1_000_000


def trace(folder: Path, transport: str, *chunks: tuple[int, str, bytes]) -> Path:
    """A file; times in ms."""
    path = folder / "trace.jsonl"
    head = {"v": 1, "bus": "b", "transport": transport, "line": "115200 8N1"}
    entries = [{"t_ns": t * MS, "way": way, "bytes": data.hex()} for t, way, data in chunks]
    path.write_text("".join(f"{json.dumps(one)}\n" for one in (head, *entries)))
    return path


@asynccontextmanager
async def playing(path: Path, *, pty: Path | None = None, as_bus: bool = False) -> AsyncIterator[str]:
    """Its endpoint."""
    ports = path.with_name("ports")
    async with asyncio.TaskGroup() as group:
        port = 0 if pty is None else None
        task = group.create_task(replay(read_trace(path), pty, port, as_bus=as_bus, ports=ports), name="replay")
        await until(lambda: ports.exists() or task.done())
        yield json.loads(ports.read_text())["replay"]
        task.cancel()


async def heard(fd: int, size: int) -> bytes:
    """So many bytes."""
    got = bytearray()

    def enough() -> bool:
        with suppress(BlockingIOError):
            got.extend(os.read(fd, 4096))
        return len(got) >= size

    await until(enough)
    return bytes(got)


async def test_rtu_devices_answer_with_their_timing(tmp_path: Path) -> None:
    """The recorded delay, on a pty; again and again; what was not recorded is silence."""
    good = encode_rtu(Frame(1, REPLY))
    path = trace(tmp_path, "rtu", (0, "out", encode_rtu(Frame(1, ASK))), (40, "in", good[:3]), (60, "in", good[3:]))
    async with playing(path, pty=tmp_path / "p"):
        fd = os.open(tmp_path / "p", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        for _ in range(2):
            begin_ns = boot_ns()
            os.write(fd, encode_rtu(Frame(9, ASK)) + encode_rtu(Frame(1, ASK)))
            assert await heard(fd, len(good)) == good
            assert boot_ns() - begin_ns >= 60 * MS
        os.close(fd)
    assert not (tmp_path / "p").is_symlink()


async def test_tcp_devices_answer_in_the_transaction_of_now(tmp_path: Path) -> None:
    """Pipelined as they were asked."""
    path = trace(
        tmp_path,
        "tcp",
        (0, "out", encode_tcp(Frame(1, ASK, 10)) + encode_tcp(Frame(2, ASK, 11))),
        (30, "in", encode_tcp(Frame(2, REPLY, 11)) + encode_tcp(Frame(1, REPLY, 10))),
    )
    async with playing(path) as endpoint:
        host, _, port = endpoint.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        begin_ns = boot_ns()
        writer.write(encode_tcp(Frame(1, ASK, 7)) + encode_tcp(Frame(2, ASK, 8)))
        frames: list[Frame] = []
        replies = TcpReader()
        while len(frames) < 2:
            frames += replies.feed(await reader.read(4096))
        assert boot_ns() - begin_ns >= 30 * MS
        writer.close()
        await writer.wait_closed()
    assert [(frame.unit_id, frame.tid) for frame in frames] == [(2, 8), (1, 7)]


async def test_both_sides_are_played_for_who_listens(tmp_path: Path) -> None:
    """From the first byte on, when somebody has opened the line; a stream is played in the same way."""
    said = encode_rtu(Frame(1, ASK)), encode_rtu(Frame(1, REPLY))
    for transport, way, as_bus in (("rtu", "out", True), ("stream", "in", False)):
        path = trace(tmp_path, transport, (500, way, said[0]), (530, "in", said[1]))
        async with playing(path, pty=tmp_path / "p", as_bus=as_bus):
            fd = os.open(tmp_path / "p", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
            begin_ns = boot_ns()
            assert await heard(fd, len(said[0]) + len(said[1])) == said[0] + said[1]
            assert boot_ns() - begin_ns >= 29 * MS
            os.close(fd)
        (tmp_path / "ports").unlink()


@pytest.mark.parametrize(
    ("transport", "pty", "port", "as_bus"),
    [
        ("tcp", Path("p"), None, False),
        ("rtu", None, 0, False),
        ("rtu_over_tcp", None, 0, True),
        ("stream", None, 0, False),
    ],
)
async def test_what_cannot_be_played_is_refused(
    tmp_path: Path, transport: str, pty: Path | None, port: int | None, as_bus: object
) -> None:
    """Frames of TCP on a pty, a serial line on TCP."""
    recorded = read_trace(trace(tmp_path, transport, (0, "out", encode_rtu(Frame(1, ASK)))))
    with pytest.raises(BadTrace):
        await replay(recorded, pty and tmp_path / pty, port, as_bus=bool(as_bus))


def test_a_file_is_read(tmp_path: Path) -> None:
    """Bounded, whatever it is."""
    path = trace(tmp_path, "rtu", (0, "in", b"\x01"))
    assert read_trace(path).chunks == (Chunk(0, False, b"\x01"),)
    with path.open("r+b") as file:
        file.truncate(FILE_MAX_BYTES + 1)
    with pytest.raises(BadTrace, match="MiB"):
        read_trace(path)
    path.write_bytes(b"\xff\xfe\x00\n")
    with pytest.raises(BadTrace):
        read_trace(path)
