"""A serial line as a device sees it: a pty that is as slow as a wire. A link at the site's port path leads to it.

A pty has no speed: what one side writes the other has at once. So the device waits: a request counts as heard when its
last character would have arrived, and a reply leaves in slices, each when its last character would have been sent.

A pty is also too faithful: it keeps what is written while nobody listens, and hands it over, old, to whoever opens it
next. A wire does not. The simulator therefore keeps no slave end open, so that the kernel tells it (POLLHUP) when
nobody has one; then it sends nothing, and what was sent but not read is thrown away.

A pty passes bytes on whatever its settings are. The device's end can read the settings of the other end, though, so a
client at another baud hears, and is heard, as on a wire: garbage (`simulators.uart`). What can be told is what Linux
keeps for a pty: the baud, also an odd one, and whether the parity is odd. It forces 8 data bits and drops "parity on",
so that even and no parity look alike. A client that sets nothing finds the line's own settings.
"""

import asyncio
import fcntl
import os
import select
import struct
import termios
import tty
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.profile.profile import Line
from simulators.moments import Alarm, Instant, boot_ns, now, wake
from simulators.uart import heard

SLICE_NS = 2_000_000  # a reply is written in pieces of about this long, as an adapter hands them on
RETRY_NS = 10_000_000  # how often to see whether somebody has opened the line
READ_BYTES = 4096
_TERMIOS2 = struct.Struct("=4IB19s2I")  # asm-generic: four sets of flags, discipline, characters, speeds in and out
_TCGETS2, _TCSETS2, _BOTHER = 0x802C542A, 0x402C542B, 0o10000  # any number as a speed, not only the named ones
_CBAUD = 0o10017


class PortTaken(OSError):
    """At the port's path stands something that is not ours to replace."""


class SerialLine:
    """One line, the device's end. One task uses it; `vanish` and `come_back` may be called beside it."""

    def __init__(self, path: Path, line: Line) -> None:
        self.path = path
        self.endpoint = str(path)
        self.line = line
        self.char_ns = character_ns(line)
        free(path)
        self._master: int | None
        self._master, self._slave_path = _open_pty(line)
        self._spare: tuple[int, str] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._was_listened_to = False
        self._alarm = Alarm()
        try:
            path.symlink_to(self._slave_path)
        except OSError:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._unlink()
        self._close()

    def listened_to(self) -> bool:
        """Whether anybody has the line open; where nobody has, what nobody read is forgotten."""
        if self._master is None:
            return False
        poll = select.poll()
        poll.register(self._master, 0)
        open_now = not any(event & select.POLLHUP for _, event in poll.poll(0))
        if self._was_listened_to and not open_now:
            _forget(self._slave_path)
        self._was_listened_to = open_now
        return open_now

    def client(self) -> Line:
        """How the other end is set, as far as a pty tells; the rest as the line."""
        if self._master is None:
            return self.line
        settings = _TERMIOS2.unpack(fcntl.ioctl(self._master, _TCGETS2, bytes(_TERMIOS2.size)))
        odd = settings[2] & termios.PARODD
        parity = "O" if odd else "N" if self.line.parity == "O" else self.line.parity
        return replace(self.line, baud=settings[-1] or self.line.baud, parity=parity)

    async def receive(self, until_ns: int | None = None) -> tuple[bytes, int]:
        """Some bytes as the device hears them, and when they came (boot ns); b"" when it has become `until_ns`."""
        while until_ns is None or boot_ns() < until_ns:
            data = self._read() if self.listened_to() else None
            if data:
                return heard(data, self.client(), self.line), boot_ns()
            if data is None:
                retry_ns = boot_ns() + RETRY_NS
                await self.until(retry_ns if until_ns is None else min(retry_ns, until_ns))
            else:
                await self._readable(until_ns)
        return b"", until_ns

    async def send(self, data: bytes, begin_ns: int) -> Instant | None:
        """Send at line speed, the first bit at `begin_ns`; when the first byte left, or None when not all was heard.

        What comes in meanwhile is lost: a device on a two-wire bus does not listen while it speaks. A client at
        another baud has heard nothing, whatever it got.
        """
        first: Instant | None = None
        client = self.client()
        sent, done = heard(data, self.line, client), 0
        for end in slice_ends(len(sent), self.char_ns):
            await self.until(begin_ns + end * self.char_ns)
            if not self.listened_to():
                return None
            self.drop_input()
            first = first or now()
            if not self._write(sent[done:end]):
                return None
            done = end
        return first if sent == data else None

    async def until(self, at_ns: int) -> None:
        """Wait for a boot time."""
        await self._alarm.until(at_ns)

    def drop_input(self) -> None:
        """Throw away what is waiting to be read."""
        while self._read():
            pass

    def turn(self, state: str) -> None:
        """The port is gone in the state "vanish", and there in any other. Told again, it changes nothing."""
        if state == "vanish":
            self.vanish()
        else:
            self.come_back()

    def vanish(self) -> None:
        """Take the port away: the link goes, and who has the line open finds it hung up."""
        if self._master is None:
            return
        self._unlink()
        master, self._master = self._master, None
        self._spare = _open_pty(self.line)  # before the other is closed: its number is still taken
        if self._waiter is not None:
            asyncio.get_running_loop().remove_reader(master)
            wake(self._waiter)
        os.close(master)

    def come_back(self) -> None:
        """As after a replug: the same link leads to another terminal."""
        if self._spare is not None:
            (self._master, self._slave_path), self._spare = self._spare, None
            self._was_listened_to = False
            self.path.symlink_to(self._slave_path)

    def _read(self) -> bytes | None:
        """b"" when there is nothing, None when nobody has the line open."""
        if self._master is None:
            return None
        try:
            return os.read(self._master, READ_BYTES) or None
        except BlockingIOError:
            return b""
        except OSError:  # EIO: the last one has closed it
            return None

    def _write(self, data: bytes) -> bool:
        if self._master is None:
            return False
        try:
            return os.write(self._master, data) == len(data)
        except OSError:  # full, because nobody reads: on a wire it would be gone too
            return False

    async def _readable(self, until_ns: int | None) -> None:
        """Until there is something to read, or the port has gone, or it is time."""
        fd = self._master
        if fd is None:
            return
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        loop.add_reader(fd, wake, self._waiter)
        try:
            if until_ns is None:
                await self._waiter
            else:
                await self._alarm.until(until_ns, self._waiter)
        finally:
            self._waiter = None
            if self._master == fd:
                loop.remove_reader(fd)

    def _unlink(self) -> None:
        if self.path.is_symlink() and str(self.path.readlink()) == self._slave_path:
            self.path.unlink()

    def _close(self) -> None:
        for master in (self._master, self._spare[0] if self._spare else None):
            if master is not None:
                os.close(master)
        self._alarm.close()


