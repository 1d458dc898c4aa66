"""What a fault is: an act on a target, on a timetable. Pure; `simulators.faults` has the kinds."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import TypeAlias

from gateway.protocols.modbus_frame import Frame, encode_rtu, encode_tcp
from simulators.timetable import Timetable


class Then(Enum):
    """What becomes of a step's bytes, or after them."""

    GO_ON = "they are sent"
    HOLD = "they are kept until the next reply"
    HANG_UP = "they are sent, then the connection is closed"


@dataclass(frozen=True, slots=True)
class Step:
    """Some bytes, and when: counted from the moment when the right reply would have begun."""

    after_ms: float
    data: bytes
    then: Then = Then.GO_ON


@dataclass(frozen=True, slots=True)
class Exchange:
    """A right answer and what it takes to spoil it."""

    framing: str  # rtu | tcp | stream | talk
    request: bytes  # as it came on the wire; b"" of a stream
    frame: Frame  # of the right reply; of a stream or a talk only its pdu is used
    timeout_ms: float  # after which the gateway gives up
    chance: Random
    turn: int = 0  # how many exchanges of this window the fault has spoiled before

    @property
    def good(self) -> bytes:
        """The right bytes."""
        return self.wire(self.frame.pdu)

    def wire(self, pdu: bytes, *, unit_id: int = 0, tid: int = 0) -> bytes:
        """A reply with a good checksum, in the name of the next unit_id or transaction but so many."""
        if self.framing in ("stream", "talk"):
            return pdu
        tid = ((self.frame.tid or 0) + tid) & 0xFFFF
        frame = Frame((self.frame.unit_id + unit_id) & 0xFF, pdu, tid)
        return encode_tcp(frame) if self.framing == "tcp" else encode_rtu(frame)


Steps: TypeAlias = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Spoiled:
    """Of a reply: how, whether the gateway may still make the right values of it, and how the device waits."""

    steps: Callable[[Exchange], Steps]
    may_be_right: bool = False
    queue: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """Of requests: which are refused, by function or by an address that they touch, each as (first, last)."""

    exception: int
    functions: frozenset[int] = frozenset()
    addresses: tuple[tuple[int, int], ...] = ()

    def hits(self, function: int, first: int, last: int) -> bool:
        """Whether a request is refused."""
        return function in self.functions or any(low <= last and first <= high for low, high in self.addresses)


@dataclass(frozen=True, slots=True)
class Bent:
    """Of a field: what its numbers become; `stuck` keeps the first one."""

    shift: float = 0.0
    stuck: bool = False
    none: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """Of a bus: vanish, refuse or half_open."""

    word: str


Act: TypeAlias = Spoiled | Refused | Bent | State


@dataclass(frozen=True, slots=True)
class Fault:
    """What, of whom, when."""

    target: str
    kind: str
    timetable: Timetable
    act: Act
    written: str  # its keys, for people


@dataclass(frozen=True, slots=True)
class Target:
    """What a name stands for: a `device`, a `field`, or a `bus`; with the transport of its bus (`gateway.site.Bus`)."""

    what: str
    transport: str
