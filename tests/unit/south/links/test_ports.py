"""Real ports: a pseudo-terminal and loopback TCP."""

import asyncio
import contextlib
import errno
import fcntl
import os
import pty
import socket
import termios
import tty
from array import array
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.clock.kernel import SystemClock
from gateway.errors import BadReply, LinkDown
from gateway.profile.profile import Line
from gateway.seams import ByteStream
from gateway.site import Bus
from gateway.south.links.ports import (
    HELD_MAX_BYTES,
    SER_RS485_ENABLED,
    TIOCGRS485,
    FdStream,
    SerialStream,
    open_serial,
    open_talk,
    open_tcp,
)

TIOCSRS485 = 0x542F
RTS_ON_SEND = 2
FAR_NS = 60_000_000_000


@pytest.fixture
def clock() -> Iterator[SystemClock]:
    """The machine's."""
    clock = SystemClock("system")
    yield clock
    clock.close()


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    """The master's descriptor and the port's path."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    path = os.ttyname(slave)
    yield master, path
    os.close(slave)
    with contextlib.suppress(OSError):  # the test took it away
        os.close(master)


@pytest.fixture
async def connected(clock: SystemClock) -> AsyncIterator[tuple[socket.socket, ByteStream]]:
    """The peer's socket and our stream."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stream = await open_tcp("127.0.0.1", server.getsockname()[1], clock, 10)
        peer, _ = server.accept()
        with peer:
            yield peer, stream
            await stream.close()


async def test_bytes_go_both_ways_on_a_port(clock: SystemClock, terminal: tuple[int, str]) -> None:
    """With the time at which they were read."""
    master, path = terminal
    stream = await open_serial(path, Line(115_200), clock)
    stream.write(b"\x01\x03\x00\xff")
    assert os.read(master, 99) == b"\x01\x03\x00\xff"
    before_ns = clock.boot_ns()
    os.write(master, b"\x00\x11\x13\xff\r\n")
    data, at_ns = await stream.read(99, clock.boot_ns() + FAR_NS)
    assert data == b"\x00\x11\x13\xff\r\n"
    assert before_ns <= at_ns <= clock.boot_ns()
    await stream.close()


async def test_a_port_is_configured_as_the_line_says(clock: SystemClock, terminal: tuple[int, str]) -> None:
    """Speed and stop bits; a pseudo-terminal has 8 bits without parity, whatever it is told."""
    stream = await open_serial(terminal[1], Line(19_200, 8, "N", 2), clock)
    flags = termios.tcgetattr(terminal[0])
    assert flags[4] == flags[5] == termios.B19200
    assert flags[2] & termios.CSTOPB
    await stream.close()


async def test_the_speed_of_an_open_port_can_be_changed(clock: SystemClock, terminal: tuple[int, str]) -> None:
    """And changed back; a speed that no port has is LinkDown, and names itself."""
    _, path = terminal
    stream = await open_serial(path, Line(300, 7, "E", 1), clock)
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
    for baud, code in ((9600, termios.B9600), (300, termios.B300)):
        await stream.set_baud(baud)
        assert termios.tcgetattr(fd)[4:6] == [code, code]
    with pytest.raises(LinkDown, match="-1 baud"):
        await stream.set_baud(-1)
    os.close(fd)
    await stream.close()


async def test_what_waited_before_the_port_was_opened_is_flushed(clock: SystemClock, terminal: tuple[int, str]) -> None:
    """It answers nothing that we asked."""
    master, path = terminal
    os.write(master, b"old")
    stream = await open_serial(path, Line(), clock)
    os.write(master, b"new")
    assert (await stream.read(99, clock.boot_ns() + FAR_NS))[0] == b"new"
    await stream.close()


async def test_a_port_is_ours_alone(clock: SystemClock, terminal: tuple[int, str]) -> None:
    """A second gateway, or a technician's tool, would steal bytes."""
    stream = await open_serial(terminal[1], Line(), clock)
    with pytest.raises(LinkDown, match=r"cannot be opened: another program uses it$"):
        await open_serial(terminal[1], Line(), clock)
    await stream.close()
    await (await open_serial(terminal[1], Line(), clock)).close()


async def test_a_missing_port_is_link_down(clock: SystemClock, tmp_path: Path) -> None:
    """With its path."""
    with pytest.raises(LinkDown, match="no-such-port"):
        await open_serial(str(tmp_path / "no-such-port"), Line(), clock)


async def test_a_file_is_no_port(clock: SystemClock, tmp_path: Path) -> None:
    """What termios raises does not leave either."""
    (tmp_path / "file").write_text("")
    with pytest.raises(LinkDown, match="file"):
        await open_serial(str(tmp_path / "file"), Line(), clock)


