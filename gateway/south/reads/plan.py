"""Which reads fetch the wanted fields in the least modelled bus time. Pure: dynamic programming over sorted addresses.

Fields are sorted by (table, first address, length). Some cheapest plan consists of runs of that order: if two reads of
one table overlap, every field that starts inside the second can move to it, which shrinks the first and leaves the
second as it is; a read that lies inside another is dropped. So `best[j] = min over i of best[i] + cost(fields i..j)`
is exact, not a heuristic, also where fields overlap (bits of one register), as long as the cost of a read never falls
and its obstacles never vanish when it grows:
- cost = request, reply, silences and the device's latency, then registers carried (the tie-break where time does not
  tell);
- obstacles: the limits of the spec and of the profile, `never_read` addresses, and spans a device has refused: what was
  refused once is refused inside every longer read, so a refused span is all that has to be remembered.

A plan is made once for all devices of one model that have taught the same: fields, cost and refusals are its key.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import TypeAlias

from gateway.errors import BadReply
from gateway.profile.codec import Block, Decoded
from gateway.profile.profile import Field, ModbusSource, Profile
from gateway.protocols.modbus_pdu import ReadRequest, Table
from gateway.site import Bus

REGISTERS_MAX = 125  # modbus application protocol v1.1b3, 6.3 and 6.4
BITS_MAX = 2000  # 6.1 and 6.2
REQUEST_CHARS = 8  # unit_id, function, address, count, crc
REPLY_CHARS = 5  # unit_id, function, byte count, crc
SILENCE_CHARS, SILENCE_MS_MIN = 3.5, 1.75  # modbus over serial line v1.02, 2.5.1.1
LATENCY_MS = 5.0  # assumed of a device until it has been measured
PLANS_MAX = 128  # that are kept for the next device of a model
BITS = frozenset({Table.COIL, Table.DISCRETE})

_Price: TypeAlias = tuple[float, int]  # bus ms, registers carried
_Run: TypeAlias = tuple[tuple["Span", int], ...]  # fields: where each stands, and its place in the group


@dataclass(frozen=True, slots=True)
class LineCost:
    """What bus time is made of here."""

    char_ms: float  # 0 where bytes cost nothing against the turnaround: TCP
    turnaround_ms: float  # before each request: silence, the device's own pause, its wake-up
    latency_ms: float = 0.0  # from the last byte of the request to the first of the answer


FEWEST = LineCost(0.0, 1.0)  # where bytes take no time: the fewest reads are the cheapest, whatever one of them takes


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A closed range of addresses in one table."""

    table: Table
    first: int
    last: int

    def covers(self, other: "Span") -> bool:
        """Whether a read of this one would also read all of the other."""
        return self.table == other.table and self.first <= other.first and other.last <= self.last

    def touches(self, other: "Span") -> bool:
        """Whether a read of this one would also read some of the other."""
        return self.table == other.table and self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class Read:
    """One request of a plan, and what its data means."""

    request: ReadRequest
    block: Block
    fields: tuple[int, ...]  # places in the group, in the order of the block's values

    @property
    def span(self) -> Span:
        """The addresses it reads."""
        return Span(self.request.table, self.request.address, self.request.address + self.request.count - 1)

    def decode(self, data: bytes) -> Decoded:
        """Values of its fields; raises BadReply when `data` is not what the request asked for."""
        try:
            return self.block.decode(data)
        except ValueError as error:
            raise BadReply(str(error)) from error


def plan(
    profile: Profile,
    fields: Sequence[Field],
    cost: LineCost,
    refused: frozenset[Span] = frozenset(),
    alone: frozenset[int] = frozenset(),
    registers_max: int = REGISTERS_MAX,
) -> tuple[Read, ...]:
    """The cheapest reads for `fields`, by table and address.

    No read covers a span of `refused`, except that a field (by its place) in `alone` gets a read of its own. None takes
    more registers than spec, profile and `registers_max` allow, but that a field may be longer than the last one. A
    field that cannot be read under these rules is left out: its place is in no read.
    """
    source = profile.source
    if not isinstance(source, ModbusSource):
        raise TypeError(f"{profile.ref} is not read by Modbus")
    return _planned(source, tuple(fields), cost if cost.char_ms else FEWEST, refused, alone, registers_max)


@lru_cache(maxsize=PLANS_MAX)
def _planned(
    source: ModbusSource,
    fields: tuple[Field, ...],
    cost: LineCost,
    refused: frozenset[Span],
    alone: frozenset[int],
    registers_max: int,
) -> tuple[Read, ...]:
    holes = tuple(Span(*hole) for hole in source.never_read)
    rules = _Rules(cost, source.max_registers, registers_max, holes, tuple(sorted(refused)))
    wanted = sorted((span_of(field), place) for place, field in enumerate(fields))
    own = [(span, place) for span, place in wanted if place in alone and rules.legal(span)]
    runs: list[_Run] = [tuple(same) for _, same in groupby(own, key=lambda item: item[0])]
    shared = [(span, place) for span, place in wanted if place not in alone and rules.allow(span)]
    for _, places in groupby(shared, key=lambda item: item[0].table):
        runs += _cheapest(tuple(places), rules)
    return tuple(_read(run, fields) for run in sorted(runs))


