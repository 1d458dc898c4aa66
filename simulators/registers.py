"""The registers of one device: filled at the moment of each read from its signals, through the profile's own encoder.

The map is made of spans: the profile's fields and identity registers, joined across holes that one read may step over;
a hole reads as 0, an address in no span does not exist. What was written stays written. Pure.

A thousand devices answer from one process, so what can be remembered is: which fields a read shows (there are few
different reads), and the registers of a value and the meaning of registers until they change.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.model import Value
from gateway.profile.codec import Block
from gateway.profile.profile import Field, Identify
from gateway.protocols.modbus_pdu import ReadRequest, Table, pack_bits
from simulators.meaning import value_of
from simulators.signals import Moment, Signal

BIT_TABLES = frozenset({Table.COIL, Table.DISCRETE})
VIEWS_MAX = 64  # different reads that are remembered


@dataclass(frozen=True, slots=True)
class Reported:
    """In which of the device's groups a field is reported, and how often."""

    number: int
    every_ms: int


@dataclass(frozen=True, slots=True)
class Served:
    """One value in one reply."""

    field: str
    raw: bytes  # its registers as they stood in the reply; of a serial frame, its part
    value: Value
    group: Reported | None  # None: in no group


class Registers:
    """Four tables. `groups` names the group of each field that is reported; unless it `tells`, no value is told."""

    def __init__(
        self,
        fields: Iterable[tuple[Field, Signal]],
        identify: Sequence[Identify],
        groups: Mapping[str, Reported],
        never_read: Sequence[tuple[Table, int, int]],
        max_registers: int,
        *,
        tells: bool = True,
    ) -> None:
        self._tells = tells
        signals = {field.name: (field, signal) for field, signal in fields}
        scales = {name: signal for name, (field, signal) in signals.items() if field.hidden}
        mapped = [
            Place(field, _unscaled(signal, scales.get(field.scale_from)), groups.get(field.name))
            for field, signal in signals.values()
        ]
        self._scales = {one.field.name: one for one in mapped if one.field.hidden}
        identity = [Place(*_identity(one, number), None, is_value=False) for number, one in enumerate(identify)]
        self._places = (*mapped, *(one for one in identity if not any(one.overlaps(other) for other in mapped)))
        self._never_read = never_read
        self._spans = {table: _spans(self._places, table, max_registers) for table in Table}
        self._written: dict[Table, dict[int, bytes]] = {table: {} for table in Table}
        self._views: dict[ReadRequest, list[_Seen]] = {}

    def has(self, table: Table, address: int, count: int) -> bool:
        """Whether all of it lies in one span, and none of it where this device must never be read."""
        last = address + count - 1
        forbidden = any(t is table and first <= last and address <= end for t, first, end in self._never_read)
        return not forbidden and any(first <= address and last <= end for first, end in self._spans[table])

    def read(self, request: ReadRequest, now: Moment) -> tuple[bytes, tuple[Served, ...]] | None:
        """The data of the reply, and the values whose registers are all in it; None where there are none such."""
        view = self._view(request)
        if view is None:
            return None
        unit = _unit_bytes(request.table)
        image = bytearray(unit * request.count)
        for seen in view:
            shown = seen.place.raw(now)[seen.raw]
            if seen.place.shares_register:
                shown = bytes(map(int.__or__, shown, image[seen.image]))
            image[seen.image] = shown
        if written := self._written[request.table]:
            for number in range(request.count):
                if kept := written.get(request.address + number):
                    image[unit * number : unit * (number + 1)] = kept
        data = bytes(image) if unit > 1 else pack_bits([bit != 0 for bit in image])
        if not self._tells:
            return data, ()
        values = [
            seen.place.served(bytes(image[seen.image]), self._power(seen.place.field, now))
            for seen in view
            if seen.whole
        ]
        return data, tuple(one for one in values if one is not None)

    def write(self, table: Table, address: int, values: Sequence[int]) -> bool:
        """False where there are no such registers."""
        if not self.has(table, address, len(values)):
            return False
        unit = _unit_bytes(table)
        self._written[table] |= {address + at: value.to_bytes(unit) for at, value in enumerate(values)}
        return True

    def _power(self, field: Field, now: Moment) -> Value | None:
        """What the scale register of the field says, as it would be read now."""
        scale = self._scales.get(field.scale_from)
        if scale is None:
            return None
        written = self._written[scale.table]
        own = scale.raw(now)
        words = (
            written.get(address, own[2 * n : 2 * n + 2]) for n, address in enumerate(range(scale.first, scale.last + 1))
        )
        return value_of(scale.field, b"".join(words))

    def _view(self, request: ReadRequest) -> "list[_Seen] | None":
        known = self._views.get(request)
        if known is not None:
            return known
        if not self.has(request.table, request.address, request.count):
            return None
        view = [_Seen.of(place, request) for place in self._places if place.touches(request)]
        if len(self._views) < VIEWS_MAX:
            self._views[request] = view
        return view


