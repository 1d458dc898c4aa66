"""Everything that can go wrong, by who must act.

    GatewayError
    +-- Invalid            the author of a config or profile: all its problems at once
    +-- DeviceError        the device: NoReply, BadReply, DeviceException; ProtocolFailed (its module)
    +-- LinkDown           the bus: port gone, endpoint unreachable; BusBusy (no time for this exchange)
    +-- SpoolError         the disk: SpoolFull, SpoolFailed, SpoolInUse
    +-- PeerError          the broker or the IOC: ConnectionLost, Refused, Malformed
    +-- StoreError         the IOC's database: StoreBusy (retry), StoreRefused (bisect)

Each class has a stable `code`; `gateway.text.words` turns a code into the next step, in Vietnamese or English.
"""

from dataclasses import dataclass
from typing import ClassVar


class GatewayError(Exception):
    """Base of the tree."""

    code: ClassVar[str] = "internal"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file, and where."""

    file: str
    line: int
    path: str  # "device[2].unit_id"
    code: str
    detail: str


class Invalid(GatewayError):
    """A file was refused; carries every problem, not the first."""

    code = "invalid"

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = problems


class DeviceError(GatewayError):
    """The device, not the bus, is at fault."""


class NoReply(DeviceError):
    """Nothing came before the deadline."""

    code = "no_reply"


class BadReply(DeviceError):
    """Something came that is not an answer to this request."""

    code = "bad_reply"


class DeviceException(DeviceError):
    """The device said no (Modbus exception response)."""

    code = "device_exception"

    def __init__(self, exception: int) -> None:
        super().__init__(exception)
        self.exception = exception


class ProtocolFailed(DeviceError):
    """The module that speaks the device's protocol cannot be loaded, raised, or knew no end."""

    code = "protocol_failed"


class LinkDown(GatewayError):
    """The bus itself is gone: no device on it can be blamed."""

    code = "link_down"


class BusBusy(LinkDown):
    """The bus is there, and had no time for an exchange between its polls."""

    code = "bus_busy"


class SpoolError(GatewayError):
    """The gateway's own disk."""


class SpoolFull(SpoolError):
    """No room even after giving up the oldest."""

    code = "spool_full"


class SpoolFailed(SpoolError):
    """The disk answers with errors."""

    code = "spool_failed"


class SpoolInUse(SpoolError):
    """Another process holds the spool; it is never salvaged from under it."""

    code = "spool_in_use"

    def __init__(self, pid: int) -> None:
        super().__init__(f"in use by pid {pid}")
        self.pid = pid


class PeerError(GatewayError):
    """The other end of MQTT."""


class ConnectionLost(PeerError):
    """The connection is over; make a new one. `reason` is the server's DISCONNECT reason, 0 when it gave none.

    `hung_up`: the server closed it, and said nothing.
    """

    code = "connection_lost"

    def __init__(self, detail: str = "", reason: int = 0, *, hung_up: bool = False) -> None:
        super().__init__(f"{detail} ({reason})" if reason else detail)
        self.detail = detail
        self.reason = reason
        self.hung_up = hung_up


class Refused(PeerError):
    """The other end said no: a CONNACK, SUBACK or TLS refusal, with its reason."""

    code = "refused"

    def __init__(self, reason: int, detail: str) -> None:
        super().__init__(f"{detail} ({reason})")
        self.reason = reason


class Malformed(PeerError):
    """A message breaks docs/specs/wire.md; `why` is a word of receipts: crc, schema, limit, version, gateway."""

    code = "malformed"

    def __init__(self, why: str, detail: str) -> None:
        super().__init__(f"{why}: {detail}")
        self.why = why


class StoreError(GatewayError):
    """The IOC's database."""


class StoreBusy(StoreError):
    """Try again later; nothing was decided."""

    code = "store_busy"


class StoreRefused(StoreError):
    """Some row in this request will never be taken; the others of it are stored.

    `reason`: "field type conflict" | "unable to parse" | "beyond retention policy". `dropped`: how many rows, when the
    database counts those of this reason alone; else 0.
    """

    code = "store_refused"

    def __init__(self, reason: str, detail: str = "", dropped: int = 0) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.dropped = dropped