async def test_a_port_that_cannot_switch_direction_is_link_down(clock: SystemClock, terminal: tuple[int, str]) -> None:
    """A pseudo-terminal has no RS-485 mode: its cause is told, and the port is free again."""
    with pytest.raises(LinkDown, match="RS485"):
        await open_serial(terminal[1], Line(), clock, rs485=True)
    await (await open_serial(terminal[1], Line(), clock)).close()


@pytest.mark.parametrize("heeds", [True, False])
async def test_the_kernel_switches_the_direction_of_a_line(
    clock: SystemClock, terminal: tuple[int, str], monkeypatch: pytest.MonkeyPatch, *, heeds: bool
) -> None:
    """RTS high while sending; a driver that says yes and does not do it is found out."""
    flags = [0]

    def driver(_fd: int, request: int, settings: "array[int]") -> int:
        if request == TIOCSRS485:
            flags[0] = settings[0] if heeds else 0
        elif request == TIOCGRS485:
            settings[0] = flags[0]
        else:
            raise OSError(errno.ENOTTY, "not here")
        return 0

    monkeypatch.setattr(fcntl, "ioctl", driver)
    monkeypatch.setattr("serial.Serial.reset_input_buffer", lambda _: None)
    for name in ("_update_dtr_state", "_update_rts_state"):
        monkeypatch.setattr(f"serial.Serial.{name}", lambda _: None)
    if heeds:
        await (await open_serial(terminal[1], Line(), clock, rs485=True)).close()
        assert flags == [SER_RS485_ENABLED | RTS_ON_SEND]
    else:
        with pytest.raises(LinkDown, match="does not switch"):
            await open_serial(terminal[1], Line(), clock, rs485=True)


async def test_impossible_settings_are_link_down(clock: SystemClock, terminal: tuple[int, str]) -> None:
    """A ValueError of pyserial does not leave."""
    with pytest.raises(LinkDown, match="cannot be opened"):
        await open_serial(terminal[1], Line(parity="X"), clock)


async def test_a_port_that_vanishes_is_link_down_at_once(clock: SystemClock, terminal: tuple[int, str]) -> None:
    """For who waits, and for every call after it; the dead descriptor leaves the loop."""
    master, path = terminal
    stream = await open_serial(path, Line(), clock)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(_down(stream, clock), name="waiting")
        await asyncio.sleep(0)  # noqa: TID251 - a turn, so that it waits
        os.close(master)
    assert "gone" in waiting.result()
    for call in (stream.drain_input, lambda: stream.write(b"x")):
        with pytest.raises(LinkDown, match="gone"):
            call()
    assert isinstance(stream, FdStream)
    assert not asyncio.get_running_loop().remove_reader(stream._fd)
    await stream.close()


async def _down(stream: ByteStream, clock: SystemClock) -> str:
    with pytest.raises(LinkDown) as down:
        await stream.read(99, clock.boot_ns() + FAR_NS)
    return str(down.value)


async def test_a_deadline_passes_with_nothing(clock: SystemClock, connected: tuple[socket.socket, ByteStream]) -> None:
    """Also one that is already past."""
    _, stream = connected
    assert (await stream.read(99, clock.boot_ns() + 1_000_000))[0] == b""
    assert (await stream.read(99, 0))[0] == b""


async def test_bytes_go_both_ways_on_tcp(clock: SystemClock, connected: tuple[socket.socket, ByteStream]) -> None:
    """At most as many as asked for; the rest keeps its time."""
    peer, stream = connected
    stream.write(b"question")
    assert peer.recv(99) == b"question"
    peer.sendall(b"answer")
    first, first_ns = await stream.read(3, clock.boot_ns() + FAR_NS)
    rest, rest_ns = await stream.read(99, clock.boot_ns() + FAR_NS)
    assert (first, rest) == (b"ans", b"wer")
    assert first_ns == rest_ns


async def test_what_came_before_a_deadline_that_is_past_is_read(
    clock: SystemClock, connected: tuple[socket.socket, ByteStream]
) -> None:
    """One look at the kernel's buffer is free."""
    peer, stream = connected
    peer.sendall(b"answer")
    assert (await stream.read(99, clock.boot_ns() - 1))[0] == b"answer"


async def test_drain_takes_everything_without_waiting(
    clock: SystemClock, connected: tuple[socket.socket, ByteStream]
) -> None:
    """What the loop has read already, and what the kernel still holds."""
    peer, stream = connected
    assert stream.drain_input() == b""
    peer.sendall(b"one")
    await stream.read(1, clock.boot_ns() + FAR_NS)
    peer.sendall(b"two")
    assert stream.drain_input() == b"netwo"


async def test_a_half_closed_peer_is_link_down_at_once(
    clock: SystemClock, connected: tuple[socket.socket, ByteStream]
) -> None:
    """What it sent before is read first."""
    peer, stream = connected
    peer.sendall(b"last words")
    peer.shutdown(socket.SHUT_WR)
    assert (await stream.read(99, clock.boot_ns() + FAR_NS))[0] == b"last words"
    assert "closed" in await _down(stream, clock)


