"""A bus on which another master asks: we hear both sides and never send a byte.

Requests are paired with their replies by `protocols.modbus_exchange`, replies become rows by `rounds`. A device is down
when no reply of it was heard for SILENT_PERIODS times its period, or the longest pause between two of its replies so
far, at least SILENT_MS_MIN; its cause says whether it does not answer (`no_reply`), cannot be understood (`bad_reply`)
or is not asked (`not_asked`). When that happens to all devices of a bus at once the bus is silent, and its devices stay
out of the news. Fields that the other master has not read after NEVER_MS (or NEVER_PERIODS periods) are told once.
"""

from collections.abc import Callable, Coroutine, Iterator
from random import Random
from typing import Any

from gateway.counters import Counters
from gateway.errors import BadReply, DeviceException
from gateway.model import BootMs, Detail, Event, Row
from gateway.profile.profile import ModbusSource
from gateway.protocols.modbus_exchange import Exchange, ExchangeReader
from gateway.protocols.modbus_pdu import ReadRequest
from gateway.seams import ByteStream, Clock
from gateway.site import Bus, Device
from gateway.south.door import Door
from gateway.south.links.ports import open_port
from gateway.south.links.trace import Trace
from gateway.south.rounds import Rounds
from gateway.south.rows import Rows
from gateway.south.stop import Stop
from gateway.south.turns import Asks
from gateway.south.visits import Visits
from gateway.wire.documents import SouthStatus

READ_MAX_BYTES = 4096
CHARACTER_BITS = 11  # what the serial line specification counts with, also for 8N1
REPLY_MS_MIN = 1000  # the other master may wait longer than our profiles say
SILENT_PERIODS, SILENT_MS_MIN = 3, 10_000
NEVER_MS, NEVER_PERIODS = 600_000, 10
NEVER_NAMES_MAX = 15  # what an event can carry, and "..." behind it
IDLE_MS_MAX = 1000
NS_PER_MS = 1_000_000