class Place:
    """A field in the map: its registers as its signal says them now; of a coil, one byte, 0 or 1."""

    def __init__(self, field: Field, signal: Signal, group: Reported | None, *, is_value: bool = True) -> None:
        if field.table is None or field.address is None:
            raise ValueError(f"{field.name} has no address")
        self.field = field
        self.table = field.table
        self.first = field.address
        self.last = field.address + field.words - 1
        self.is_value = is_value and not field.hidden
        self.shares_register = field.bits is not None
        self._signal = signal
        self._group = group
        self._block = Block((field,), field.table, field.address, field.words)
        self._encoded: tuple[Value | None, bytes] = (None, self._encode(None))
        self._meant: tuple[bytes, Value | None, Served | None] = (b"", None, None)

    def touches(self, request: ReadRequest) -> bool:
        """Whether the read shows any of it."""
        end = request.address + request.count
        return self.table is request.table and self.first < end and request.address <= self.last

    def overlaps(self, other: "Place") -> bool:
        """Whether it stands on the same registers."""
        return self.table is other.table and self.first <= other.last and other.first <= self.last

    def raw(self, now: Moment) -> bytes:
        """Its registers; those of "no value" for a value that they cannot say."""
        value = self._signal(now)
        if value != self._encoded[0]:
            self._encoded = value, self._encode(value)
        return self._encoded[1]

    def served(self, raw: bytes, power: Value | None) -> Served | None:
        """What these registers tell of the field; None where the gateway must not take them for a value."""
        if (raw, power) != self._meant[:2]:
            value = value_of(self.field, raw, power)
            believed = value is not None and self._plausible(value)
            told = Served(self.field.name, raw, value, self._group) if believed and value is not None else None
            self._meant = raw, power, told
        return self._meant[2]

    def _encode(self, value: Value | None) -> bytes:
        try:
            data = self._block.encode((value,))
        except ValueError:
            data = self._block.encode((None,))
        return bytes((data[0] & 1,)) if self.table in BIT_TABLES else data

    def _plausible(self, value: Value) -> bool:
        low, high = self.field.low, self.field.high
        if self.field.letter != "f" or isinstance(value, str):
            return True
        return (low is None or low <= value) and (high is None or value <= high)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one read shows of one field."""

    place: Place
    image: slice  # in the bytes of the read
    raw: slice  # in the field's own
    whole: bool

    @classmethod
    def of(cls, place: Place, request: ReadRequest) -> "_Seen":
        unit, end = _unit_bytes(request.table), request.address + request.count
        first, last = max(place.first, request.address), min(place.last, end - 1)
        image = slice(unit * (first - request.address), unit * (last + 1 - request.address))
        raw = slice(unit * (first - place.first), unit * (last + 1 - place.first))
        return cls(place, image, raw, place.is_value and (first, last) == (place.first, place.last))


def _unit_bytes(table: Table) -> int:
    """How many bytes one address is while it is worked on."""
    return 1 if table in BIT_TABLES else 2


def _unscaled(signal: Signal, scale: Signal | None) -> Signal:
    """What stands in the registers of a field whose power of ten stands in others."""
    if scale is None:
        return signal
    return lambda now: float(signal(now)) / 10 ** int(scale(now))


def _identity(one: Identify, number: int) -> tuple[Field, Signal]:
    """A register that tells the model, as a field of its own that always says the middle of what is expected."""
    field = Field(f"identity_{number}", "", "", "f", 6, table=one.table, address=one.address, type=one.type)
    middle = (one.low + one.high) / 2
    return field, lambda _: middle


def _spans(places: Iterable[Place], table: Table, max_registers: int) -> tuple[tuple[int, int], ...]:
    """First and last address of each span, fields joined where one read of `max_registers` can step over the hole."""
    spans: list[tuple[int, int]] = []
    for one in sorted((one for one in places if one.table is table), key=lambda one: one.first):
        if spans and one.first - spans[-1][1] < max_registers:
            spans[-1] = (spans[-1][0], max(spans[-1][1], one.last))
        else:
            spans.append((one.first, one.last))
    return tuple(spans)
