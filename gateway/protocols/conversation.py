"""What a protocol on a serial line is: a generator that says what to do next, and is told what came. Pure.

A talk yields steps and is sent the answer to each: the frame that a `Receive` brought, b"" for every other step and for
a `Receive` that nothing came to in time. It ends with the parts of what it was told, by name: those that the fields of
a profile name. Invariants, kept by whoever runs it (`south.links.conversation_link`):
- a talk begins on a silent line, at the speed of its bus, with nothing left over from before;
- time runs only in the steps: a talk knows no clock, so all its waits are bounded by what it says in them;
- frames that are torn, have a bad checksum, or do not fit, are passed over until the time is up.
A talk that cannot go on raises NoReply (nothing came) or BadReply (what came is not what was asked for).
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.protocols.framing import Framing


@dataclass(frozen=True, slots=True)
class Send:
    """Send these bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Receive:
    """Wait for one whole frame with a good checksum, that `fits`; the time counts from the end of what was sent."""

    framing: Framing
    timeout_ms: int
    fits: Callable[[bytes], bool] | None = field(default=None, compare=False)  # None: every frame; never raises
    dates: bool = True  # it is of the values' time; False: of a frame that comes before there are any (a name)


@dataclass(frozen=True, slots=True)
class SetBaud:
    """From now on at this speed, until the talk ends; what was sent before has left the line by then."""

    baud: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for so long; what comes meanwhile is kept for the next `Receive`."""

    ms: int


Step: TypeAlias = Send | Receive | SetBaud | Pause
Talk: TypeAlias = Generator[Step, bytes, Mapping[str, bytes] | Mapping[str, object]]
