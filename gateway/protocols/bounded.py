"""A visit by a protocol module that nobody here has written, kept within bounds. Pure.

Whatever the module does, what comes out is its parts, one of the errors of a device, or ProtocolFailed with the cause.
A talk ends as a failure when it takes more steps, sends or asks for more bytes, or would wait longer than any real
protocol needs; a step that is none is not done. What no bound can end is a module that never yields.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace

from gateway.errors import DeviceError, ProtocolFailed
from gateway.protocols import framing
from gateway.protocols.conversation import Pause, Receive, Send, SetBaud, Step, Talk
from gateway.protocols.parse import Parts
from gateway.protocols.plugin import SerialProtocol, load

STEPS_MAX = 1024
BYTES_MAX = 1 << 18  # sent, and asked for at most
FRAME_MAX_BYTES = 1 << 16
WAITS_MAX_MS = 120_000
BAUD_MIN, BAUD_MAX = 300, 4_000_000
PARTS_MAX, PART_MAX = 1024, 4096  # how many are told, and characters of one
DETAIL_MAX = 120


def visit(place: str, address: str, parts: Sequence[str]) -> Talk:
    """What the module at this place says in one visit; raises NoReply, BadReply and ProtocolFailed."""
    bill = _Bill()
    talk: Talk | None = None
    try:
        talk = _talk(load(place), address, parts)
        step = next(talk)
        while True:
            answer = yield bill.allowed(step)
            bill.check()
            step = talk.send(answer)
    except StopIteration as end:
        return told(end.value)
    except DeviceError:
        raise
    except Exception as error:
        raise ProtocolFailed(_words(error)) from error
    finally:
        _close(talk)


def _talk(protocol: SerialProtocol, address: str, parts: Sequence[str]) -> Talk:
    talk = protocol.poll(address, parts)
    if not isinstance(talk, Generator):  # a strange module's
        raise ProtocolFailed(f"its poll makes no talk, but {type(talk).__name__}")
    return talk


def told(parts: object) -> Parts:
    """Those that fields can take: texts and numbers; an ASCII text may be bytes. Raises ProtocolFailed."""
    if not isinstance(parts, Mapping) or len(parts) > PARTS_MAX:
        raise ProtocolFailed(f"it ends with {type(parts).__name__}, not with a mapping of at most {PARTS_MAX} parts")
    found: dict[str, str | int | float] = {}
    for name, part in parts.items():
        value = part.decode("ascii") if isinstance(part, bytes) and part.isascii() else part
        if isinstance(name, str) and (isinstance(value, int | float) or (isinstance(value, str) and _short(value))):
            found[name] = value
    return found


def _short(text: str) -> bool:
    return len(text) <= PART_MAX


class _Bill:
    """What a talk has taken so far."""

    def __init__(self) -> None:
        self.trouble = ""  # what its `fits` raised
        self._steps = self._bytes = self._waits_ms = 0

    def allowed(self, step: Step) -> Step:
        """The step, to be done; raises ProtocolFailed."""
        self._steps += 1
        match step:
            case Send(bytes() as data):
                self._bytes += len(data)
            case Receive(framing=framing.Framing() as frame, timeout_ms=int(wait_ms), fits=fits):
                self._check_frame(frame, wait_ms)
                step = replace(step, fits=self._guarded(fits)) if fits else step
            case SetBaud(int(baud)) if BAUD_MIN <= baud <= BAUD_MAX:
                pass
            case Pause(int(ms)) if ms >= 0:
                self._waits_ms += ms
            case _:
                raise ProtocolFailed(f"{step!r} is no step"[:DETAIL_MAX])
        for spent, most, what in (
            (self._steps, STEPS_MAX, "steps"),
            (self._bytes, BYTES_MAX, "bytes"),
            (self._waits_ms, WAITS_MAX_MS, "ms of waiting"),
        ):
            if spent > most:
                raise ProtocolFailed(f"no end after {most} {what}")
        return step

    def check(self) -> None:
        """Raises ProtocolFailed for what one of its `fits` raised."""
        if self.trouble:
            raise ProtocolFailed(self.trouble)

    def _check_frame(self, frame: framing.Framing, wait_ms: int) -> None:
        framing.check(frame)
        if not 0 < frame.max_bytes <= FRAME_MAX_BYTES or wait_ms < 0:
            raise ProtocolFailed(f"a frame of {frame.max_bytes} bytes in {wait_ms} ms is waited for")
        self._bytes += frame.max_bytes
        self._waits_ms += wait_ms

    def _guarded(self, fits: Callable[[bytes], bool]) -> Callable[[bytes], bool]:
        def safe(data: bytes) -> bool:
            try:
                return bool(fits(data))
            except Exception as error:  # noqa: BLE001 - told when the step is over
                self.trouble = self.trouble or _words(error)
                return False

        return safe


def _close(talk: Talk | None) -> None:
    try:
        if talk is not None:
            talk.close()
    except Exception as error:
        raise ProtocolFailed(_words(error)) from error


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:DETAIL_MAX]
