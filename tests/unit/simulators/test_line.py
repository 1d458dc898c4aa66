"""A pty that behaves like a wire: slow, and deaf to what nobody hears."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import serial

from gateway.profile.profile import Line
from simulators.line import PortTaken, SerialLine, character_ns, slice_ends
from simulators.moments import boot_ns
from tests.unit.simulators.worlds import idle, until

FAST = Line(115200)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """The gateway's end."""
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        yield fd
    finally:
        os.close(fd)


def waiting(fd: int) -> bytes:
    """What can be read now."""
    try:
        return os.read(fd, 4096)
    except BlockingIOError:
        return b""


async def heard(fd: int, size: int) -> bytes:
    """So many bytes: the kernel takes a moment to hand them over."""
    data = bytearray()

    def enough() -> bool:
        data.extend(waiting(fd))
        return len(data) >= size

    await until(enough)
    return bytes(data)


def test_a_character_takes_all_its_bits() -> None:
    """Start, data, parity, stop."""
    assert character_ns(Line(9600, 8, "N", 1)) == 10 * 1_000_000_000 // 9600
    assert character_ns(Line(9600, 8, "E", 1)) == 11 * 1_000_000_000 // 9600
    assert character_ns(Line(9600, 7, "O", 2)) == 11 * 1_000_000_000 // 9600


def test_slices() -> None:
    """The first byte alone, then about 2 ms at a time, all of it."""
    assert slice_ends(6, 1_041_666) == [1, 2, 3, 4, 5, 6]
    assert slice_ends(6, 900_000) == [1, 3, 5, 6]
    assert slice_ends(40, 86_805) == [1, 24, 40]
    assert slice_ends(1, 86_805) == [1]
    assert slice_ends(0, 86_805) == []


def test_the_link_comes_and_goes(tmp_path: Path) -> None:
    """A port at the path of the site file, while the simulator runs."""
    path = tmp_path / "rs485-1"
    with SerialLine(path, FAST):
        assert path.is_char_device()
    assert not path.is_symlink()


def test_a_left_over_link_is_replaced(tmp_path: Path) -> None:
    """Its simulator was killed, and its terminal is gone."""
    path = tmp_path / "rs485-1"
    path.symlink_to("/dev/pts/never")
    with SerialLine(path, FAST):
        assert path.is_char_device()


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    """A file, a real port, the link of another simulator."""
    file, port = tmp_path / "notes", tmp_path / "port"
    file.write_text("mine")
    port.symlink_to("/dev/null")
    with SerialLine(tmp_path / "other", FAST):
        for path in (file, port, tmp_path / "other"):
            with pytest.raises(PortTaken):
                SerialLine(path, FAST)
        assert (tmp_path / "other").is_char_device()
    assert file.read_text() == "mine"
    assert port.readlink() == Path("/dev/null")


def test_a_link_that_became_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    """Removed at the end only while it still leads to us."""
    path = tmp_path / "rs485-1"
    with SerialLine(path, FAST):
        path.unlink()
        path.symlink_to("/dev/null")
    assert path.readlink() == Path("/dev/null")


async def test_it_hears_and_speaks_bytes_as_they_are(tmp_path: Path) -> None:
    """Raw in both directions, nothing echoed: control characters are data."""
    everything = bytes(range(256))
    with SerialLine(tmp_path / "p", FAST) as line, opened(tmp_path / "p") as fd:
        assert os.write(fd, everything) == 256
        assert (await line.receive())[0] == everything
        assert waiting(fd) == b""
        assert await line.send(everything, boot_ns()) is not None
        assert await heard(fd, 256) == everything


async def test_a_reply_takes_its_time(tmp_path: Path) -> None:
    """20 characters at 9600 are 20.8 ms; the first one is there after one, and carries the time."""
    with SerialLine(tmp_path / "p", Line(9600)) as line, opened(tmp_path / "p"):
        begin_ns = boot_ns()
        left = await line.send(bytes(20), begin_ns)
        assert left is not None
        assert left.boot_ns - begin_ns >= line.char_ns
        assert boot_ns() - begin_ns >= 20 * line.char_ns


async def test_it_knows_whether_anybody_listens(tmp_path: Path) -> None:
    """Before, while and after, many times over."""
    with SerialLine(tmp_path / "p", FAST) as line:
        for _ in range(20):
            assert not line.listened_to()
            with opened(tmp_path / "p") as fd:
                assert line.listened_to()
                os.write(fd, b"hello")
                assert (await line.receive())[0] == b"hello"


