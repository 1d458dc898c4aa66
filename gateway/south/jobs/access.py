"""Single fields of a device on request, between its polls: read now, or written and read back. Jobs over `Asks`.

A write is three steps, and the second is made once, whatever comes of it:
1. *read*: a device that does not answer now is not written to;
2. *write*: a clear refusal ends it. Any other failure (no reply, a damaged one, an exception that does not say whether
   it was carried out) leaves open what the device did, and asking again could do it twice;
3. *read back*: what the device holds is the answer, whatever was said in step 2. Some devices take a moment, so it is
   read up to READ_BACKS times.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.counters import Counters
from gateway.errors import BadReply, BusBusy, DeviceError, DeviceException, LinkDown
from gateway.model import BootMs, Group, Quality, Row, Value
from gateway.profile.profile import Field, ModbusSource
from gateway.protocols.modbus_pdu import Request
from gateway.seams import Clock
from gateway.site import Bus, Device, Polled
from gateway.south.jobs.permit import Permit
from gateway.south.links.link import NS_PER_MS, PLAIN, Manner, NotSent, Reply, manner_of
from gateway.south.reads.memory import memory_of
from gateway.south.reads.place import Place
from gateway.south.reads.poll import Poller
from gateway.south.reads.start import Starting
from gateway.south.turns import Asks

PATIENCE: Final = 2  # lost replies in a row that end a read
PERIOD_MS: Final = 1000  # what the pauses of a read are measured by
READ_BACKS: Final = 3
WALKS_MAX: Final = 16  # polls of a few questions each: more than the longest chain takes
SETTLE_MS: Final = 250  # before each read back
NOT_CARRIED_OUT: Final = frozenset({1, 2, 3, 6, 7, 10})  # exceptions that say so; after 4, 5 and 11 nobody knows


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a write: a code of docs/specs/wire.md section 7."""

    code: str
    detail: str = ""
    before: Value | None = None
    after: Value | None = None  # read back


async def read(
    asks: Asks, bus: Bus, device: Device, fields: tuple[Field, ...], clock: Clock, *, lone: bool = False
) -> Row:
    """All of `fields` and what they are scaled by, as one row of theirs; what is not good has its reason.

    `lone`: no gateway polls the device, so it is told to measure first, where it needs that, and waited for.
    Raises LinkDown when the bus went away before there was one good value.
    """
    source = device.profile.source
    if not isinstance(source, ModbusSource):
        raise TypeError(f"{device.name} is not asked by Modbus")
    known = _Known(Place(source.sunspec), Starting.of(source) if lone else None)
    row, cause = await _read(asks, bus, device, fields, clock, known)
    if row is None and len(fields) > 1 and cause is not Quality.NO_REPLY:  # each for its own reason, or good now
        each = [await _read(asks, bus, device, (field,), clock, known) for field in fields]
        return _joined(device, fields, clock, each)
    return row or _joined(device, fields, clock, [(None, cause)] * len(fields))


async def write(asks: Asks, device: Device, permit: Permit, clock: Clock) -> Written:
    """Never raises for what device or bus do."""
    reach = _Reach(asks, device, permit)
    try:
        before = await reach.held()
    except (DeviceError, LinkDown) as error:
        return Written(error.code, f"nothing was written: {_said(error)}")
    failed = await reach.write()
    refused = isinstance(failed, DeviceException) and failed.exception in NOT_CARRIED_OUT
    if failed is not None and (refused or isinstance(failed, NotSent | BusBusy)):
        return Written(failed.code, f"nothing was written: {_said(failed)}", before)
    return await _read_back(reach, permit, clock, failed, before)


async def _read_back(
    reach: "_Reach", permit: Permit, clock: Clock, failed: DeviceError | LinkDown | None, before: Value | None
) -> Written:
    unread: DeviceError | LinkDown | None = None
    after: Value | None = None
    for _ in range(READ_BACKS):
        await clock.sleep_until(BootMs(clock.boot_ms() + SETTLE_MS))
        try:
            after, unread = await reach.held(), None
        except (DeviceError, LinkDown) as error:
            unread = error
            continue
        if after == permit.value:
            return Written("ok", _said(failed) if failed else "", before, after)
    if unread is not None:
        return Written("write_uncertain", f"not read back: {_said(unread)}", before)
    return Written(failed.code if failed else "not_confirmed", _said(failed) if failed else "", before, after)


