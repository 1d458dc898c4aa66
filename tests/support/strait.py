"""A TCP port that leads to another one and can be made narrow: stalled, slow, sliced, cut; and what passed is counted.

    with Strait(broker.port) as strait:
        ... strait.port ...
        strait.stalled = True     # connections stay open, nothing gets through either way
        strait.slice_bytes = 1    # so many bytes at a time, each in a segment of its own
        strait.pause_s = 0.01     # after each slice
        strait.cut()              # RST to both sides of all connections
        strait.closed = True      # new connections are cut at once

`traffic` counts as a provider does, on the near side: payload, and 52 bytes for each segment of either direction, pure
acknowledgements included (the kernel's own count, TCP_INFO).
"""

import contextlib
import socket
import struct
import threading
import time
from types import TracebackType
from typing import Self

READ_BYTES = 65_536
HEADERS_BYTES = 52  # IPv4 and TCP with timestamps
LOOK_S = 0.01
MSS_BYTES = 1400
_LINGER_0 = struct.pack("ii", 1, 0)  # close sends RST
_BYTES_AT, _SEGMENTS_AT, _INFO_BYTES = 120, 136, 144  # of struct tcp_info: bytes acked, received; segments out, in


class Strait:
    """One listener; each connection has a thread for each direction."""

    def __init__(self, to: int, *, mss_bytes: int = 0) -> None:
        self.stalled = False
        self.closed = False
        self.slice_bytes = 0
        self.pause_s = 0.0
        self.connections = 0
        self._to = to
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._open: list[tuple[socket.socket, socket.socket]] = []
        self._ended_bytes = 0
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if mss_bytes:
            self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, mss_bytes)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(100)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, name="strait", daemon=True)]

    @property
    def traffic(self) -> int:
        """Bytes of all connections so far, headers included."""
        with self._lock:
            return self._ended_bytes + sum(_bytes_of(near) for near, _ in self._open)

    def cut(self) -> None:
        """Reset all connections."""
        with self._lock:
            pairs = list(self._open)
        for pair in pairs:
            self._end(pair, reset=True)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                near, _ = self._listener.accept()
            except OSError:  # closed: the test is over
                return
            self.connections += 1
            try:
                if self.closed:
                    raise ConnectionRefusedError
                far = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                _close(near, reset=True)
                continue
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = near, far
            with self._lock:
                self._open.append(pair)
            for source, sink in ((near, far), (far, near)):
                thread = threading.Thread(target=self._pump, args=(pair, source, sink), name="strait", daemon=True)
                self._threads.append(thread)
                thread.start()

    def _pump(self, pair: tuple[socket.socket, socket.socket], source: socket.socket, sink: socket.socket) -> None:
        reset = False
        try:
            while self._may_read() and (data := source.recv(READ_BYTES)):
                for piece in self._pieces(data):
                    self._may_read()
                    sink.sendall(piece)
                    if self.pause_s:
                        self._over.wait(self.pause_s)
        except OSError:  # one end is gone: so is the other
            reset = True
        self._end(pair, reset=reset)

    def _may_read(self) -> bool:
        while self.stalled and not self._over.is_set():
            time.sleep(LOOK_S)
        return not self._over.is_set()

    def _pieces(self, data: bytes) -> list[bytes]:
        size = self.slice_bytes or len(data)
        return [data[at : at + size] for at in range(0, len(data), size)]

    def _end(self, pair: tuple[socket.socket, socket.socket], *, reset: bool) -> None:
        with self._lock:
            if pair not in self._open:
                return
            self._open.remove(pair)
            self._ended_bytes += _bytes_of(pair[0])
        for one in pair:
            _close(one, reset=reset)


def _bytes_of(one: socket.socket) -> int:
    info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    acked, received = struct.unpack_from("QQ", info, _BYTES_AT)
    out, came = struct.unpack_from("II", info, _SEGMENTS_AT)
    return int(acked + received + HEADERS_BYTES * (out + came))


def _close(one: socket.socket, *, reset: bool) -> None:
    with contextlib.suppress(OSError):  # it is gone already
        if reset:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
        one.shutdown(socket.SHUT_RDWR)
    one.close()