def halves(read: Read, fields: Sequence[Field]) -> tuple[Read, ...]:
    """The same fields in two reads; none when all of them stand at the same addresses."""
    spans = sorted({span_of(fields[place]) for place in read.fields})
    if len(spans) == 1:
        return ()
    middle = spans[len(spans) // 2]
    run = sorted((span_of(fields[place]), place) for place in read.fields)
    parts = [item for item in run if item[0] < middle], [item for item in run if item[0] >= middle]
    return tuple(_read(tuple(part), fields) for part in parts)


def span_of(field: Field) -> Span:
    """Where a field of a Modbus map stands."""
    if field.table is None or field.address is None:
        raise TypeError(f"{field.name} stands in no Modbus table")
    return Span(field.table, field.address, field.address + field.words - 1)


def count(span: Span) -> int:
    """Registers or bits."""
    return span.last - span.first + 1


def bus_ms(read: Read, cost: LineCost) -> float:
    """Modelled time of one read, from the first byte of its request until the bus is free again."""
    return span_ms(read.span, cost)


def line_cost(bus: Bus, source: ModbusSource) -> LineCost:
    """The cost of reads of one device, from its bus's settings; nothing is measured yet."""
    if bus.packets:
        return LineCost(0.0, source.min_gap_ms + source.wake_ms, LATENCY_MS)
    line = bus.line if bus.serial else source.line  # behind a converter only the profile tells the line
    bits = 1 + line.bits + (line.parity != "N") + line.stop_bits
    char_ms = bits * 1000 / line.baud * (2 if bus.transport == "ascii" else 1)  # a byte is two characters there
    silence_ms = max(SILENCE_CHARS * char_ms, SILENCE_MS_MIN)
    wake_ms = len(source.wake) * char_ms + source.wake_ms
    # a device answers after the silence by which it knows that the request is over
    return LineCost(char_ms, max(silence_ms, source.min_gap_ms) + wake_ms, silence_ms + LATENCY_MS)


def latency_ms(reply_ms: float, cost: LineCost) -> float:
    """What of the time from the first byte of a request to the first of its reply was the device's."""
    return max(0.0, reply_ms - (REQUEST_CHARS + 1) * cost.char_ms)


@dataclass(frozen=True, slots=True)
class _Rules:
    """What a read may cover, and what it costs."""

    cost: LineCost
    registers_max: int
    shared_max: int  # registers of a read of several fields, as the device has taught
    holes: tuple[Span, ...]
    refused: tuple[Span, ...]

    def legal(self, span: Span) -> bool:
        limit = BITS_MAX if span.table in BITS else min(self.registers_max, REGISTERS_MAX)
        return count(span) <= limit and not any(hole.touches(span) for hole in self.holes)

    def allow(self, span: Span) -> bool:
        return self.legal(span) and not any(span.covers(refused) for refused in self.refused)

    def shares(self, span: Span) -> bool:
        return (span.table in BITS or count(span) <= self.shared_max) and self.allow(span)

    def price(self, span: Span) -> _Price:
        return span_ms(span, self.cost), count(span)


def _cheapest(places: _Run, rules: _Rules) -> list[_Run]:
    """The cheapest cut of one table's sorted fields into runs, each of which is one read."""
    best: list[tuple[_Price, int]] = [((0.0, 0), 0)]  # for the first j fields: price, and where their last run starts
    for end in range(1, len(places) + 1):
        best.append(min((_plus(best[start][0], price), start) for start, price in _runs_before(places, end, rules)))
    runs, end = [], len(places)
    while end:
        start = best[end][1]
        runs.append(places[start:end])
        end = start
    return runs


def _runs_before(places: _Run, end: int, rules: _Rules) -> Iterator[tuple[int, _Price]]:
    """Each allowed run that ends at `end`, as its start and price; a run of one field always is."""
    last = 0
    for start in reversed(range(end)):
        span, _ = places[start]
        last = max(last, span.last)
        run = Span(span.table, span.first, last)
        if run != span and not rules.shares(run):
            return
        yield start, rules.price(run)


def _read(run: _Run, fields: Sequence[Field]) -> Read:
    first, last = run[0][0].first, max(span.last for span, _ in run)
    request = ReadRequest(run[0][0].table, first, last - first + 1)
    places = tuple(place for _, place in run)
    block = Block([fields[place] for place in places], request.table, request.address, request.count)
    return Read(request, block, places)


def span_ms(span: Span, cost: LineCost) -> float:
    """As `bus_ms`, of one read of these addresses."""
    return cost.char_ms * _chars(span) + cost.turnaround_ms + cost.latency_ms


def _chars(span: Span) -> int:
    return REQUEST_CHARS + REPLY_CHARS + ((count(span) + 7) // 8 if span.table in BITS else 2 * count(span))


def _plus(one: _Price, other: _Price) -> _Price:
    return one[0] + other[0], one[1] + other[1]
