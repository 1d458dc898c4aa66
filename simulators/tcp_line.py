"""The line of serial devices behind a converter that passes bytes on: it hears what the TCP clients write.

One queue: whoever is connected is heard in the order that bytes came, and each answer goes to all who are connected by
then, as such a converter does. The line keeps its speed: an answer has passed the converter when its last character
would have left the device. What a client writes while a device speaks waits in the converter; a client that does not
read, or writes without end, is cut off.
"""

import asyncio
import socket
from types import TracebackType

from gateway.profile.profile import Line
from simulators.line import READ_BYTES, SerialLine, character_ns
from simulators.moments import Alarm, Instant, boot_ns, now, wake

BACKLOG = 16
CLIENTS_MAX = 16
WAITING_BYTES_MAX = 4096  # that the line has not taken yet


class TcpLine(SerialLine):
    """`host:port`, port 0 is any free one: `endpoint` says which. Needs a running loop."""

    def __init__(self, endpoint: str, line: Line) -> None:  # there is no pty: nothing of one is made
        self.line = line
        self.char_ns = character_ns(line)
        self._waiter = None
        self._alarm = Alarm()
        self._clients: list[socket.socket] = []
        self._heard = bytearray()
        self._state = ""
        self._listener: socket.socket | None = None
        self.endpoint = endpoint
        try:
            self._listen()
        except OSError:
            self._alarm.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hang_up()
        self._alarm.close()

    def listened_to(self) -> bool:
        """Whether anybody is connected."""
        return bool(self._clients)

    def client(self) -> Line:
        """The converter is set as the devices are: who is connected has no speed."""
        return self.line

    async def receive(self, until_ns: int | None = None) -> tuple[bytes, int]:
        """As `SerialLine`."""
        while not self._heard:
            if until_ns is not None and boot_ns() >= until_ns:
                return b"", until_ns
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                if until_ns is None:
                    await self._waiter
                else:
                    await self._alarm.until(until_ns, self._waiter)
            finally:
                self._waiter = None
        data = bytes(self._heard)
        self._heard.clear()
        return data, boot_ns()

    async def send(self, data: bytes, begin_ns: int) -> Instant | None:
        """To all who are connected when all of it has passed the line; None when nobody is, or nothing is ever said."""
        await self.until(begin_ns + len(data) * self.char_ns)
        if self._state == "half_open":
            return None
        first = now()
        heard = [self._wrote(client, data) for client in tuple(self._clients)]
        return first if any(heard) else None

    def drop_input(self) -> None:
        """What waits in the converter is not lost."""

    def turn(self, state: str) -> None:
        """In the state "refuse" nobody is connected, in "half_open" nobody is heard or answered."""
        if state == self._state:
            return
        self._state = state
        if state == "refuse":
            self._hang_up()
        elif self._listener is None:
            self._listen()

    def _listen(self) -> None:
        host, _, port = self.endpoint.rpartition(":")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host.strip("[]"), int(port)), family=family, backlog=BACKLOG)
        self._listener.settimeout(0)
        host, port = self._listener.getsockname()[:2]
        self.endpoint = f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"
        asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except OSError:  # gone again before we came to it
            return
        if len(self._clients) >= CLIENTS_MAX:
            client.close()
            return
        client.settimeout(0)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._clients.append(client)
        asyncio.get_running_loop().add_reader(client, self._take, client)

    def _take(self, client: socket.socket) -> None:
        try:
            data = client.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or len(self._heard) + len(data) > WAITING_BYTES_MAX:
            self._cut_off(client)
        elif self._state != "half_open":
            self._heard += data
            if self._waiter is not None:
                wake(self._waiter)

    def _wrote(self, client: socket.socket, data: bytes) -> bool:
        try:
            whole = client.send(data) == len(data)
        except OSError:
            whole = False
        if not whole:
            self._cut_off(client)
        return whole

    def _cut_off(self, client: socket.socket) -> None:
        self._clients.remove(client)
        asyncio.get_running_loop().remove_reader(client)
        client.close()

    def _hang_up(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        for client in tuple(self._clients):
            self._cut_off(client)
        self._heard.clear()
