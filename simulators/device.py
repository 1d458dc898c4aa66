"""One simulated device: a request in, a reply and the values in it out. Pure.

A Modbus device answers from its registers (`simulators.registers`), says of itself what its profile says (43/14), and
refuses what such a device refuses: another function, an impossible quantity, an address that it has not.

A stream is a device that speaks by itself: its frames are made of the same profile, when it is time. One that is asked
answers with such a frame to exactly what its profile says that it is asked.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.errors import BadReply
from gateway.model import UtcMs
from gateway.profile.parts import Part, encode_parts
from gateway.profile.profile import Field, Identify, ModbusSource, ProtocolSource, SerialSource
from gateway.protocols import declared, framing, parse
from gateway.protocols.framing import Framing
from gateway.protocols.modbus_pdu import (
    DEVICE_FAILURE,
    ILLEGAL_ADDRESS,
    ReadDeviceId,
    ReadRequest,
    Request,
    Table,
    WriteCoils,
    WriteRegisters,
    decode_request,
    encode_echo,
    encode_exception,
    encode_reply,
    refusal,
)
from gateway.protocols.parse import Parse
from gateway.protocols.plugin import Twin, load
from gateway.site import Device
from simulators.chain import chained
from simulators.identity import identified, identity_of
from simulators.registers import Registers, Reported, Served
from simulators.signals import Moment, Signal

REQUESTS_MAX = 64  # different reads that are remembered as understood


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply pdu or a whole serial frame, what it says, and its running number within the device."""

    data: bytes
    n: int
    served: tuple[Served, ...] = ()


class ModbusDevice:
    """Answers the requests for one unit_id; remembers what was written. Unless it `tells`, answers say no values."""

    def __init__(self, device: Device, signals: Mapping[str, Signal], *, tells: bool = True) -> None:
        source = device.profile.source
        if not isinstance(source, ModbusSource):
            raise TypeError(f"{device.name} speaks no Modbus")
        self.name = device.name
        self.kind = device.profile.kind
        self.timeout_ms = source.timeout_ms
        fields = [(field, signals[field.name]) for field in fields_of(device) if field.address is not None]
        identify: Sequence[Identify] = source.identify
        if source.sunspec:
            fields, identify = chained(device.name, fields, source.sunspec)
        self._registers = Registers(
            fields, identify, groups_of(device), source.never_read, source.max_registers, tells=tells
        )
        self._identity = identity_of(device.profile)
        self._start = source.start
        self._measures = source.start is None
        self._requests: dict[bytes, Request] = {}
        self._n = 0

    def answer(self, pdu: bytes, utc_ms: UtcMs) -> Answer:
        """The reply to a request pdu; an exception where such a device says no."""
        self._n += 1
        request = self._requests.get(pdu) or self._understood(pdu)
        if request is None:
            return self._no(pdu, refusal(pdu))
        if self._start and request == self._start.request:
            self._measures = True
            return Answer(_started(self._start.request), self._n)
        if isinstance(request, ReadRequest) and not self._measures:
            return self._no(pdu, DEVICE_FAILURE)  # so that a gateway that forgot to start it is found out
        if isinstance(request, ReadRequest):
            found = self._registers.read(request, Moment(utc_ms, self._n))
            return (
                Answer(encode_reply(request, found[0]), self._n, found[1]) if found else self._no(pdu, ILLEGAL_ADDRESS)
            )
        if isinstance(request, ReadDeviceId):
            told = identified(self._identity, request)
            return self._no(pdu, ILLEGAL_ADDRESS) if told is None else Answer(encode_reply(request, told), self._n)
        table = Table.COIL if isinstance(request, WriteCoils) else Table.HOLDING
        done = self._registers.write(table, request.address, [int(value) for value in request.values])
        return Answer(encode_echo(request), self._n) if done else self._no(pdu, ILLEGAL_ADDRESS)

    def refuse(self, pdu: bytes, exception: int) -> Answer:
        """The reply to a request that it could answer, and does not."""
        self._n += 1
        return self._no(pdu, exception)

    def _no(self, pdu: bytes, exception: int) -> Answer:
        return Answer(encode_exception(pdu[0] if pdu else 0, exception), self._n)

    def _understood(self, pdu: bytes) -> Request | None:
        try:
            request = decode_request(pdu)
        except BadReply:
            return None
        if isinstance(request, ReadRequest) and len(self._requests) < REQUESTS_MAX:
            self._requests[pdu] = request
        return request


def _started(request: ReadRequest | WriteRegisters) -> bytes:
    """What a device answers that begins to measure."""
    return encode_reply(request, bytes(2)) if isinstance(request, ReadRequest) else encode_echo(request)


class StreamDevice:
    """Speaks by itself, one frame a period."""

    def __init__(self, device: Device, signals: Mapping[str, Signal]) -> None:
        source = device.profile.source
        if not isinstance(source, SerialSource) or source.poll:
            raise TypeError(f"{device.name} does not speak by itself")
        self.name = device.name
        self.kind = device.profile.kind
        self.period_ms = source.period_ms
        self._source = source
        self._says = _Says(device, signals)

    def frame(self, utc_ms: UtcMs) -> Answer:
        """The next frame, start to end."""
        return self._says.frame(self._source.framing, self._source.parse, "", utc_ms)


