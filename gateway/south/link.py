"""What a bus can do: one exchange at a time. Our RTU and TCP links and pymodbus implement `Link`; `Guard` wraps any of them."""

from dataclasses import dataclass
from typing import Protocol

from gateway.protocols.modbus_pdu import Request


@dataclass(frozen=True, slots=True)
class Reply:
    """The data of a checked response, and when (boot ns)."""

    data: bytes
    t_sent_ns: int
    t_first_ns: int  # the first byte of the reply
    t_done_ns: int


class Link(Protocol):
    """One bus's wire. Raises NoReply, BadReply, DeviceException, LinkDown and nothing else."""

    async def request(self, unit_id: int, request: Request, deadline_ns: int) -> Reply:
        """One exchange; what the answer must look like follows from `request` (modbus_pdu.reply_length)."""
        ...

    def drain(self) -> bytes:
        """What came unasked since the last exchange: taken, not waited for. A link that cannot see its input says b""."""
        ...

    async def close(self) -> None:
        """Idempotent; never raises."""
        ...
