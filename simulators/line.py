"""A serial line as a device sees it: a pty that is as slow as a wire. A link at the site's port path leads to it.

A pty has no speed: what one side writes the other has at once. So the device waits: a request counts as heard when its
last character would have arrived, and a reply leaves in slices, each when its last character would have been sent.

A pty is also too faithful: it keeps what is written while nobody listens, and hands it over, old, to whoever opens it
next. A wire does not. The simulator therefore keeps no slave end open, so that the kernel tells it (POLLHUP) when
nobody has one; then it sends nothing, and what was sent but not read is thrown away.
"""

import asyncio
import os
import select
import termios
import tty
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.profile.profile import Line
from simulators.moments import Alarm, Instant, boot_ns, now, wake

SLICE_NS = 2_000_000  # a reply is written in pieces of about this long, as an adapter hands them on
RETRY_NS = 10_000_000  # how often to see whether somebody has opened the line
READ_BYTES = 4096


class PortTaken(OSError):
    """At the port's path stands something that is not ours to replace."""


class SerialLine:
    """One line, the device's end. One task uses it."""

    def __init__(self, path: Path, line: Line) -> None:
        self.path = path
        self.char_ns = character_ns(line)
        free(path)
        self._master, self._slave_path = _open_pty()
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
        if self.path.is_symlink() and str(self.path.readlink()) == self._slave_path:
            self.path.unlink()
        self._close()

    def listened_to(self) -> bool:
        """Whether anybody has the line open; where nobody has, what nobody read is forgotten."""
        poll = select.poll()
        poll.register(self._master, 0)
        open_now = not any(event & select.POLLHUP for _, event in poll.poll(0))
        if self._was_listened_to and not open_now:
            _forget(self._slave_path)
        self._was_listened_to = open_now
        return open_now

    async def receive(self) -> tuple[bytes, int]:
        """Some bytes and when they came (boot ns); waits as long as it takes."""
        while True:
            data = self._read() if self.listened_to() else None
            if data:
                return data, boot_ns()
            if data is None:
                await self.until(boot_ns() + RETRY_NS)
            else:
                await self._readable()

    async def send(self, data: bytes, begin_ns: int) -> Instant | None:
        """Send at line speed, the first bit at `begin_ns`; when the first byte left, or None when not all was heard.

        What comes in meanwhile is lost: a device on a two-wire bus does not listen while it speaks.
        """
        first: Instant | None = None
        done = 0
        for end in slice_ends(len(data), self.char_ns):
            await self.until(begin_ns + end * self.char_ns)
            if not self.listened_to():
                return None
            self.drop_input()
            first = first or now()
            if not self._write(data[done:end]):
                return None
            done = end
        return first

    async def until(self, at_ns: int) -> None:
        """Wait for a boot time."""
        await self._alarm.until(at_ns)

    def drop_input(self) -> None:
        """Throw away what is waiting to be read."""
        while self._read():
            pass

    def _read(self) -> bytes | None:
        """b"" when there is nothing, None when nobody has the line open."""
        try:
            return os.read(self._master, READ_BYTES) or None
        except BlockingIOError:
            return b""
        except OSError:  # EIO: the last one has closed it
            return None

    def _write(self, data: bytes) -> bool:
        try:
            return os.write(self._master, data) == len(data)
        except OSError:  # full, because nobody reads: on a wire it would be gone too
            return False

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._master, wake, ready)
        try:
            await ready
        finally:
            loop.remove_reader(self._master)

    def _close(self) -> None:
        os.close(self._master)
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


def _open_pty() -> tuple[int, str]:
    """(master, path of the slave), raw and without echo; nobody holds the slave."""
    master, slave = os.openpty()
    tty.setraw(slave)
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
