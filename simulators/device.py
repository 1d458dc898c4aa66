"""One simulated device: a request in, a reply and the values in it out. Pure.

A Modbus device is a map of registers, filled at the moment of each request from its signals through the profile's own
encoder. What was written to it stays written. Its map is made of spans: the profile's fields and identity registers,
joined across holes that one read may step over; a hole reads as 0, an address in no span is exception 2.

A stream is a device that speaks by itself: its frames are made of the same profile, when it is time.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.errors import BadReply
from gateway.model import UtcMs, Value
from gateway.profile.codec import Block, encode_parts
from gateway.profile.profile import Field, Identify, ModbusSource, SerialSource
from gateway.protocols import framing, parse
from gateway.protocols.modbus_pdu import (
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ReadDeviceId,
    ReadRequest,
    Table,
    WriteCoils,
    WriteRegisters,
    decode_request,
    encode_echo,
    encode_exception,
    encode_reply,
    function,
    pack_bits,
    refusal,
)
from gateway.site import Device
from simulators.meaning import value_of
from simulators.signals import Moment, Signal

BIT_TABLES = (Table.COIL, Table.DISCRETE)


@dataclass(frozen=True, slots=True)
class Served:
    """One value in one reply."""

    field: str
    raw: bytes  # its registers as they stood in the reply; of a serial frame, its part
    value: Value
    group: "Reported | None"  # None: in no group


@dataclass(frozen=True, slots=True)
class Reported:
    """In which of the device's groups a field is reported, and how often."""

    number: int
    every_ms: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply pdu or a whole serial frame, what it says, and its running number within the device."""

    data: bytes
    n: int
    served: tuple[Served, ...] = ()


class ModbusDevice:
    """Answers the requests for one unit_id; remembers what was written."""

    def __init__(self, device: Device, signals: Mapping[str, Signal]) -> None:
        source = device.profile.source
        if not isinstance(source, ModbusSource):
            raise TypeError(f"{device.name} speaks no Modbus")
        self.name = device.name
        self.kind = device.profile.kind
        self._never_read = source.never_read
        fields = [_Mapped.of(field, signals[field.name]) for field in fields_of(device) if field.address is not None]
        identity = [_Mapped.of(*_identity(one, number)) for number, one in enumerate(source.identify)]
        free = [one for one in identity if not any(one.overlaps(field) for field in fields)]
        self._mapped = (*fields, *free)
        self._truth = frozenset(one.field.name for one in fields)
        self._groups = groups_of(device)
        self._spans = {table: _spans(self._mapped, table, source.max_registers) for table in Table}
        self._written: dict[tuple[Table, int], int] = {}
        self._n = 0

    def answer(self, pdu: bytes, utc_ms: UtcMs) -> Answer:
        """The reply to a request pdu; an exception where such a device says no."""
        self._n += 1
        code = pdu[0] if pdu else 0
        try:
            request = decode_request(pdu)
        except BadReply:
            return self._no(code, refusal(pdu))
        if isinstance(request, ReadDeviceId):
            return self._no(code, ILLEGAL_FUNCTION)
        if isinstance(request, ReadRequest):
            return self._read(request, Moment(utc_ms, self._n))
        return self._write(request)

    def _no(self, code: int, exception: int) -> Answer:
        return Answer(encode_exception(code, exception), self._n)

    def _read(self, request: ReadRequest, now: Moment) -> Answer:
        if not self._has(request.table, request.address, request.count):
            return self._no(function(request), ILLEGAL_ADDRESS)
        first, last = request.address, request.address + request.count - 1
        asked = [one for one in self._mapped if one.field.table is request.table and one.touches(first, last)]
        image = [0] * request.count
        for one in asked:
            for address, word in zip(one.addresses, one.words(now), strict=True):
                if first <= address <= last:
                    image[address - first] = word
        for place in range(request.count):
            image[place] = self._written.get((request.table, first + place), image[place])
        whole = [one for one in asked if one.within(first, last) and one.field.name in self._truth]
        served = [self._served(one, image[one.first - first : one.last - first + 1]) for one in whole]
        data = pack_bits([word != 0 for word in image]) if request.table in BIT_TABLES else _bytes(image)
        return Answer(encode_reply(request, data), now.n, tuple(one for one in served if one is not None))

    def _served(self, one: "_Mapped", words: Sequence[int]) -> Served | None:
        """What these registers tell of the field; None when they mean that it has no value."""
        raw = bytes(words) if one.field.table in BIT_TABLES else _bytes(words)
        value = value_of(one.field, raw)
        return None if value is None else Served(one.field.name, raw, value, self._groups.get(one.field.name))

    def _write(self, request: WriteCoils | WriteRegisters) -> Answer:
        table = Table.COIL if isinstance(request, WriteCoils) else Table.HOLDING
        if not self._has(table, request.address, len(request.values)):
            return self._no(function(request), ILLEGAL_ADDRESS)
        for place, value in enumerate(request.values):
            self._written[table, request.address + place] = int(value)
        return Answer(encode_echo(request), self._n)

    def _has(self, table: Table, address: int, count: int) -> bool:
        """Whether all of it lies in one span, and none of it where this device must never be read."""
        last = address + count - 1
        forbidden = any(t is table and first <= last and address <= end for t, first, end in self._never_read)
        return not forbidden and any(first <= address and last <= end for first, end in self._spans[table])


class StreamDevice:
    """Speaks by itself, one frame a period."""

    def __init__(self, device: Device, signals: Mapping[str, Signal]) -> None:
        source = device.profile.source
        if not isinstance(source, SerialSource):
            raise TypeError(f"{device.name} does not speak by itself")
        self.name = device.name
        self.kind = device.profile.kind
        self.period_ms = source.period_ms
        self._source = source
        self._fields = fields_of(device)
        self._groups = groups_of(device)
        self._signals = signals
        self._n = 0

    def frame(self, utc_ms: UtcMs) -> Answer:
        """The next frame, start to end."""
        self._n += 1
        now = Moment(utc_ms, self._n)
        values = [self._signals[field.name](now) for field in self._fields]
        parts = encode_parts(self._fields, values)
        content = parse.frame_content(self._source.parse, parts)
        served = tuple(
            Served(field.name, str(parts[field.part]).encode(), value, self._groups.get(field.name))
            for field, value in zip(self._fields, values, strict=True)
        )
        return Answer(framing.wrap(self._source.framing, content), self._n, served)


def fields_of(device: Device) -> tuple[Field, ...]:
    """All fields of the profile; those that are polled as the site says them."""
    polled = {field.name: field for group in device.polled for field in group.fields}
    return tuple(polled.get(field.name, field) for field in device.profile.fields)


def groups_of(device: Device) -> dict[str, Reported]:
    """Which group each polled field is reported in."""
    numbered = ((Reported(number, group.period_ms), group.fields) for number, group in enumerate(device.polled))
    return {field.name: reported for reported, fields in numbered for field in fields}


@dataclass(frozen=True, slots=True)
class _Mapped:
    """A field in its place."""

    field: Field
    signal: Signal
    first: int
    last: int
    block: Block

    @classmethod
    def of(cls, field: Field, signal: Signal) -> "_Mapped":
        if field.table is None or field.address is None:
            raise ValueError(f"{field.name} has no address")
        block = Block((field,), field.table, field.address, field.words)
        return cls(field, signal, field.address, field.address + field.words - 1, block)

    @property
    def addresses(self) -> range:
        return range(self.first, self.last + 1)

    def touches(self, first: int, last: int) -> bool:
        return self.first <= last and first <= self.last

    def within(self, first: int, last: int) -> bool:
        return first <= self.first and self.last <= last

    def overlaps(self, other: "_Mapped") -> bool:
        return self.field.table is other.field.table and self.touches(other.first, other.last)

    def words(self, now: Moment) -> Sequence[int]:
        """Its registers (or its bit) now; those of "no value" for a value that they cannot say."""
        try:
            data = self.block.encode((self.signal(now),))
        except ValueError:
            data = self.block.encode((None,))
        if self.field.table in BIT_TABLES:
            return [data[0] & 1]
        return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]


def _identity(one: Identify, number: int) -> tuple[Field, Signal]:
    """A register that tells the model, as a field of its own that always says the middle of what is expected."""
    field = Field(f"identity_{number}", "", "", "f", 6, table=one.table, address=one.address, type=one.type)
    middle = (one.low + one.high) / 2
    return field, lambda _: middle


def _spans(mapped: Iterable[_Mapped], table: Table, max_registers: int) -> tuple[tuple[int, int], ...]:
    """First and last address of each span, fields joined where one read of `max_registers` can step over the hole."""
    spans: list[tuple[int, int]] = []
    for one in sorted((one for one in mapped if one.field.table is table), key=lambda one: one.first):
        if spans and one.first - spans[-1][1] < max_registers:
            spans[-1] = (spans[-1][0], max(spans[-1][1], one.last))
        else:
            spans.append((one.first, one.last))
    return tuple(spans)


def _bytes(words: Iterable[int]) -> bytes:
    return b"".join(word.to_bytes(2, "big") for word in words)
