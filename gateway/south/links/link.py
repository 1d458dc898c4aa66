"""What a bus can do: one exchange at a time. Our links and pymodbus implement `Link`; `Guard` wraps any of them."""

from dataclasses import dataclass
from typing import Protocol

from gateway.errors import LinkDown
from gateway.profile.profile import ModbusSource
from gateway.protocols.modbus_frame import Frame
from gateway.protocols.modbus_pdu import Request

NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Reply:
    """The data of a checked response, and when (boot ns)."""

    data: bytes
    t_sent_ns: int
    t_first_ns: int  # the first byte of the reply
    t_done_ns: int


@dataclass(frozen=True, slots=True)
class Heard:
    """What came on a wire and answered no request: whole frames, and when the last byte of any kind came (boot ns)."""

    frames: tuple[Frame, ...]
    last_byte_ns: int  # 0 before the first


class NotSent(LinkDown):
    """The wire was gone before the request went out: no reply is owed, and the device asked has no part in it.

    Any other LinkDown came while a device was waited for. One that always comes for the same device is its doing: some
    converters hang up on a request that they do not like.
    """


@dataclass(frozen=True, slots=True)
class Manner:
    """How a device wants to be asked."""

    min_gap_ns: int = 0  # silence before each request
    wake: bytes = b""  # sent before it, for a device that sleeps
    wake_ns: int = 0  # from the last byte of that to the request


PLAIN = Manner()


def manner_of(source: ModbusSource) -> Manner:
    """What a profile says of it."""
    return Manner(round(source.min_gap_ms * NS_PER_MS), source.wake, source.wake_ms * NS_PER_MS)


class Link(Protocol):
    """One bus's wire. Raises NoReply, BadReply, DeviceException, LinkDown and nothing else; dead after LinkDown."""

    async def request(self, unit_id: int, request: Request, deadline_ns: int) -> Reply:
        """One exchange; what the answer must look like follows from `request` (modbus_pdu.reply_length)."""
        ...

    def wake(self, data: bytes) -> None:
        """Send bytes that ask nothing; what comes back is left to `drain`. Raises NotSent."""
        ...

    def drain(self) -> Heard | None:
        """What was heard since the last call: taken, not waited for; None from a link that cannot see its input."""
        ...

    async def close(self) -> None:
        """Idempotent; never raises."""
        ...
