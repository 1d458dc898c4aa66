"""gateway.south.reads.plan against brute force on small maps, and greedy gap filling on any, the shipped too."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.profile.codec import Block
from gateway.profile.load import load
from gateway.profile.profile import Field, Line, ModbusSource
from gateway.protocols.modbus_pdu import ReadRequest, Table
from gateway.sources import search_path
from gateway.south.reads.plan import BITS, LineCost, Read, Span, bus_ms, halves, line_cost, plan, span_of
from tests.support.south import a_bus, a_field, a_profile, a_source

PROFILES = {ref: one for ref, one in load(search_path()).profiles.items() if isinstance(one.source, ModbusSource)}
TABLES = [Table.HOLDING, Table.INPUT, Table.COIL]
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
    """Fields that do not overlap, but for bits of one register; in any order."""
    fields: list[Field] = []
    at = dict.fromkeys(TABLES, 0)
    while len(fields) < most and (not fields or draw(st.integers(0, most))):
        table = draw(st.sampled_from(TABLES))
        types = ["bit"] if table is Table.COIL else ["u16", "f32", "u64", "bits"]
        made = list(_fields(at[table] + draw(st.integers(0, 12)), draw(st.sampled_from(types)), table))
        at[table] = span_of(made[0]).last + 1
        fields += made[: most - len(fields)]
    return draw(st.permutations(fields))


def _fields(address: int, type_: str, table: Table) -> Iterator[Field]:
    """One field, or two of one register."""
    if type_ != "bits":
        yield a_field(address, type_, table)
        return
    field = a_field(address, "u16", table)
    yield replace(field, name=f"{field.name}_low", bits=(0, 8))
    yield replace(field, name=f"{field.name}_high", bits=(8, 8))


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
    greedy = _greedy(fields, source, bridge)
    assert _price([read.span for read in reads], cost) <= _price(greedy, cost) + 1e-9


@pytest.mark.parametrize("ref", sorted(PROFILES))
@settings(max_examples=15, deadline=None)
@given(st.sampled_from([1200, 9600, 115_200]), st.sampled_from(["rtu", "tcp"]), st.integers(0, 125), st.data())
def test_never_worse_than_greedy_on_a_shipped_profile(
    ref: str, baud: int, transport: str, bridge: int, data: st.DataObject
) -> None:
    """All of its fields or any of them, at any speed, for a quick device and a slow one."""
    profile = PROFILES[ref]
    source = profile.source
    assert isinstance(source, ModbusSource)
    wanted = data.draw(st.lists(st.sampled_from(profile.fields), unique=True, min_size=1) | st.just(profile.fields))
    bus = replace(a_bus(transport=transport), line=Line(baud=baud))
    cost = replace(line_cost(bus, source), latency_ms=data.draw(st.sampled_from([0.5, 5.0, 80.0])))
    reads = plan(profile, wanted, cost)
    assert sorted(place for read in reads for place in read.fields) == list(range(len(wanted)))
    assert all(_legal(read.span, source, frozenset()) for read in reads)
    assert _price([read.span for read in reads], cost) <= _price(_greedy(wanted, source, bridge), cost) + 1e-9


@settings(max_examples=100)
@given(maps(30), SOURCES, COSTS, st.frozensets(SPANS, max_size=4), st.integers(1, 125), st.data())
def test_no_read_breaks_a_rule_and_none_is_needless(
    fields: list[Field],
    source: ModbusSource,
    cost: LineCost,
    refused: frozenset[Span],
    registers_max: int,
    data: st.DataObject,
) -> None:
    """Never over a hole, the limit of profile or spec, or what was refused; every field that may be read is, once."""
    alone = data.draw(st.frozensets(st.integers(0, len(fields) - 1), max_size=4))
    reads = plan(a_profile(fields, source), fields, cost, refused, alone, registers_max)
    places = [place for read in reads for place in read.fields]
    assert sorted(places) == [
        place
        for place, field in enumerate(fields)
        if _legal(span_of(field), source, frozenset() if place in alone else refused)
    ]
    for read in reads:
        spans = {span_of(fields[place]) for place in read.fields}
        asked_alone = any(place in alone for place in read.fields)
        assert _legal(read.span, source, frozenset() if asked_alone else refused)
        assert len(spans) == 1 or not asked_alone
        assert len(spans) == 1 or read.span.table in BITS or read.request.count <= registers_max


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
    assert all(read.span == span_of(fields[place]) for read in single for place in read.fields)


def _greedy(fields: Sequence[Field], source: ModbusSource, bridge: int) -> list[Span]:
    """Fields by address; the next one joins when the gap is not too wide and the read stays legal."""
    spans: list[Span] = []
    for span in sorted(span_of(field) for field in fields if _legal(span_of(field), source, frozenset())):
        at_hand = spans[-1] if spans and spans[-1].table == span.table else None
        joined = Span(span.table, at_hand.first, max(at_hand.last, span.last)) if at_hand else span
        if at_hand and span.first - at_hand.last - 1 <= bridge and _legal(joined, source, frozenset()):
            spans[-1] = joined
        else:
            spans.append(span)
    return spans


def _legal(span: Span, source: ModbusSource, refused: frozenset[Span]) -> bool:
    addresses = {(span.table, address) for address in range(span.first, span.last + 1)}
    holes = {(table, address) for table, first, last in source.never_read for address in range(first, last + 1)}
    whole = [{(one.table, address) for address in range(one.first, one.last + 1)} for one in refused]
    return (
        len(addresses) <= (2000 if span.table in BITS else min(source.max_registers, 125))
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
