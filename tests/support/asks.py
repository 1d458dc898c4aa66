"""A Modbus device in memory behind `Asks`: holds what is written to it, and misbehaves on order."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from gateway.errors import DeviceError, DeviceException, GatewayError, LinkDown
from gateway.profile.profile import Field, Writable
from gateway.protocols.modbus_pdu import ReadRequest, Request, Table, WriteCoils, WriteRegisters, pack_bits
from gateway.site import Bus, Device
from gateway.south.links.link import PLAIN, Manner, Reply
from gateway.testing.clock import FakeClock
from tests.support.south import a_bus, a_device, a_field

T = TypeVar("T")

OFFSET = replace(
    a_field(10, "i16", name="zero_offset"), unit="m", decimals=2, tens=2, write=Writable(-5.0, 5.0), parameter=True
)
LEVEL = replace(a_field(0, "f32", name="level"), unit="m", decimals=3, low=0.0, high=20.0)
RELAY = replace(a_field(3, "bit", Table.COIL, name="relay"), write=Writable())
MODE = replace(a_field(12, name="mode"), write=Writable(values=(0.0, 1.0, 4.0)))
SPAN = replace(a_field(20, "f32", name="span"), unit="m", decimals=1, order="CDAB", write=Writable(high=10.0))
FIELDS = (LEVEL, OFFSET, RELAY, MODE, SPAN)


def level_bus(
    fields: Sequence[Field] = FIELDS, writable: Sequence[str] = ("zero_offset", "relay", "mode", "span")
) -> Bus:
    """A bus with one level sensor: a value that is polled, and settings."""
    polled = [one for one in fields if not one.parameter]
    device = a_device("level-1", (polled, 1000))
    device = replace(device, writable=tuple(writable), profile=replace(device.profile, fields=tuple(fields)))
    return a_bus(device)


def device_of(bus: Bus) -> Device:
    """The one on it."""
    return bus.devices[0]


async def played(clock: FakeClock, work: Coroutine[Any, Any, T], ms: int = 60_000) -> T:
    """What `work` returns, with time passing as it needs it."""
    results: list[T] = []
    failures: list[GatewayError] = []

    async def worked() -> None:
        try:
            results.append(await work)
        except GatewayError as error:
            failures.append(error)

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(worked(), name="played")
        for _ in range(0, ms, 100):
            if not task.done():
                await clock.advance(100)
        assert task.done(), "it takes too long"
    if failures:
        raise failures[0]
    return results[0]


@dataclass
class MemoryAsks:
    """`Asks` of that bus. `says` are taken first, one for each request: an error to raise, None to be good."""

    words: dict[int, int] = field(default_factory=dict)
    coils: dict[int, bool] = field(default_factory=dict)
    says: list[DeviceError | LinkDown | None] = field(default_factory=list)
    illegal: frozenset[int] = frozenset()  # addresses that give exception 2
    heeds: bool = True  # whether a write does anything
    does_before_it_fails: bool = False  # a write whose reply is lost, or whose request is
    asked: list[Request] = field(default_factory=list)

    async def ask(self, unit_id: int, request: Request, timeout_ms: float, manner: Manner = PLAIN) -> Reply:
        """As told."""
        assert unit_id == 1
        assert timeout_ms > 0
        assert manner.min_gap_ns >= 0
        self.asked.append(request)
        error = self.says.pop(0) if self.says else self._refusal(request)
        if error is None or self.does_before_it_fails:
            self._do(request)
        if error is not None:
            raise error
        return Reply(self._data(request), 0, 1_000_000, 2_000_000)

    @property
    def writes(self) -> list[Request]:
        """What was sent to change something."""
        return [one for one in self.asked if isinstance(one, WriteCoils | WriteRegisters)]

    def _refusal(self, request: Request) -> DeviceException | None:
        if not isinstance(request, ReadRequest):
            return None
        taken = range(request.address, request.address + request.count)
        return DeviceException(2) if self.illegal & set(taken) else None

    def _do(self, request: Request) -> None:
        if not self.heeds:
            return
        if isinstance(request, WriteCoils):
            self.coils |= {request.address + at: value for at, value in enumerate(request.values)}
        elif isinstance(request, WriteRegisters):
            self.words |= {request.address + at: value for at, value in enumerate(request.values)}

    def _data(self, request: Request) -> bytes:
        if not isinstance(request, ReadRequest):
            return b""
        addresses = range(request.address, request.address + request.count)
        if request.table is Table.COIL:
            return pack_bits([self.coils.get(address, False) for address in addresses])
        return b"".join(self.words.get(address, 0).to_bytes(2) for address in addresses)