async def test_a_reset_is_link_down(clock: SystemClock, connected: tuple[socket.socket, ByteStream]) -> None:
    """Not ConnectionResetError."""
    peer, stream = connected
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()
    assert "gone" in await _down(stream, clock)


async def test_a_peer_that_takes_nothing_is_link_down(connected: tuple[socket.socket, ByteStream]) -> None:
    """Writing never blocks and never buffers in the process."""
    _, stream = connected
    with pytest.raises(LinkDown):
        stream.write(bytes(100 << 20))


async def test_what_nobody_takes_is_bounded(clock: SystemClock, connected: tuple[socket.socket, ByteStream]) -> None:
    """Reading stops, the kernel pushes back, and goes on where it stopped; nothing is lost."""
    peer, stream = connected
    assert isinstance(stream, FdStream)
    sent = bytes(range(256)) * 512
    peer.setblocking(False)
    at = 0
    for _ in range(200):
        try:
            at += peer.send(sent[at : at + 4096])
        except BlockingIOError:
            break
        await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop
    assert stream._held_bytes <= HELD_MAX_BYTES + 4096
    got = b""
    while len(got) < at:
        got += (await stream.read(1000, clock.boot_ns() + FAR_NS))[0]
    assert got == sent[:at]


async def test_a_cancelled_read_loses_nothing(clock: SystemClock, connected: tuple[socket.socket, ByteStream]) -> None:
    """The next one gets the bytes."""
    peer, stream = connected
    async with asyncio.TaskGroup() as group:
        task = group.create_task(stream.read(99, clock.boot_ns() + FAR_NS), name="cancelled")
        await asyncio.sleep(0)  # noqa: TID251 - a turn, so that it waits
        task.cancel()
    peer.sendall(b"kept")
    assert (await stream.read(99, clock.boot_ns() + FAR_NS))[0] == b"kept"


async def test_close_is_idempotent_and_final(clock: SystemClock, connected: tuple[socket.socket, ByteStream]) -> None:
    """It never raises; everything else does."""
    peer, stream = connected
    await stream.close()
    await stream.close()
    assert peer.recv(1) == b""
    assert "closed" in await _down(stream, clock)


async def test_nobody_listens_is_link_down(clock: SystemClock) -> None:
    """A refused connection, and a name that is none."""
    for host, why in (("127.0.0.1", "Connection refused"), ("no-such-host.invalid", ".*")):
        with pytest.raises(LinkDown, match=f"^{host}:1 cannot be reached: {why}$"):
            await open_tcp(host, 1, clock, 10)


@pytest.mark.parametrize("host", ["a..b", "a" * 64, "."])
async def test_a_name_that_cannot_be_asked_for_is_link_down(clock: SystemClock, host: str) -> None:
    """Not the UnicodeError of its encoding."""
    with pytest.raises(LinkDown, match="cannot be reached"):
        await open_tcp(host, 502, clock, 10)


async def test_a_connection_that_takes_too_long_is_link_down(clock: SystemClock) -> None:
    """The timeout is ours."""
    with pytest.raises(LinkDown, match="within 0 s"):
        await open_tcp("127.0.0.1", 1, clock, 0)


async def test_what_a_converter_had_kept_is_dropped_when_it_is_connected_to(clock: SystemClock) -> None:
    """It comes at once; what comes later answers a question. Its speed is its own."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        bus = Bus("b", "talk_over_tcp", "own", f"127.0.0.1:{server.getsockname()[1]}", Line(), ())
        async with asyncio.TaskGroup() as tasks:
            opening = tasks.create_task(open_talk(bus, clock), name="opening")
            peer, _ = await asyncio.to_thread(server.accept)
            peer.sendall(b"kept")
        with peer:
            stream = opening.result()
            assert stream.drain_input() == b""
            peer.sendall(b"new")
            assert (await stream.read(100, clock.boot_ns() + FAR_NS))[0] == b"new"
            with pytest.raises(BadReply):
                await stream.set_baud(9600)
            await stream.close()


async def test_a_converter_that_hangs_up_while_it_is_listened_to_is_link_down(clock: SystemClock) -> None:
    """It is waited for like any other."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        bus = Bus("b", "talk_over_tcp", "own", f"127.0.0.1:{server.getsockname()[1]}", Line(), ())
        accepting = asyncio.get_running_loop().run_in_executor(None, server.accept)
        accepting.add_done_callback(lambda done: done.result()[0].close())
        with pytest.raises(LinkDown):
            await open_talk(bus, clock)


async def test_what_is_asked_at_a_port_is_a_port(clock: SystemClock, terminal: tuple[int, str]) -> None:
    """The same call for both."""
    stream = await open_talk(Bus("b", "talk", "own", terminal[1], Line(), ()), clock)
    assert isinstance(stream, SerialStream)
    await stream.close()
