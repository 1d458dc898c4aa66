"""Open a serial port or a TCP connection as a ByteStream. The only user of pyserial.

pyserial opens and configures; bytes then go by `os.read` and `os.write` on the descriptor, woken by the event loop: a
third of the CPU of pyserial's own read in a thread, and a port that vanishes is known at once. Each chunk carries the
time at which it was read. A callback that fails takes itself out of the loop first: a dead descriptor is always ready.
"""

import asyncio
import contextlib
import fcntl
import os
import socket
import termios
from array import array
from collections import deque
from collections.abc import Awaitable, Callable
from errno import EAGAIN, EBUSY
from functools import partial

import serial
from serial.rs485 import RS485Settings

from gateway.errors import BadReply, LinkDown
from gateway.model import BootMs
from gateway.profile.profile import Line
from gateway.seams import ByteStream, Clock
from gateway.site import Bus

CHUNK_BYTES = 4096
CONNECT_TIMEOUT_S = 5.0
CONVERTER_TELLS_MS = 300  # after it was connected to
HELD_MAX_BYTES = 16_384  # then reading stops until someone takes them: the kernel's buffer is bounded too
UNANSWERED_MAX_MS = 10_000  # TCP_USER_TIMEOUT: bytes that a vanished peer never acknowledged
TIOCGRS485 = 0x542E  # asm-generic/ioctls.h
SER_RS485_ENABLED = 1


async def open_port(bus: Bus, clock: Clock) -> "SerialStream":
    """The serial port of a bus; raises LinkDown."""
    return await open_serial(bus.endpoint, bus.line, clock, rs485=bus.rs485)


async def open_serial(path: str, line: Line, clock: Clock, *, rs485: bool = False) -> "SerialStream":
    """Opened for us alone, input flushed, low latency where the driver has it; raises LinkDown.

    rs485: the kernel switches the direction of the line, by RTS, around everything that is sent; LinkDown when the
    driver does not do it.
    """
    try:
        port = await asyncio.to_thread(_open_port, path, line, rs485=rs485)
    except (OSError, ValueError, termios.error) as error:
        raise LinkDown(f"serial port {path} cannot be opened: {_why(error)}") from None
    return SerialStream(port, path, clock)


async def open_tcp(host: str, port: int, clock: Clock, timeout_s: float) -> ByteStream:
    """Connected; raises LinkDown."""
    try:
        async with asyncio.timeout(timeout_s):
            connection = await _connect(host, port)
    except TimeoutError:
        raise LinkDown(f"{host}:{port} did not accept within {timeout_s:g} s") from None
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that DNS cannot even be asked for
        raise LinkDown(f"{host}:{port} cannot be reached: {_why(error)}") from None
    return FdStream(connection.fileno(), f"{host}:{port}", clock, partial(_close_socket, connection))


async def open_talk(bus: Bus, clock: Clock) -> "SerialStream | ConverterStream":
    """What serial devices are asked through: a port, or a converter that passes bytes on; raises LinkDown.

    Some converters keep what their line said while nobody was connected, and tell it to the next one. It comes at once.
    """
    if bus.serial:
        return await open_port(bus, clock)
    host, _, port = bus.endpoint.rpartition(":")
    stream = await open_tcp(host.strip("[]"), int(port), clock, CONNECT_TIMEOUT_S)
    try:
        await clock.sleep_until(BootMs(clock.boot_ms() + CONVERTER_TELLS_MS))
        stream.drain_input()
    except BaseException:
        await stream.close()
        raise
    return ConverterStream(stream)


class ConverterStream:
    """`ByteStream` through a converter; its speed is its own."""

    def __init__(self, stream: ByteStream) -> None:
        self.read, self.write = stream.read, stream.write
        self.drain_input, self.close = stream.drain_input, stream.close

    async def set_baud(self, baud: int) -> None:
        """Never: raises BadReply, which ends the talk."""
        raise BadReply(f"{baud} baud: the speed of a converter cannot be changed from here")