class ListenLoop:
    """A bus that is overheard: `bus.Loop`. The callables never block."""

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
        self.name = bus.name
        self.trace = Trace()
        self._bus = bus
        self._clock = clock
        self._counters = counters
        self._on_event = on_event
        self._stop = Stop()
        self._door = Door(bus.name, lambda: opener(bus, clock), clock, counters, random, on_event, self._stop)
        self._rows = Rows(bus.name, counters, on_row)
        self._reply_max_ms = max([REPLY_MS_MIN, *(_source(device).timeout_ms for device in bus.devices)])
        places = iter(range(sum(len(device.polled) for device in bus.devices)))
        self._heard = {device.unit_id: _Heard(device, clock.boot_ms(), places) for device in bus.devices}
        self._silent = False

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
        down = () if self._silent else tuple(heard.name for heard in self._heard.values() if heard.down)
        silent = self._silent and not self._door.down
        name = (self._bus.name,)
        return SouthStatus(name if silent or self._door.down else (), down, name if silent else ())

    @property
    def last_rows(self) -> tuple[Row, ...]:
        """As `bus.Loop`."""
        return self._rows.newest

    async def _listen(self, stream: ByteStream) -> None:
        """Until the stop or LinkDown. Nothing in this module writes to a stream."""
        reader = self._reader()
        for heard in self._heard.values():
            heard.begin(self._clock.boot_ms())
        while not self._stop.asked():
            came = await self._stop.unless_asked(stream.read(READ_MAX_BYTES, self._wake_ns(reader)))
            self._take_all(reader, *(came or (b"", 0)))
            self._look_at_the_clock()

    def _reader(self) -> ExchangeReader:
        return ExchangeReader(
            char_ns=CHARACTER_BITS * 1_000_000_000 // self._bus.line.baud,
            reply_max_ns=self._reply_max_ms * NS_PER_MS,
            began_ns=self._clock.boot_ns(),
        )

    def _wake_ns(self, reader: ExchangeReader) -> int:
        """When something has to be done even if nothing comes."""
        ends = [at * NS_PER_MS for heard in self._heard.values() for at in heard.ends_at()]
        if reader.wakes_ns is not None:
            ends.append(reader.wakes_ns)
        return min([self._clock.boot_ns() + IDLE_MS_MAX * NS_PER_MS, *ends])

    def _take_all(self, reader: ExchangeReader, data: bytes, at_ns: int) -> None:
        before = _dropped(reader)
        if data:
            self.trace.note(at_ns, data, sent=False)
            found = reader.feed(data, at_ns)
        else:
            found = reader.quiet(self._clock.boot_ns())
        for name, n in _dropped(reader).items():
            if n > before[name]:
                self._counters.add(name, n - before[name], bus=self._bus.name)
                self._not_understood()
        for exchange in found:
            self._take(exchange)

    def _not_understood(self) -> None:
        """Bytes came that are no exchange; whose they were is not known."""
        for heard in self._heard.values():
            heard.garbled = True

    def _take(self, exchange: Exchange) -> None:
        heard = self._heard.get(exchange.unit_id)
        if heard is None:
            self._counters.add("overheard_of_others", bus=self._bus.name)
            return
        self._counters.add("reads", bus=self._bus.name, device=heard.name)
        now = BootMs(exchange.first_ns // NS_PER_MS)
        try:
            data = exchange.data()
        except DeviceException as error:
            self._fail(heard, f"exception_{error.exception}")
            self._answered(heard, now)
            heard.refuse(exchange)
            return
        except BadReply:  # no reply at all, or one that may be another's
            heard.asked = True
            self._fail(heard, "no_reply")
            return
        self._answered(heard, now)
        if isinstance(exchange.request, ReadRequest):
            self._put(heard, heard.take(exchange.request, data, now))

    def _fail(self, heard: "_Heard", cause: str) -> None:
        self._counters.add("read_failures", bus=self._bus.name, device=heard.name, cause=cause)

    def _answered(self, heard: "_Heard", now: BootMs) -> None:
        """A reply of this device was heard."""
        self._door.works()
        if self._silent:
            self._silent = False
            self._tell(self._bus.name, "bus_heard", "")
            for other in self._heard.values():
                other.begin(now)
        if heard.answer(now):
            self._tell(heard.name, "device_up", "")

    def _put(self, heard: "_Heard", rows: Iterator[tuple[int, Row]]) -> None:
        for place, row in rows:
            self._counters.add("polls", bus=self._bus.name, device=heard.name)
            barren = all(value is None for value in row.values)
            if not barren:
                self._rows.put(place, row)
            elif place not in heard.barren:
                self._on_event(Event(row.at, heard.name, "no_good_field", str(row.quality[0][1])))
            (heard.barren.add if barren else heard.barren.discard)(place)

    def _look_at_the_clock(self) -> None:
        now = self._clock.boot_ms()
        steady_at = self._door.steady_at()
        if steady_at is not None and now >= steady_at:
            self._door.works()
        for heard in self._heard.values():
            self._put(heard, heard.end(now))
            if never := heard.never_heard(now):
                self._on_event(Event(now, heard.name, "never_heard", never))
        if not self._stop.asked() and not self._silent:
            self._look_for_the_silent(now)

    def _look_for_the_silent(self, now: BootMs) -> None:
        silent = [heard for heard in self._heard.values() if heard.is_silent(now)]
        if len(silent) == len(self._heard) > 1 and not any(heard.down for heard in silent):
            self._silent = True
            self._tell(self._bus.name, "bus_silent", silent[0].cause)
            return
        for heard in silent:
            if not heard.down:
                heard.down = True
                self._tell(heard.name, "device_down", heard.cause)

    def _tell(self, subject: str, code: str, detail: str) -> None:
        self._on_event(Event(self._clock.boot_ms(), subject, code, detail, urgent=True))


class _Heard:
    """One device, as far as it is heard."""

    def __init__(self, device: Device, now: BootMs, places: Iterator[int]) -> None:
        self.name = device.name
        self.down = False
        self.asked = False  # in vain, since its last reply
        self.garbled = False  # something came that nobody understood, since its last reply
        self.barren: set[int] = set()
        self._rounds = [(next(places), Rounds(polled)) for polled in device.polled]
        self._period_ms = min((polled.period_ms for polled in device.polled), default=SILENT_MS_MIN)
        slowest_ms = max((polled.period_ms for polled in device.polled), default=0)
        self._never_at: BootMs | None = BootMs(now + max(NEVER_MS, NEVER_PERIODS * slowest_ms))
        self._last = now
        self._pause_ms = 0  # the longest between two replies, while it was up

    @property
    def cause(self) -> str:
        """Why it is silent."""
        return "no_reply" if self.asked else "bad_reply" if self.garbled else "not_asked"

    def begin(self, now: BootMs) -> None:
        """It has not been listened to before: its silence counts from now."""
        self._last = now
        self.asked = self.garbled = False

    def answer(self, now: BootMs) -> bool:
        """A reply came; whether that is news."""
        news, self.down = self.down, False
        if not news:
            self._pause_ms = max(self._pause_ms, now - self._last)
        self.begin(now)
        return news

    def is_silent(self, now: BootMs) -> bool:
        """For so long that it counts as down."""
        longest_ms = max(SILENT_PERIODS * max(self._period_ms, self._pause_ms), SILENT_MS_MIN)
        return now - self._last >= longest_ms

    def take(self, request: ReadRequest, data: bytes, at: BootMs) -> Iterator[tuple[int, Row]]:
        """The rows that this reply ends, each with its group's place."""
        for place, rounds in self._rounds:
            for row in rounds.take(request, data, at):
                yield place, row

    def refuse(self, exchange: Exchange) -> None:
        """It said no."""
        if isinstance(exchange.request, ReadRequest):
            for _, rounds in self._rounds:
                rounds.refuse(exchange.request)

    def ends_at(self) -> Iterator[BootMs]:
        """When `end` has something to do."""
        return (at for _, rounds in self._rounds if (at := rounds.ends_at) is not None)

    def end(self, now: BootMs) -> Iterator[tuple[int, Row]]:
        """The rows of rounds that are over."""
        for place, rounds in self._rounds:
            if row := rounds.end(now):
                yield place, row

    def never_heard(self, now: BootMs) -> Detail:
        """Once, when it is time: the fields that nobody reads."""
        if self._never_at is None or now < self._never_at:
            return ()
        self._never_at = None
        names = tuple(name for _, rounds in self._rounds for name in rounds.never_heard)
        return names if len(names) <= NEVER_NAMES_MAX else (*names[:NEVER_NAMES_MAX], "...")


def _source(device: Device) -> ModbusSource:
    source = device.profile.source
    if not isinstance(source, ModbusSource):
        raise TypeError(f"{device.name} does not speak Modbus")
    return source


def _dropped(reader: ExchangeReader) -> dict[str, int]:
    """What was heard and is not believed, by counter."""
    return {
        "overheard_skipped_bytes": reader.skipped_bytes,
        "overheard_late_bytes": reader.late_bytes,
        "overheard_unpaired": reader.unpaired,
        "overheard_doubtful": reader.doubtful,
    }