def free(path: Path) -> None:
    """Make room for a link: a left-over that leads nowhere is removed; raises PortTaken for anything else."""
    if path.is_symlink() and not path.exists():
        path.unlink()
    elif path.is_symlink() or path.exists():
        raise PortTaken(f"{path} exists, and is not the left-over of a simulator")


def character_ns(line: Line) -> int:
    """How long one character is on the wire: start bit, data, parity, stop bits."""
    bits = 1 + line.bits + (line.parity != "N") + line.stop_bits
    return bits * 1_000_000_000 // line.baud


def slice_ends(size: int, char_ns: int) -> list[int]:
    """Where the pieces of a reply end: the first byte by itself, as it carries the time, then SLICE_NS at a time."""
    step = max(1, SLICE_NS // char_ns)
    return [*range(1, size, step), size] if size else []


def _open_pty(line: Line) -> tuple[int, str]:
    """(master, path of the slave), raw, without echo, set as the line; nobody holds the slave."""
    master, slave = os.openpty()
    tty.setraw(slave)
    settings = list(_TERMIOS2.unpack(fcntl.ioctl(slave, _TCGETS2, bytes(_TERMIOS2.size))))
    settings[2] = settings[2] & ~(_CBAUD | termios.PARODD) | _BOTHER | (termios.PARODD if line.parity == "O" else 0)
    settings[-2:] = line.baud, line.baud
    fcntl.ioctl(slave, _TCSETS2, _TERMIOS2.pack(*settings))
    path = os.ttyname(slave)
    os.close(slave)
    os.set_blocking(master, False)
    return master, path


def _forget(slave_path: str) -> None:
    """Empty the slave's input."""
    slave = os.open(slave_path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        termios.tcflush(slave, termios.TCIFLUSH)
    finally:
        os.close(slave)