class _Reach:
    """One field of one device, through the bus."""

    def __init__(self, asks: Asks, device: Device, permit: Permit) -> None:
        source = device.profile.source
        if not isinstance(source, ModbusSource):
            raise TypeError(f"{device.name} is not asked by Modbus")
        self._asks, self._unit_id, self._permit = asks, device.unit_id, permit
        self._timeout_ms, self._manner = source.timeout_ms, manner_of(source)

    async def held(self) -> Value | None:
        """What the device holds; raises DeviceError or LinkDown."""
        reply = await self._ask(self._permit.read)
        try:
            (value,) = self._permit.block.decode(reply.data).values
        except ValueError as error:
            raise BadReply(str(error)) from error
        return value

    async def write(self) -> DeviceError | LinkDown | None:
        """Once; how it failed, or None."""
        try:
            await self._ask(self._permit.write)
        except (DeviceError, LinkDown) as error:
            return error
        return None

    async def _ask(self, request: Request) -> Reply:
        return await self._asks.ask(self._unit_id, request, self._timeout_ms, self._manner)


@dataclass(slots=True)
class _Known:
    """What one read learns on its way, for those of its fields that are read alone after it."""

    place: Place
    starting: Starting | None


class _Asked:
    """`Guarded` over `Asks`, so that a read on request is a poll: split, isolated and decoded by the same rules."""

    def __init__(self, asks: Asks, clock: Clock) -> None:
        self._asks = asks
        self._clock = clock

    async def request(self, unit_id: int, request: Request, deadline_ns: int, manner: Manner = PLAIN) -> Reply:
        """As `Guarded`; a bus without time for it counts as no bus."""
        timeout_ms = (deadline_ns - self._clock.boot_ns()) / NS_PER_MS
        return await self._asks.ask(unit_id, request, timeout_ms, manner)

    def barred(self, unit_id: int, request: Request) -> int | None:  # noqa: ARG002 - whoever serves us waits for it
        """Never: a bar is waited for where the exchange is made."""
        return None


async def _read(
    asks: Asks, bus: Bus, device: Device, fields: tuple[Field, ...], clock: Clock, known: "_Known"
) -> tuple[Row | None, Quality]:
    """A row, or why there is none; raises LinkDown."""
    behind = tuple(field for field in device.profile.behind(fields) if field not in fields)
    polled = Polled(_group(device, fields), (*fields, *behind), PERIOD_MS)
    # counters of its own: what a technician reads is not among what the bus is judged by
    memory, place = memory_of(bus, device), known.place
    memory.place = place
    poller = Poller(bus.name, device, polled, memory.cost, clock, Counters(), memory, known.starting)
    outcome = await poller.poll(_Asked(asks, clock), PATIENCE)
    if known.starting and outcome.waits_until is not None:
        await clock.sleep_until(outcome.waits_until)
        outcome = await poller.poll(_Asked(asks, clock), PATIENCE)
    for _ in range(WALKS_MAX):  # of a SunSpec device, as long as it takes to find its model
        if place.at is not None or place.question is None or not outcome.answered or outcome.link_down:
            break
        outcome = await poller.poll(_Asked(asks, clock), PATIENCE)
    if outcome.row is None and outcome.link_down is not None:
        raise outcome.link_down
    return outcome.row, outcome.cause or Quality.REFUSED


def _group(device: Device, fields: tuple[Field, ...]) -> Group:
    names, letters = tuple(field.name for field in fields), "".join(field.letter for field in fields)
    return Group(device.name, device.profile.kind, device.profile.ref, names, letters)


def _joined(
    device: Device, fields: tuple[Field, ...], clock: Clock, alone: Sequence[tuple[Row | None, Quality]]
) -> Row:
    """One row of fields that were read one by one."""
    at = min((row.at for row, _ in alone if row), default=clock.boot_ms())
    values = tuple(row.values[0] if row else None for row, _ in alone)
    reasons = tuple((place, why) for place, (row, why) in enumerate(alone) if row is None)
    return Row(_group(device, fields), at, values, reasons)


def _said(error: DeviceError | LinkDown) -> str:
    return f"exception {error.exception}" if isinstance(error, DeviceException) else str(error) or error.code
