"""All that our own code does not decide: time, bytes on a wire, a broker, a slow disk. Fakes: `gateway.testing`.

A Protocol that only one room uses lives in that room (`Link` in south, `Backlog` in north, `Store` in ioc).
Chance is not here: pass a seeded `random.Random`. Nor is the disk: SQLite opens its own files; faults go in by
its VFS (tests/crash) and its slowness by `Worker`.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from gateway.model import BootMs, UtcMs

T = TypeVar("T")


class Clock(Protocol):
    """Time as the kernel tells it. Boot time counts from power-on, suspend included, and never steps."""

    def boot_ms(self) -> BootMs:
        """Milliseconds of CLOCK_BOOTTIME: what rows are stamped with and deadlines are set in."""
        ...

    def boot_ns(self) -> int:
        """The same clock in nanoseconds: what a wire is timed with."""
        ...

    def utc_ms(self) -> UtcMs:
        """The wall clock, right or wrong."""
        ...

    def synchronised(self) -> bool:
        """Whether the wall clock may be believed, by the site's `[clock] trust`."""
        ...

    async def sleep_until(self, at: BootMs) -> None:
        """Coarse: late by up to a millisecond or two."""
        ...

    async def wire_wait(self, until_ns: int) -> None:
        """Fine: a timerfd on CLOCK_BOOTTIME, for silences on a wire; returns at once when that time is past."""
        ...


class ByteStream(Protocol):
    """A serial port or a TCP connection, opened."""

    async def read(self, max_bytes: int, deadline_ns: int) -> tuple[bytes, int]:
        """Some bytes and when they came (boot ns); b"" when the deadline passed first; raises LinkDown."""
        ...

    def write(self, data: bytes) -> None:
        """Hand bytes to the kernel; raises LinkDown."""
        ...

    def drain_input(self) -> bytes:
        """Take what is waiting, without waiting, and say what it was; raises LinkDown."""
        ...

    async def close(self) -> None:
        """Idempotent; never raises."""
        ...


class Worker(Protocol):
    """One thread that owns one thing that blocks; inline in simulation."""

    async def run(self, step: Callable[[], T]) -> T:
        """What `step` returns or raises; steps run one at a time, in order; never abandoned half-way by a cancel."""
        ...

    def close(self) -> None:
        """After the last step; a later step starts it again. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Tls:
    """Always verified, name included; there is no switch. Paths of PEM files; certificate and key for mTLS."""

    ca: str
    certificate: str = ""
    key: str = ""
    crl: str = ""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where to connect, and as whom."""

    host: str
    port: int
    client_id: str
    tls: Tls | None = None
    username: str = ""
    password: str = field(default="", repr=False)
    keepalive_s: int = 15


@dataclass(frozen=True, slots=True)
class Message:
    """One MQTT message that came in; `ack` is valid on its own connection only."""

    topic: str
    payload: bytes
    connection: int  # serial number of the connection it came on
    mid: int
    qos: int = 1
    retain: bool = False


class Connection(Protocol):
    """One MQTT 5 connection, from CONNACK to its end; never reused."""

    receive_maximum: int  # of the server, from CONNACK
    maximum_packet_bytes: int  # of the server, from CONNACK; a very large number when it set none

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> int:
        """The PUBACK's reason code, 16 and >= 128 included; raises ConnectionLost."""
        ...

    async def subscribe(self, topic: str) -> None:
        """Returns after the SUBACK; raises Refused or ConnectionLost."""
        ...

    def messages(self) -> AsyncIterator[Message]:
        """Until ConnectionLost, which it raises; bounded by our Receive Maximum."""
        ...

    def ack(self, message: Message) -> None:
        """Acknowledge; a message of an earlier connection is ignored, never acked."""
        ...

    async def close(self, *, reason: int = 0) -> None:
        """DISCONNECT (0 = no will is sent) and end; idempotent, never raises."""
        ...


class Connect(Protocol):
    """How to get a connection."""

    async def __call__(
        self, broker: Broker, *, will: tuple[str, bytes] | None = None, receive_maximum: int = 100
    ) -> Connection:
        """Raises ConnectionLost or Refused with the broker's reason."""
        ...
