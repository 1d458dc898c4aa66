"""A serial port of this machine instead of a pty: a second adapter, wired to the gateway's own.

pyserial has one owner (the gateway), so the few settings that are needed here are made by hand. The wire has its speed,
and a reply goes out whole: in slices it would have gaps, and a gap ends an RTU frame. That a
port is gone ends the simulators: what they said then would be heard by nobody.
"""

import errno
import fcntl
import os
import termios
import tty
from pathlib import Path
from types import TracebackType

from gateway.profile.profile import Line
from simulators.line import READ_BYTES, SerialLine, character_ns
from simulators.moments import Alarm, Instant, now

_PARITY = {"N": 0, "E": termios.PARENB, "O": termios.PARENB | termios.PARODD}


class NotThatSpeed(OSError):
    """Linux has no name for this baud."""


class RealLine(SerialLine):
    """One port, opened for us alone; raises OSError where that cannot be."""

    def __init__(self, path: Path, line: Line) -> None:  # a port is there already: nothing of a pty is made
        self.path = path
        self.endpoint = str(path)
        self.line = line
        self.char_ns = character_ns(line)
        self._waiter = None
        self._spare = None
        self._master = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._alarm = Alarm()
        try:
            fcntl.ioctl(self._master, termios.TIOCEXCL)
            _set(self._master, line)
        except (OSError, termios.error):
            self._close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def listened_to(self) -> bool:
        """Nobody can know; a wire does not."""
        return True

    def client(self) -> Line:
        """Whoever is set otherwise hears garbage without our help."""
        return self.line

    async def send(self, data: bytes, begin_ns: int) -> Instant | None:
        """Whole, at `begin_ns`."""
        await self.until(begin_ns)
        self.drop_input()
        first = now()
        return first if self._write(data) else None

    def turn(self, state: str) -> None:
        """A real port vanishes when it is pulled out, not when it is told to."""

    def _read(self) -> bytes:
        if self._master is None:
            return b""
        try:
            data = os.read(self._master, READ_BYTES)
        except BlockingIOError:
            return b""
        if not data:  # hung up; it would be so for ever
            raise OSError(errno.EIO, "the port is gone", str(self.path))
        return data


def _set(fd: int, line: Line) -> None:
    """Raw, at these settings, without flow control."""
    speed = getattr(termios, f"B{line.baud}", None)
    if speed is None:
        raise NotThatSpeed(f"no speed of {line.baud} baud here")
    tty.setraw(fd)
    settings = termios.tcgetattr(fd)
    settings[2] &= ~(termios.CSIZE | termios.PARENB | termios.PARODD | termios.CSTOPB | termios.CRTSCTS)
    settings[2] |= termios.CLOCAL | termios.CREAD | (termios.CS8 if line.bits == 8 else termios.CS7)  # noqa: PLR2004 - 8 bits
    settings[2] |= _PARITY[line.parity] | (termios.CSTOPB if line.stop_bits == 2 else 0)  # noqa: PLR2004 - 2 stop bits
    settings[4:6] = speed, speed
    termios.tcsetattr(fd, termios.TCSANOW, settings)
