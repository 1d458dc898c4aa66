"""Makes conversations on a serial port: does the steps of a talk, and tells it what came. See `protocols.conversation`.

- A talk begins when the line has been silent for 3.5 characters, at least 1.75 ms. What came before is no answer to it:
  it is shown to `owed`, which may be waiting for a late reply, and dropped.
- A `Receive` ends with the first whole frame that fits, after `timeout_ms` of silence, or, when bytes keep coming,
  that much later again (or when the longest frame would be over, if that is later). What stands behind the frame is
  kept for the next `Receive`.
- Our own bytes coming back (a two-wire adapter that hears itself) are passed over: exactly those, and whole, right at
  the beginning.
- A talk that ends without the reply to what it sent last leaves its device barred (`owed`).
- Over TCP a converter passes the bytes on: the same rules, with the line of the devices behind it for what bytes take.
  It may be half open (`pulse`), and replies wait in one queue (`owed`).
- The speed is that of the bus when a talk begins, however the one before it ended.
The time of a talk is that of the first byte of the first frame it was given that dates its values. Nothing
but a DeviceError and LinkDown comes out, whatever a protocol module does.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gateway.counters import Counters
from gateway.errors import BadReply, DeviceError, LinkDown, NoReply
from gateway.profile.profile import Line
from gateway.protocols.conversation import Pause, Receive, Send, SetBaud, Step, Talk
from gateway.protocols.framing import FrameReader
from gateway.seams import ByteStream, Clock
from gateway.south.links.frames import TimedFrames
from gateway.south.links.late import late_max_ns
from gateway.south.links.link import NS_PER_MS, NotSent
from gateway.south.links.owed import Hope, Owed
from gateway.south.links.pulse import LOST, Pulse
from gateway.south.links.trace import Trace

READ_MAX_BYTES = 1024
STEPS_MAX = 4096  # of one talk: more is a protocol module that goes round in circles
SILENCE_CHARS, SILENCE_NS_MIN = 3.5, 1_750_000
BUSY_NS = 1_000_000_000  # how long a silence is waited for
KEPT_MAX_BYTES = 4096  # behind a frame
DETAIL_MAX = 120


class TalkStream(ByteStream, Protocol):
    """A port whose speed can be changed while it is open."""

    async def set_baud(self, baud: int) -> None:
        """When everything that was written has left; raises LinkDown."""
        ...


@dataclass(frozen=True, slots=True)
class Told:
    """What a talk ended with, and when (boot ns)."""

    parts: Mapping[str, object]
    t_sent_ns: int
    t_first_ns: int  # the first byte of the first frame; of a talk without one, its end
    t_done_ns: int
    latency_ns: int | None = None  # from the last byte of what was asked to that byte; None where nothing was


@dataclass(slots=True)
class _Now:
    """Where a talk stands."""

    char_ns: int
    sent_ns: int = 0  # when its first bytes were handed over
    left_ns: int = 0  # when the last of what was sent has left the line
    first_ns: int = 0
    latency_ns: int | None = None
    asked: bool = False  # the reply to what was sent last has not come
    timeout_ns: int = 0  # of the last `Receive`
    hope: Hope | None = None
    echo: bytes = b""  # of ours, that may come back
    seen: bytes = b""  # what may be it
    seen_ns: int = 0  # since when
    came: int = 0  # bytes, since the talk began
    kept: deque[tuple[bytes, int]] = field(default_factory=deque)  # behind the last frame: bytes, and when they came


class ConversationLink:
    """One serial port; dead after LinkDown. Not for two talks at a time."""

    def __init__(
        self,
        stream: TalkStream,
        line: Line,
        clock: Clock,
        owed: Owed,
        trace: Trace,
        counters: Counters,
        *,
        bus: str,
        pulse: Pulse | None = None,
    ) -> None:
        self._pulse = pulse
        self._stream = stream
        self._line = line
        self._clock = clock
        self._owed = owed
        self._trace = trace
        self._counters = counters
        self._bus = bus
        self._baud = line.baud
        self._last_byte_ns = 0
        self._now = _Now(self._char_ns(line.baud))

    async def talk(self, device: str, talk: Talk) -> Told:
        """One visit; raises NoReply, BadReply, LinkDown (NotSent when nothing was sent). Bar it first: `owed`."""
        self._now = now = _Now(self._char_ns(self._baud))
        try:
            await self._set_baud(self._line.baud)
            await self._until_silent()
            parts = await self._follow(talk)
            done_ns = self._clock.boot_ns()
            return Told(parts, now.sent_ns, now.first_ns or done_ns, done_ns, now.latency_ns)
        except NoReply as error:
            if now.came:
                raise BadReply(f"{now.came} bytes came, no answer among them") from error
            if now.sent_ns and self._pulse and self._pulse.missed(now.sent_ns, self._clock.boot_ns()):
                raise LinkDown(LOST) from None
            raise
        except (DeviceError, LinkDown):
            raise
        except Exception as error:
            raise BadReply(f"{type(error).__name__}: {error}"[:DETAIL_MAX]) from error
        finally:
            talk.close()
            if now.asked:
                self._counters.add("talks_uncertain", bus=self._bus)
                now_ns = self._clock.boot_ns()
                self._owed.bar(device, now_ns + late_max_ns(now.timeout_ns), now.hope, now_ns)

    def listen(self) -> None:
        """Let the rule see what came unasked; raises NotSent where the port is gone."""
        try:
            data = self._stream.drain_input()
        except LinkDown as error:
            raise NotSent(str(error)) from None
        if data:
            self._note(data, self._clock.boot_ns())

    async def close(self) -> None:
        """Idempotent; never raises."""
        await self._stream.close()

    async def _follow(self, talk: Talk) -> Mapping[str, object]:
        answer: bytes | None = None
        for _ in range(STEPS_MAX):
            try:
                step = next(talk) if answer is None else talk.send(answer)
            except StopIteration as end:
                parts: Mapping[str, object] = end.value
                return parts
            answer = await self._do(step)
        raise BadReply(f"a talk of more than {STEPS_MAX} steps")

    async def _do(self, step: Step) -> bytes:
        match step:
            case Send():
                await self._clock.wire_wait(self._last_byte_ns + self._silence_ns())
                self._send(step.data)
            case Receive():
                return await self._receive(step)
            case SetBaud():
                await self._clock.wire_wait(self._now.left_ns)
                await self._set_baud(step.baud)
            case Pause():
                await self._clock.wire_wait(max(self._clock.boot_ns(), self._now.left_ns) + step.ms * NS_PER_MS)
        return b""

    def _send(self, data: bytes) -> None:
        now = self._now
        try:
            self._stream.write(data)
        except LinkDown as error:
            raise (error if now.sent_ns else NotSent(str(error))) from None
        at_ns = self._clock.boot_ns()
        self._trace.note(at_ns, data, sent=True)
        now.sent_ns = now.sent_ns or at_ns
        now.left_ns = max(at_ns, now.left_ns) + len(data) * now.char_ns
        now.asked, now.hope, now.timeout_ns = True, None, 0
        now.echo, now.seen, now.came = now.echo + data, b"", 0
        now.kept.clear()  # what came before a question does not answer it

    async def _receive(self, step: Receive) -> bytes:
        now = self._now
        reader = FrameReader(step.framing, in_step=True)
        frames = TimedFrames[int](reader)
        now.hope, now.timeout_ns = Hope(reader, step.fits), step.timeout_ms * NS_PER_MS
        quiet_ns = max(self._clock.boot_ns(), now.left_ns) + now.timeout_ns
        latest_ns = quiet_ns + max(now.timeout_ns, step.framing.max_bytes * now.char_ns)
        while True:
            data, at_ns = now.kept.popleft() if now.kept else await self._read(min(quiet_ns, latest_ns))
            if not data:
                return b""
            for at, byte in enumerate(data, 1):  # one by one: what is behind the frame is the next one's
                for frame, began in frames.feed(bytes((byte,)), at_ns):
                    if step.fits is None or step.fits(frame):
                        self._keep(data[at:], at_ns)
                        if step.dates and not now.first_ns:
                            now.first_ns = began
                            now.latency_ns = max(began - now.left_ns, 0) if now.asked else None
                        now.asked = False
                        return frame
            quiet_ns = max(quiet_ns, at_ns + now.timeout_ns)

    async def _read(self, until_ns: int) -> tuple[bytes, int]:
        """Some bytes that are not our own; b"" at `until_ns`."""
        now = self._now
        while self._clock.boot_ns() < until_ns:  # a wire that never pauses has bytes also then
            data, at_ns = await self._stream.read(READ_MAX_BYTES, until_ns)
            if not data:
                break
            self._note(data, at_ns)
            now.came += len(data)
            if theirs := self._without_echo(data, at_ns):
                return theirs, now.seen_ns
        seen, now.seen, now.echo = now.seen, b"", b""
        return seen, now.seen_ns

    def _without_echo(self, data: bytes, at_ns: int) -> bytes:
        """What is left of it, since `seen_ns`, when our own bytes are taken out; b"" while that is not known."""
        now = self._now
        now.seen_ns = now.seen_ns if now.seen else at_ns
        if not now.echo:
            return data
        now.seen += data
        if len(now.seen) < len(now.echo) and now.echo.startswith(now.seen):
            return b""
        echoed = now.seen.startswith(now.echo)
        now.seen_ns = at_ns if echoed else now.seen_ns
        theirs = now.seen[len(now.echo) :] if echoed else now.seen
        now.came -= len(now.echo) if echoed else 0
        now.echo = now.seen = b""
        return theirs

    def _keep(self, data: bytes, at_ns: int) -> None:
        if data and sum(len(kept) for kept, _ in self._now.kept) + len(data) <= KEPT_MAX_BYTES:
            self._now.kept.appendleft((data, at_ns))

    async def _until_silent(self) -> None:
        began_ns = self._clock.boot_ns()
        self.listen()
        while (free_ns := self._last_byte_ns + self._silence_ns()) > self._clock.boot_ns():
            if free_ns - began_ns > BUSY_NS:
                raise BadReply("the line is never silent: something sends by itself")
            await self._clock.wire_wait(free_ns)
            self.listen()

    def _note(self, data: bytes, at_ns: int) -> None:
        self._last_byte_ns = at_ns
        if self._pulse:
            self._pulse.beat()
        self._trace.note(at_ns, data, sent=False)
        if late := self._owed.heard(data):
            self._counters.add("talks_late", late, bus=self._bus)

    async def _set_baud(self, baud: int) -> None:
        if baud != self._baud:
            await self._stream.set_baud(baud)
            self._baud = baud
            self._now.char_ns = self._char_ns(baud)

    def _silence_ns(self) -> int:
        return max(round(SILENCE_CHARS * self._now.char_ns), SILENCE_NS_MIN)

    def _char_ns(self, baud: int) -> int:
        bits = 1 + self._line.bits + (self._line.parity != "N") + self._line.stop_bits
        return bits * 1_000_000_000 // baud
