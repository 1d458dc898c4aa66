"""simulators.port: a device on a real port; the other end of a pty stands for the wire."""

import os
import termios
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.profile.profile import Line
from simulators.moments import boot_ns
from simulators.port import NotThatSpeed, RealLine


@pytest.fixture
def wire() -> Iterator[tuple[int, Path]]:
    """The gateway's end, and the port."""
    master, slave = os.openpty()
    tty.setraw(master)
    path = Path(os.ttyname(slave))
    os.close(slave)
    try:
        yield master, path
    finally:
        os.close(master)


async def test_what_comes_is_heard_and_what_is_said_goes_out_whole(wire: tuple[int, Path]) -> None:
    """Without slices: a gap would end an RTU frame."""
    master, path = wire
    with RealLine(path, Line(19200, parity="E")) as line:
        os.write(master, b"\x01\x04\x00")
        assert (await line.receive())[0] == b"\x01\x04\x00"
        assert await line.send(bytes(range(200)), boot_ns()) is not None
        assert os.read(master, 4096) == bytes(range(200))


def test_it_is_set_as_the_profile_says(wire: tuple[int, Path]) -> None:
    """Speed and stop bits; a pty keeps no parity."""
    _, path = wire
    with RealLine(path, Line(4800, stop_bits=2)):
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK) if os.geteuid() == 0 else None
        if fd is not None:  # root may open what is held alone
            settings = termios.tcgetattr(fd)
            os.close(fd)
            assert settings[4:6] == [termios.B4800, termios.B4800]
            assert settings[2] & termios.CSTOPB


def test_a_speed_that_has_no_name_is_refused(wire: tuple[int, Path]) -> None:
    """As an OSError, which the command tells."""
    with pytest.raises(NotThatSpeed, match="12345"):
        RealLine(wire[1], Line(12345))


def test_a_port_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """No pty is made in its place."""
    with pytest.raises(FileNotFoundError):
        RealLine(tmp_path / "none", Line())
    assert not (tmp_path / "none").exists()


async def test_a_port_that_is_pulled_out_ends_it() -> None:
    """It would read nothing, at once, for ever."""
    master, slave = os.openpty()
    path = Path(os.ttyname(slave))
    os.close(slave)
    with RealLine(path, Line()) as line:
        os.close(master)
        with pytest.raises(OSError, match=r"gone|Input/output"):
            await line.receive()
