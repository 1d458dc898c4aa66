"""Every field of every device of this gateway, read or written on request: a technician's, or the centre's.

A write is noted in the journal before a byte is sent, told as an event of its device, and goes to its end although
whoever asked for it goes away. One at a time: writes are rare, and two of one device would disturb each other.

A refusal takes its time too: each is an event, and who asks for nonsense as fast as they can must not fill the spool.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

from gateway.app.journal import Begun, Journal, NotNoted
from gateway.counters import Counters
from gateway.errors import GatewayError
from gateway.model import BootMs, Detail, Event, Row, Value
from gateway.pipeline.judge import plausible
from gateway.profile.profile import Field, ModbusSource
from gateway.seams import Clock
from gateway.site import Bus, Device, Site
from gateway.south.jobs import access
from gateway.south.jobs.access import Written
from gateway.south.jobs.permit import Refusal, permit
from gateway.south.turns import Asks
from gateway.south.visits import Visits, call
from gateway.wire.command import Outcome

WRITES_MAX: Final = 8  # that wait for their turn
REFUSAL_MS: Final = 250
FIELDS_MAX: Final = 256  # of one read
STOPPING: Final = Written("busy", "the gateway stops")

T = TypeVar("T")


class NoSuchDevice(GatewayError):
    """No device of this site has that name."""

    code = "no_such_device"


class NoSuchField(GatewayError):
    """The profile of the device has no such field."""

    code = "no_such_field"


class NotAsked(GatewayError):
    """The device sends by itself, or its bus only listens: it cannot be asked."""

    code = "not_asked"


class Fields:
    """By bus, `asks` of those that speak Modbus, `visits` of serial devices. `run` is to run while `write` is used."""

    def __init__(
        self,
        site: Site,
        asks: Mapping[str, Asks],
        clock: Clock,
        counters: Counters,
        journal: Journal,
        on_event: Callable[[Event], None],
        visits: Mapping[str, Visits] = MappingProxyType({}),
    ) -> None:
        self._site = site
        self._devices = {device.name: (bus, device) for bus in site.buses for device in bus.devices}
        self._asks = asks
        self._visits = visits
        self._clock = clock
        self._counters = counters
        self._journal = journal
        self._on_event = on_event
        self._group: asyncio.TaskGroup
        self._jobs: set[asyncio.Task[Any]] = set()
        self._turn = asyncio.Lock()
        self._writes = 0
        self._closed = False

    @property
    def journal(self) -> Journal:
        """Where any command is noted before it is carried out."""
        return self._journal

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as self._group:
            await asyncio.get_running_loop().create_future()

    async def close(self, patience_s: float) -> None:
        """No more writes; one that is on has so long to end, or is told as interrupted after the next start."""
        self._closed = True
        if self._jobs:
            await asyncio.wait(self._jobs, timeout=patience_s)

    async def note(self, outcome: Outcome) -> None:
        """Of a command that asks nothing of a device: on disk when this returns; raises NotNoted."""
        await self._journal.end(outcome)

    def job(self, name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Work that goes to its end although whoever asked for it goes away; it must not raise."""
        job = self._group.create_task(work, name=name)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        return job

    async def read(self, device_name: str, names: tuple[str, ...] = ()) -> tuple[Bus, Device, tuple[Field, ...], Row]:
        """These fields as they are now, all of the device where none is named; what is not good has its reason.

        Raises NoSuchDevice, NoSuchField, NotAsked, LinkDown.
        """
        bus, device, fields = wanted(self._site, device_name, names)
        if bus.talks:
            row = await call(self._visits[bus.name], device, fields, self._clock)
        else:
            row = await access.read(self._asks[bus.name], bus, device, fields, self._clock)
        return bus, device, fields, plausible(row, fields)

    async def write(self, command_id: str, device_name: str, field: str, value: Value, by: str) -> Written:
        """What became of it, refusals included; `by` is who asked. Never raises for what device or bus do."""
        if device_name not in self._devices:
            return Written("no_such_device", f"this gateway has no {device_name}")
        if self._closed:
            return STOPPING
        if self._writes >= WRITES_MAX:
            return Written("busy", f"{WRITES_MAX} writes wait already")
        self._writes += 1
        begun = Begun(command_id, device_name, field, value, by)
        return await asyncio.shield(self.job(f"write {command_id}", self._write(begun)))

    async def _write(self, asked: Begun) -> Written:
        try:
            async with self._turn:
                written = STOPPING if self._closed else await self._allowed(asked)
        finally:
            self._writes -= 1
        self._counters.add("writes", code=written.code)
        return written

    async def _allowed(self, asked: Begun) -> Written:
        bus, device = self._devices[asked.device]
        allowed = permit(bus, device, asked.field, asked.value)
        if isinstance(allowed, Refusal):
            return await self._refused(asked, allowed.code, allowed.detail)
        try:
            await self._journal.begin(asked)
        except NotNoted as error:
            return await self._refused(asked, error.code, str(error))
        written = await access.write(self._asks[bus.name], device, allowed, self._clock)
        self._tell(asked, written)
        await self._ended(asked, written)
        return written

    async def _ended(self, asked: Begun, written: Written) -> None:
        """An end that cannot be noted costs an event after the next start, not the outcome."""
        outcome = Outcome(asked.id, written.code == "ok", written.code, written.detail, written.after)
        try:
            await self._journal.end(outcome)
        except NotNoted as error:
            self._on_event(Event(self._clock.boot_ms(), "", "command_journal_failed", str(error)))

    async def _refused(self, asked: Begun, code: str, detail: str) -> Written:
        written = Written(code, detail)
        self._on_event(self._event("write_refused", asked, written))
        await self._clock.sleep_until(BootMs(self._clock.boot_ms() + REFUSAL_MS))
        return written

    def _tell(self, asked: Begun, written: Written) -> None:
        event = {"ok": "field_written", "write_uncertain": "write_uncertain"}.get(written.code, "write_failed")
        self._on_event(self._event(event, asked, written))

    def _event(self, code: str, asked: Begun, written: Written) -> Event:
        urgent = code != "write_refused"  # nothing happened; and who asks a thousand times makes no thousand batches
        return Event(self._clock.boot_ms(), asked.device, code, audit(asked, written), urgent=urgent)


def wanted(site: Site, device_name: str, names: tuple[str, ...]) -> tuple[Bus, Device, tuple[Field, ...]]:
    """The fields that are to be read, in that order; all of the device where none is named.

    Raises NoSuchDevice, NoSuchField, NotAsked.
    """
    everything = ((bus, device) for bus in site.buses for device in bus.devices)
    found = next(((bus, device) for bus, device in everything if device.name == device_name), None)
    if found is None:
        raise NoSuchDevice(device_name)
    bus, device = found
    if not (bus.talks or isinstance(device.profile.source, ModbusSource)) or bus.mode == "listen":
        raise NotAsked(device_name)
    known = {field.name: field for field in device.profile.fields if not field.hidden}
    if missing := [name for name in names if name not in known]:
        raise NoSuchField(f"{device.profile.ref}: {', '.join(missing[:3])}")
    return bus, device, tuple(known[name] for name in dict.fromkeys(names or known))[:FIELDS_MAX]


def audit(asked: Begun, written: Written) -> Detail:
    """[field, value, by, code, value before, value read back]; "" where there is none."""
    return (asked.field, _plain(asked.value), asked.by, written.code, _plain(written.before), _plain(written.after))


def _plain(value: Value | None) -> float | str:
    """As an event's detail carries it: a boolean is 1 or 0."""
    return "" if value is None else int(value) if isinstance(value, bool) else value
