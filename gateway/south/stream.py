"""A serial device that sends by itself: listen, take frames apart, keep as many as the site asks for.

A frame is due when the group's period has passed since the last one taken was due, less a tolerance: half of the time
between two frames, and at most a quarter of the period. So a device that sends once a second fills a period of one
second without a hole, in spite of its crystal, and of a process that was late for one frame; and a faster one is
sampled, never queued.

A row's time is that of the read which brought the first byte of its frame. Bytes that may have waited longer than
LATE_MS (a process that stood still, a slow opening) would get a wrong time, and nobody knows the right one: no frame
that began with them is taken. Two signs tell it: one read brings what took the device longer than LATE_MS to send; or
nobody had looked for so long before that read, as the loop looks every LOOK_MS whether something comes or not.

A device that has sent no good frame for SILENT_PERIODS of its own is down. Other sentences of the same device are
passed over.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from gateway.counters import Counters
from gateway.errors import BadReply
from gateway.model import BootMs, Event, Quality, Row
from gateway.profile.parts import Part, decode_parts
from gateway.profile.profile import SerialSource
from gateway.protocols import declared
from gateway.protocols.framing import FrameReader
from gateway.protocols.parse import concerns, parts
from gateway.seams import ByteStream, Clock
from gateway.site import Bus, Polled
from gateway.south.door import Door
from gateway.south.links.frames import TimedFrames
from gateway.south.links.ports import open_port
from gateway.south.links.trace import Trace
from gateway.south.reads.set_up import SettingUp
from gateway.south.rows import Rows
from gateway.south.stop import Stop
from gateway.south.turns import Asks
from gateway.south.visits import Visits
from gateway.wire.documents import SouthStatus

READ_MAX_BYTES = 4096
SILENT_PERIODS, SILENT_MS_MIN = 3, 3000
LATE_MS, LOOK_MS = 200, 100
NS_PER_MS = 1_000_000


class StreamLoop:
    """A bus that talks by itself: `bus.Loop` for one device. The callables never block."""

    asks: Asks | None = None  # nobody is asked here
    visits: Visits | None = None
    owes = False

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        counters: Counters,
        random: Random,
        on_row: Callable[[Row], None],
        on_event: Callable[[Event], None],
        opener: Callable[[Bus, Clock], Coroutine[Any, Any, ByteStream]] = open_port,
    ) -> None:
        (self._device,) = bus.devices
        source = self._device.profile.source
        if not isinstance(source, SerialSource) or source.poll:
            raise TypeError(f"{self._device.name} does not send by itself")
        self.name = bus.name
        self.trace = Trace()
        self._source = source
        self._bus = bus
        self._clock = clock
        self._counters = counters
        self._on_event = on_event
        self._stop = Stop()
        self._opener = opener
        self._door = Door(bus.name, self._open, clock, counters, random, on_event, self._stop)
        self._looked_ns = clock.boot_ns()  # what comes from now on came after it
        self._rows = Rows(bus.name, counters, on_row)
        self._samplers = [_Sampler(polled, source.period_ms) for polled in self._device.polled]
        self._silent_ms = max(SILENT_PERIODS * source.period_ms, SILENT_MS_MIN)
        self._last_good = clock.boot_ms()  # or when listening began
        self._cause = Quality.NO_REPLY
        self._down = False
        self._setting_up = SettingUp.of(source)

    async def run(self) -> None:
        """As `bus.Loop`."""
        await self._door.serve(self._listen)

    def stop(self) -> None:
        """As `bus.Loop`."""
        self._stop.ask()

    def hurry(self, device: str, *, fast: bool) -> None:
        """As `bus.Loop`: it sends when it likes."""

    @property
    def status(self) -> SouthStatus:
        """As `bus.Loop`."""
        return SouthStatus((self._bus.name,) if self._door.down else (), (self._device.name,) if self._down else ())

    @property
    def last_rows(self) -> tuple[Row, ...]:
        """As `bus.Loop`."""
        return self._rows.newest

    async def _open(self) -> ByteStream:
        """What comes while it is being opened waits until all others let us look."""
        self._looked_ns = self._clock.boot_ns()
        return await self._opener(self._bus, self._clock)

    async def _listen(self, stream: ByteStream) -> None:
        frames = TimedFrames[_Came](FrameReader(self._source.framing))
        self._last_good = self._clock.boot_ms()
        while not self._stop.asked():
            await self._set_up(stream)
            data, came = await self._look(stream)
            self._take_all(list(frames.feed(data, came)))
            if frames.bad:
                self._fail(Quality.BAD_REPLY, frames.take_bad())
            self._look_at_the_clock()

    async def _look(self, stream: ByteStream) -> tuple[bytes, "_Came"]:
        """What came, and when; at the stop, what is there already. A look in vain was over at its deadline."""
        deadline_ns = min(self._wake() * NS_PER_MS, self._clock.boot_ns() + LOOK_MS * NS_PER_MS)
        found = await self._stop.unless_asked(stream.read(READ_MAX_BYTES, deadline_ns))
        data, at_ns = (stream.drain_input(), self._clock.boot_ns()) if found is None else found
        came = _Came(BootMs(at_ns // NS_PER_MS), at_ns - self._looked_ns > LATE_MS * NS_PER_MS)
        self._looked_ns = max(self._looked_ns, at_ns if data else min(deadline_ns, at_ns))
        if data:
            self.trace.note(at_ns, data, sent=False)
        return data, came

    async def _set_up(self, stream: ByteStream) -> None:
        """Tell it what its profile says, where that is due: at the first opening, and while it is silent."""
        if self._setting_up is None or not self._setting_up.is_due(self._clock.boot_ms()):
            return
        self._setting_up.understood(self._clock.boot_ms())
        self._count("setups")
        for step in self._setting_up.steps:
            data, _ = declared.told(step)
            stream.write(data)
            self.trace.note(self._clock.boot_ns(), data, sent=True)
            await self._stop.unless_asked(self._clock.sleep_until(BootMs(self._clock.boot_ms() + step.pause_ms)))
        self._looked_ns = self._clock.boot_ns()  # the stream has noted when it came

    def _wake(self) -> BootMs:
        """When something has to be said even if nothing comes."""
        silent_at = BootMs((self._clock.boot_ms() if self._down else self._last_good) + self._silent_ms)
        steady_at = self._door.steady_at()
        return silent_at if steady_at is None else min(silent_at, steady_at)

    def _look_at_the_clock(self) -> None:
        now = self._clock.boot_ms()
        steady_at = self._door.steady_at()
        if steady_at is not None and now >= steady_at:
            self._door.works()
        if not self._down and not self._stop.asked() and now - self._last_good >= self._silent_ms:
            self._down = True
            self._tell("device_down", str(self._cause))
        if self._down and self._setting_up:
            self._setting_up.lost()

    def _take_all(self, frames: Sequence[tuple[bytes, "_Came"]]) -> None:
        """Those of one read."""
        many = (len(frames) - 1) * self._source.period_ms > LATE_MS
        for frame, came in frames:
            if many or came.late:
                self._count("frames_late")
                self._heard()
            else:
                self._take(frame, came.at)

    def _take(self, frame: bytes, at: BootMs) -> None:
        if not concerns(self._source.parse, frame):
            self._count("frames_passed_over")
            return
        try:
            named = parts(self._source.parse, frame)
        except BadReply:
            self._fail(Quality.BAD_REPLY, 1)
            return
        self._heard()
        taken = [place for place, sampler in enumerate(self._samplers) if sampler.takes(at)]
        for place in taken:
            self._sample(place, self._samplers[place], named, at)
        if not taken:
            self._count("frames_between")  # faster than any period of the site: sampled, never queued

    def _heard(self) -> None:
        """A good frame came."""
        self._door.works()
        self._counters.add("reads", bus=self._bus.name, device=self._device.name)
        self._last_good, self._cause = self._clock.boot_ms(), Quality.NO_REPLY
        if self._down:
            self._down = False
            self._tell("device_up", "")

    def _sample(self, place: int, sampler: "_Sampler", named: Mapping[str, Part], at: BootMs) -> None:
        self._counters.add("polls", bus=self._bus.name, device=self._device.name)
        decoded = decode_parts(sampler.polled.fields, named)
        barren = all(value is None for value in decoded.values)
        if not barren:
            self._rows.put(place, Row(sampler.polled.group, at, decoded.values, decoded.quality))
        elif not sampler.barren:
            self._on_event(Event(at, self._device.name, "no_good_field", str(decoded.quality[0][1])))
        sampler.barren = barren

    def _count(self, name: str) -> None:
        self._counters.add(name, bus=self._bus.name, device=self._device.name)

    def _fail(self, cause: Quality, times: int) -> None:
        self._cause = cause
        self._counters.add("reads", times, bus=self._bus.name, device=self._device.name)
        self._counters.add("read_failures", times, bus=self._bus.name, device=self._device.name, cause=str(cause))

    def _tell(self, code: str, detail: str) -> None:
        self._on_event(Event(self._clock.boot_ms(), self._device.name, code, detail, urgent=True))


@dataclass(frozen=True, slots=True)
class _Came:
    """Of some bytes: when they were read, and whether they may have waited too long for that to be their time."""

    at: BootMs
    late: bool


class _Sampler:
    """Which frames one group takes."""

    def __init__(self, polled: Polled, sent_every_ms: int) -> None:
        self.polled = polled
        self.barren = False
        self._due: BootMs | None = None
        self._early_ms = min(polled.period_ms // 4, sent_every_ms // 2)
        self._late_ms = sent_every_ms // 2  # what came later than that was sent later

    def takes(self, at: BootMs) -> bool:
        due = at if self._due is None else self._due
        if at < due - self._early_ms:
            return False
        rhythm = due if due <= at <= due + self._late_ms else at
        self._due = BootMs(rhythm + self.polled.period_ms)
        return True