async def test_what_nobody_heard_is_gone(tmp_path: Path) -> None:
    """Said to nobody, or said and not read before the port was closed: never read later, with a wrong time."""
    with SerialLine(tmp_path / "p", FAST) as line:
        assert await line.send(b"nobody", boot_ns()) is None
        with opened(tmp_path / "p"):
            assert await line.send(b"not read", boot_ns()) is not None
        assert not line.listened_to()
        with opened(tmp_path / "p") as fd:
            assert waiting(fd) == b""
            assert await line.send(b"now", boot_ns()) is not None
            assert await heard(fd, 3) == b"now"


async def test_who_is_never_read_is_not_heard(tmp_path: Path) -> None:
    """A port that is open but full: the rest is lost, as on a wire, and the sender knows."""
    with SerialLine(tmp_path / "p", Line(10_000_000)) as line, opened(tmp_path / "p"):
        sent = [await line.send(bytes(8192), boot_ns()) for _ in range(20)]
        assert sent[0] is not None
        assert sent[-1] is None


async def test_what_comes_while_it_speaks_is_lost(tmp_path: Path) -> None:
    """Two wires: a device does not listen to itself."""
    with SerialLine(tmp_path / "p", FAST) as line, opened(tmp_path / "p") as fd:
        os.write(fd, b"too early")
        await line.send(b"reply", boot_ns())
        os.write(fd, b"in time")
        assert (await line.receive())[0] == b"in time"


@pytest.mark.parametrize("baud", [1200, 9600, 115200, 123456])
async def test_it_knows_how_the_client_is_set(tmp_path: Path, baud: int) -> None:
    """Also an odd speed, and odd parity; even and none look alike on a pty. Without settings: its own."""
    with SerialLine(tmp_path / "p", Line(baud)) as line:
        with opened(tmp_path / "p"):
            assert line.client() == Line(baud)
        with serial.Serial(str(tmp_path / "p"), 4800, parity="O"):
            assert line.client() == Line(4800, 8, "O")
        with serial.Serial(str(tmp_path / "p"), baud, parity="E"):
            assert line.client() == Line(baud)


async def test_a_client_at_another_baud_is_not_understood(tmp_path: Path) -> None:
    """Nor does it understand; at the line's baud both do. What it got counts as not heard."""
    with SerialLine(tmp_path / "p", FAST) as line:
        with serial.Serial(str(tmp_path / "p"), 57600) as port:
            port.write(b"hello")
            assert (await line.receive())[0] not in (b"hello", b"")
            assert await line.send(b"hello", boot_ns()) is None
            assert await heard(port.fileno(), 1) != b"h"
        with serial.Serial(str(tmp_path / "p"), 115200) as port:
            port.write(b"hello")
            assert (await line.receive())[0] == b"hello"
            assert await line.send(b"hello", boot_ns()) is not None


async def test_listening_has_an_end(tmp_path: Path) -> None:
    """When nothing comes, with and without a client; what came before is not kept waiting."""
    with SerialLine(tmp_path / "p", FAST) as line:
        assert (await line.receive(boot_ns() + 15_000_000))[0] == b""
        with opened(tmp_path / "p") as fd:
            begin_ns = boot_ns()
            assert (await line.receive(begin_ns + 5_000_000))[0] == b""
            assert boot_ns() >= begin_ns + 5_000_000
            os.write(fd, b"x")
            assert (await line.receive(boot_ns() + 10**10))[0] == b"x"


async def test_the_port_vanishes_and_comes_back(tmp_path: Path) -> None:
    """Hung up, no link, then the same link to another terminal; whoever waits for bytes is not left hanging."""
    with SerialLine(tmp_path / "p", FAST) as line:
        before = (tmp_path / "p").readlink()
        with opened(tmp_path / "p") as fd:
            async with asyncio.TaskGroup() as group:
                waiting_for = group.create_task(line.receive(boot_ns() + 100_000_000))
                await idle(5)
                line.vanish()
                line.vanish()
                assert os.read(fd, 1) == b""
                assert not (tmp_path / "p").is_symlink()
                assert (await waiting_for)[0] == b""
            assert await line.send(b"nobody", boot_ns()) is None
        line.come_back()
        assert (tmp_path / "p").readlink() != before
        with opened(tmp_path / "p") as fd:
            os.write(fd, b"again")
            assert (await line.receive())[0] == b"again"
    assert not (tmp_path / "p").is_symlink()


async def test_a_port_that_is_away_is_left_behind_clean(tmp_path: Path) -> None:
    """Closed while it is gone: no descriptor stays open (warnings are errors), and it does not come back by itself."""
    with SerialLine(tmp_path / "p", FAST) as line:
        line.come_back()
        line.vanish()
    assert not (tmp_path / "p").is_symlink()