class FdStream:
    """`ByteStream` over a descriptor that the event loop can wait for; owns it through `close_it`."""

    def __init__(self, fd: int, name: str, clock: Clock, close_it: Callable[[], Awaitable[None]]) -> None:
        self._fd = fd
        self._name = name
        self._clock = clock
        self._close_it = close_it
        self._loop = asyncio.get_running_loop()
        self._held: deque[tuple[bytes, int]] = deque()
        self._held_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._reading = False
        self._down = ""
        self._closed = False
        self._listen()

    async def read(self, max_bytes: int, deadline_ns: int) -> tuple[bytes, int]:
        """As `ByteStream`; one reader at a time."""
        if not self._held and not self._down:
            await self._wait(deadline_ns)
        if self._held:
            return self._take(max_bytes)
        if self._down:
            raise LinkDown(self._down)
        return b"", self._clock.boot_ns()

    def write(self, data: bytes) -> None:
        """As `ByteStream`; a frame always fits in the kernel's buffer, unless nobody takes what was sent before."""
        if self._down:
            raise LinkDown(self._down)
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            self._fail(f"{self._name}: {error}")
            raise LinkDown(self._down) from None
        if written < len(data):
            self._fail(f"{self._name} takes no more bytes")
            raise LinkDown(self._down)

    def drain_input(self) -> bytes:
        """As `ByteStream`."""
        if not self._down:
            self._read_once()
        data = b"".join(chunk for chunk, _ in self._held)
        self._held.clear()
        self._held_bytes = 0
        if not data and self._down:
            raise LinkDown(self._down)
        self._listen()
        return data

    async def close(self) -> None:
        """As `ByteStream`. Closing a tty may wait for its output to drain, so a port is closed in a thread."""
        if self._closed:
            return
        self._closed = True
        self._fail(f"{self._name} was closed")
        with contextlib.suppress(OSError, termios.error):  # nothing is left to do with a port that fails to close
            await self._close_it()

    async def _wait(self, deadline_ns: int) -> None:
        timeout_s = (deadline_ns - self._clock.boot_ns()) / 1e9
        if timeout_s <= 0:
            self._read_once()
            return
        self._listen()
        self._waiter = self._loop.create_future()
        timer = self._loop.call_later(timeout_s, self._wake)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _read_once(self) -> None:
        try:
            data = os.read(self._fd, CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(f"{self._name} is gone: {error}")
            return
        if not data:
            self._fail(f"{self._name} is gone: the other end closed it")
            return
        self._held.append((data, self._clock.boot_ns()))
        self._held_bytes += len(data)
        if self._held_bytes >= HELD_MAX_BYTES:
            self._deafen()
        self._wake()

    def _take(self, max_bytes: int) -> tuple[bytes, int]:
        chunk, at_ns = self._held.popleft()
        if len(chunk) > max_bytes:
            self._held.appendleft((chunk[max_bytes:], at_ns))
            chunk = chunk[:max_bytes]
        self._held_bytes -= len(chunk)
        self._listen()
        return chunk, at_ns

    def _listen(self) -> None:
        if not self._reading and not self._down and self._held_bytes < HELD_MAX_BYTES:
            self._loop.add_reader(self._fd, self._read_once)
            self._reading = True

    def _deafen(self) -> None:
        if self._reading:
            self._loop.remove_reader(self._fd)
            self._reading = False

    def _fail(self, why: str) -> None:
        self._deafen()
        self._down = self._down or why
        self._wake()


class SerialStream(FdStream):
    """A serial port; its speed can be changed while it is open."""

    def __init__(self, port: serial.Serial, path: str, clock: Clock) -> None:
        super().__init__(port.fileno(), path, clock, partial(asyncio.to_thread, port.close))
        self._port = port

    async def set_baud(self, baud: int) -> None:
        """When everything that was written has left; raises LinkDown."""
        try:
            await asyncio.to_thread(_set_baud, self._port, baud)
        except (OSError, ValueError, termios.error) as error:
            raise LinkDown(f"{self._port.name}: {baud} baud: {_why(error)}") from None


def _set_baud(port: serial.Serial, baud: int) -> None:
    port.flush()
    port.baudrate = baud


def _open_port(path: str, line: Line, *, rs485: bool) -> serial.Serial:
    port = serial.Serial(
        path,
        baudrate=line.baud,
        bytesize=line.bits,
        parity=line.parity,
        stopbits=line.stop_bits,
        timeout=0,
        inter_byte_timeout=0,  # VMIN 1: no bytes is EAGAIN, and an empty read is the end; without it both read empty
        exclusive=True,
    )
    try:
        if rs485:
            _switch_direction(port)
        with contextlib.suppress(OSError, ValueError, NotImplementedError):  # a driver without it is only slower
            port.set_low_latency_mode(True)
        port.reset_input_buffer()
    except BaseException:
        port.close()
        raise
    return port


def _switch_direction(port: serial.Serial) -> None:
    """RTS high while sending, and nothing of our own is heard; raises OSError or ValueError.

    Read back, since without it each reply would be talked over: a driver may take the settings and not heed them.
    """
    port.rs485_mode = RS485Settings(rts_level_for_tx=True, rts_level_for_rx=False, loopback=False)
    settings = array("I", bytes(32))  # struct serial_rs485 of linux/serial.h: the flags come first
    fcntl.ioctl(port.fileno(), TIOCGRS485, settings)
    if not settings[0] & SER_RS485_ENABLED:
        raise OSError("its driver does not switch the direction of an RS-485 line")


async def _connect(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    refused: OSError = OSError("no address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        connection = socket.socket(family, kind, protocol)
        try:
            connection.setblocking(False)  # noqa: FBT003 - the standard library's signature
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_MAX_MS)
            await loop.sock_connect(connection, address)
        except OSError as error:
            connection.close()
            refused = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise refused


def _why(error: Exception) -> str:
    """In a few words: libraries repeat path and number."""
    if not isinstance(error, OSError) or not error.errno or isinstance(error, socket.gaierror):
        return (error.strerror if isinstance(error, OSError) else None) or str(error)
    return "another program uses it" if error.errno in {EAGAIN, EBUSY} else os.strerror(error.errno)


async def _close_socket(connection: socket.socket) -> None:
    connection.close()
