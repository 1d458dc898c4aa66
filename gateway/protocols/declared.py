"""The conversation that a profile declares: one request and its reply, or one for each of some channels. Pure.

A channel that is refused, or answered by something else, loses its own parts; one that is not answered ends the talk,
with what the channels before it brought.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from gateway.errors import BadReply, NoReply
from gateway.protocols.conversation import Pause, Receive, Send, Step, Talk
from gateway.protocols.framing import Framing
from gateway.protocols.parse import Parse, parts
from gateway.protocols.template import fill, fill_text, has_hole

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Poll:
    """How a serial device is asked; `send` and `start` are templates (`protocols.template`).

    `start` is what a reply begins with where the address is in it: there it stands for the framing's own. Each of the
    `channels` is a request of its own, in which {channel} is told; its parts are named CHANNEL.PART.
    """

    send: str
    timeout_ms: int
    start: str = ""
    address: str = ""  # as it comes from its maker; "" = it has none
    channels: tuple[tuple[str, str], ...] = ()  # (name, what {channel} stands for)
    wake: bytes = b""  # sent before each visit, for a device that sleeps
    wake_ms: int = 0

    @property
    def shares(self) -> bool:
        """Whether others of its kind may be on the line: it is asked by its address, and says its address."""
        return has_hole(self.send, "address") and has_hole(self.start, "address")


@dataclass(frozen=True, slots=True)
class SetupStep:
    """What a device is told once when it comes up; `send` and `reply` are templates."""

    send: str
    reply: str = ""  # what its answer begins with; "" = it gives none
    reply_bytes: int = 0  # of the whole answer; 0 = as many as `reply` has
    timeout_ms: int = 1000
    pause_ms: int = 0  # after it


def told(step: SetupStep, address: str = "") -> tuple[bytes, Framing | None]:
    """What is sent, and the frame of its answer; raises ValueError for an address that does not fit."""
    known = {"address": address} if address else {}
    start = fill(step.reply, known)
    if not start:
        return fill(step.send, known), None
    length = step.reply_bytes or len(start)
    if length < len(start):
        raise ValueError(f"an answer of {length} bytes cannot begin with {len(start)}")
    return fill(step.send, known), Framing("fixed", length, start=start, length=length)


def setup(steps: Sequence[SetupStep], address: str = "") -> Generator[Step, bytes, None]:
    """The beginning of a talk; raises NoReply when a step is not answered as it says."""
    for number, step in enumerate(steps):
        send, answer = told(step, address)
        yield Send(send)
        if answer and not (yield Receive(answer, step.timeout_ms, dates=False)):
            raise NoReply(f"step {number} of its setup was not confirmed")
        if step.pause_ms:
            yield Pause(step.pause_ms)


def request(poll: Poll, address: str = "", channel: str = "") -> bytes:
    """What is sent; raises ValueError for an address that does not fit."""
    return fill(poll.send, _told(poll, address, channel))


def reply_framing(poll: Poll, framing: Framing, address: str = "") -> Framing:
    """The framing of the replies of one device; raises ValueError as `request`."""
    return replace(framing, start=fill(poll.start, _told(poll, address, ""))) if poll.start else framing


def reply_parse(poll: Poll, parse: Parse, address: str = "", channel: str = "") -> Parse:
    """The parse of the replies of one device to one request: what it has to say of them is filled in."""
    told = _told(poll, address, channel)
    return replace(parse, require=tuple((name, fill_text(text, told)) for name, text in parse.require))


def talk(poll: Poll, framing: Framing, parse: Parse, address: str = "") -> Talk:
    """One visit to one device; raises NoReply and BadReply."""
    asked: Sequence[tuple[str, str]] = poll.channels or (("", ""),)
    framing = reply_framing(poll, framing, address)
    if poll.wake:
        yield Send(poll.wake)
        yield Pause(poll.wake_ms)
    found: dict[str, object] = {}
    refused: BadReply | None = None
    for name, channel in asked:
        yield Send(request(poll, address, channel))
        frame = yield Receive(framing, poll.timeout_ms)
        if not frame:
            break
        try:
            told = parts(reply_parse(poll, parse, address, channel), frame)
        except BadReply as error:
            refused = error
        else:
            found |= named(name, told)
    if found:
        return found
    raise refused or NoReply("nothing came")


def named(channel: str, told: Mapping[str, T]) -> Mapping[str, T]:
    """The parts as fields name them."""
    return {f"{channel}.{part}": value for part, value in told.items()} if channel else told


def _told(poll: Poll, address: str, channel: str) -> dict[str, str]:
    told = {"address": address or poll.address} if address or poll.address else {}
    return told | ({"channel": channel} if channel else {})