class TalkDevice:
    """Answers what its profile says that it is asked."""

    def __init__(self, device: Device, signals: Mapping[str, Signal]) -> None:
        source = device.profile.source
        if not isinstance(source, SerialSource) or source.poll is None:
            raise TypeError(f"{device.name} is not asked")
        self.name = device.name
        self.kind = device.profile.kind
        self.timeout_ms = source.poll.timeout_ms
        self._says = _Says(device, signals)
        self._framing = declared.reply_framing(source.poll, source.framing, device.address)
        channels = source.poll.channels or (("", ""),)
        self.requests = {  # and what is answered: the name of its channel, and the parse that reads it
            declared.request(source.poll, device.address, channel): (
                name,
                declared.reply_parse(source.poll, source.parse, device.address, channel),
            )
            for name, channel in channels
        }
        self._setup = dict(declared.told(step, device.address) for step in source.setup)
        self._untold = set(self._setup)

    @property
    def hears(self) -> tuple[bytes, ...]:
        """All that it takes for a request."""
        return (*self._setup, *self.requests)

    def answer(self, request: bytes, utc_ms: UtcMs) -> Answer | None:
        """The whole reply to one of `requests`; None where it keeps silent, as it does until it was set up."""
        if request in self._untold or request in self._setup:
            self._untold.discard(request)
            around = self._setup[request]
            return Answer(around.start.ljust(around.length, b"\0"), 0) if around else None
        if self._untold:
            return None
        name, told = self.requests[request]
        return self._says.frame(self._framing, told, name, utc_ms)


class TwinDevice:
    """Speaks a protocol that has a module: the other side of it."""

    def __init__(self, device: Device, signals: Mapping[str, Signal]) -> None:
        source = device.profile.source
        if not isinstance(source, ProtocolSource):
            raise TypeError(f"{device.name} has no protocol of its own")
        self.name = device.name
        self.kind = device.profile.kind
        self._address = device.address
        self._protocol = load(source.place)
        self._fields = fields_of(device)
        self._groups = groups_of(device)
        self._signals = signals
        self._n = 0

    def round(self, utc_ms: Callable[[], UtcMs]) -> "tuple[Twin, Told]":
        """One question, or one beat of what speaks by itself, and what is told in it."""
        self._n += 1
        told = Told(self._values, self._n, utc_ms)
        return self._protocol.answer(self._address, told), told

    def _values(self, now: Moment) -> Mapping[str, tuple[Part, Served]]:
        values = [self._signals[field.name](now) for field in self._fields]
        parts = encode_parts(self._fields, values)
        return {
            field.part: (
                parts[field.part],
                Served(field.name, str(parts[field.part]).encode(), value, self._groups.get(field.name)),
            )
            for field, value in zip(self._fields, values, strict=True)
        }


class Told(Mapping[str, Part]):
    """What a device measures at the moment when it is looked up; remembers what was."""

    def __init__(
        self, values: Callable[[Moment], Mapping[str, tuple[Part, Served]]], n: int, utc_ms: Callable[[], UtcMs]
    ) -> None:
        self._make = values
        self._n = n
        self._utc_ms = utc_ms
        self._made: Mapping[str, tuple[Part, Served]] | None = None
        self._served: dict[str, Served] = {}

    def __getitem__(self, part: str) -> Part:
        value, self._served[part] = self._all[part]
        return value

    def __contains__(self, part: object) -> bool:
        return part in self._all

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def answer(self, data: bytes) -> Answer:
        """These bytes say what was looked up since the last ones."""
        served, self._served = tuple(self._served.values()), {}
        return Answer(data, self._n, served)

    @property
    def _all(self) -> Mapping[str, tuple[Part, Served]]:
        if self._made is None:
            self._made = self._make(Moment(self._utc_ms(), self._n))
        return self._made


class _Says:
    """Makes the frames of a serial device."""

    def __init__(self, device: Device, signals: Mapping[str, Signal]) -> None:
        self._fields = fields_of(device)
        self._groups = groups_of(device)
        self._signals = signals
        self._n = 0

    def frame(self, around: Framing, told: Parse, channel: str, utc_ms: UtcMs) -> Answer:
        """A frame of the fields of a channel, or of all."""
        self._n += 1
        now = Moment(utc_ms, self._n)
        fields = [field for field in self._fields if not channel or field.part.startswith(f"{channel}.")]
        values = [self._signals[field.name](now) for field in fields]
        parts = encode_parts(fields, values)
        content = parse.frame_content(told, {name.rpartition(".")[2]: part for name, part in parts.items()})
        served = tuple(
            Served(field.name, str(parts[field.part]).encode(), value, self._groups.get(field.name))
            for field, value in zip(fields, values, strict=True)
        )
        return Answer(framing.wrap(around, content), self._n, served)


def fields_of(device: Device) -> tuple[Field, ...]:
    """All fields of the profile; those that are polled as the site says them."""
    polled = {field.name: field for group in device.polled for field in group.fields}
    return tuple(polled.get(field.name, field) for field in device.profile.fields)


def groups_of(device: Device) -> dict[str, Reported]:
    """Which group each polled field is reported in."""
    numbered = ((Reported(number, group.period_ms), group.fields) for number, group in enumerate(device.polled))
    return {field.name: reported for reported, fields in numbered for field in fields}
