"""gateway.south.plan against brute force and against greedy gap filling, on small maps."""

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.profile.codec import Block
from gateway.profile.profile import Field, ModbusSource
from gateway.protocols.modbus_pdu import ReadRequest, Table
from gateway.south.plan import LineCost, Read, Span, bus_ms, halves, plan, span_of
from tests.support.south import a_field, a_profile, a_source

TABLES = [Table.HOLDING, Table.INPUT]
COSTS = st.builds(LineCost, st.sampled_from([0.0, 0.1, 1.0, 4.0]), st.sampled_from([2.0, 12.0, 40.0]))
SPANS = st.builds(
    lambda table, first, length: Span(table, first, first + length),
    st.sampled_from(TABLES),
    st.integers(0, 40),
    st.integers(0, 12),
)
SOURCES = st.builds(
    lambda most, holes: a_source(max_registers=most, never_read=tuple((h.table, h.first, h.last) for h in holes)),
    st.sampled_from([4, 10, 125]),
    st.lists(SPANS, max_size=2),
)


@st.composite
def maps(draw: st.DrawFn, most: int) -> list[Field]:
    """Fields that do not overlap, in any order."""
    fields, at = [], dict.fromkeys(TABLES, 0)
    for _ in range(draw(st.integers(1, most))):
        table = draw(st.sampled_from(TABLES))
        field = a_field(at[table] + draw(st.integers(0, 12)), draw(st.sampled_from(["u16", "f32", "u64"])), table)
        at[table] = span_of(field).last + 1
        fields.append(field)
    return draw(st.permutations(fields))


@settings(max_examples=150)
@given(maps(6), SOURCES, COSTS, st.frozensets(SPANS, max_size=3))
def test_no_partition_is_cheaper(
    fields: list[Field], source: ModbusSource, cost: LineCost, refused: frozenset[Span]
) -> None:
    """Of all ways to put the readable fields into legal reads, whatever their order, the plan takes a cheapest."""
    reads = plan(a_profile(fields, source), fields, cost, refused)
    readable = [place for place, field in enumerate(fields) if _legal(span_of(field), source, refused)]
    assert sorted(place for read in reads for place in read.fields) == readable
    assert all(_legal(read.span, source, refused) for read in reads)
    prices = [_price(spans, cost) for spans in _partitions(readable, fields) if _all_legal(spans, source, refused)]
    assert _price([read.span for read in reads], cost) <= min(prices) + 1e-9


@settings(max_examples=150)
@given(maps(40), SOURCES, COSTS, st.integers(0, 40))
def test_never_worse_than_greedy(fields: list[Field], source: ModbusSource, cost: LineCost, bridge: int) -> None:
    """Whatever gap a greedy planner bridges, it is never cheaper."""
    reads = plan(a_profile(fields, source), fields, cost)
    readable = sorted(span_of(field) for field in fields if _legal(span_of(field), source, frozenset()))
    greedy: list[Span] = []
    for span in readable:
        joined = Span(span.table, greedy[-1].first, span.last) if greedy and greedy[-1].table == span.table else None
        near = joined is not None and span.first - greedy[-1].last - 1 <= bridge
        if joined is not None and near and _legal(joined, source, frozenset()):
            greedy[-1] = joined
        else:
            greedy.append(span)
    assert _price([read.span for read in reads], cost) <= _price(greedy, cost) + 1e-9


@settings(max_examples=50)
@given(maps(20), COSTS)
def test_halving_ends_in_single_fields(fields: list[Field], cost: LineCost) -> None:
    """Halves partition their read, lie inside it, and come down to exactly one read a field."""
    queue, single = list(plan(a_profile(fields), fields, cost)), []
    while queue:
        read = queue.pop()
        parts = halves(read, fields)
        assert all(read.span.covers(part.span) for part in parts)
        queue += parts
        single += [] if parts else [read]
    assert sorted(place for read in single for place in read.fields) == list(range(len(fields)))
    assert all(read.span == span_of(fields[read.fields[0]]) for read in single)


def _legal(span: Span, source: ModbusSource, refused: frozenset[Span]) -> bool:
    addresses = {(span.table, address) for address in range(span.first, span.last + 1)}
    holes = {(table, address) for table, first, last in source.never_read for address in range(first, last + 1)}
    whole = [{(one.table, address) for address in range(one.first, one.last + 1)} for one in refused]
    return (
        len(addresses) <= min(source.max_registers, 125)
        and not addresses & holes
        and not any(one <= addresses for one in whole)
    )


def _all_legal(spans: list[Span], source: ModbusSource, refused: frozenset[Span]) -> bool:
    return all(_legal(span, source, refused) for span in spans)


def _price(spans: list[Span], cost: LineCost) -> float:
    return sum(bus_ms(_read_of(span), cost) for span in spans)


def _read_of(span: Span) -> Read:
    request = ReadRequest(span.table, span.first, span.last - span.first + 1)
    return Read(request, Block([], request.table, request.address, request.count), ())


def _partitions(places: list[int], fields: list[Field]) -> Iterator[list[Span]]:
    """The spans of every partition of the fields into sets of one table."""
    if not places:
        yield []
        return
    for rest in _partitions(places[1:], fields):
        span = span_of(fields[places[0]])
        yield [span, *rest]
        for at, other in enumerate(rest):
            if other.table == span.table:
                joined = Span(span.table, min(span.first, other.first), max(span.last, other.last))
                yield [*rest[:at], joined, *rest[at + 1 :]]
