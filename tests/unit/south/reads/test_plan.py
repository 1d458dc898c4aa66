"""gateway.south.reads.plan: known maps, limits, holes, refusals, cost."""

from dataclasses import replace

import pytest

from gateway.errors import BadReply
from gateway.profile.profile import Line, SerialSource
from gateway.protocols.framing import Framing
from gateway.protocols.modbus_pdu import Table
from gateway.protocols.parse import Parse
from gateway.south.reads.plan import LineCost, Read, Span, bus_ms, halves, latency_ms, line_cost, plan, span_of
from tests.support.south import a_bus, a_field, a_profile, a_source

SLOW = LineCost(char_ms=1.0, turnaround_ms=20.0)
TCP = LineCost(char_ms=0.0, turnaround_ms=5.0)


def _requests(reads: tuple[Read, ...]) -> list[tuple[str, int, int]]:
    return [(str(read.request.table), read.request.address, read.request.count) for read in reads]


def test_neighbours_share_a_read() -> None:
    """Adjacent fields are fetched together, wherever they stand in the group."""
    fields = [a_field(2, "f32"), a_field(0, "u32"), a_field(4)]
    (read,) = plan(a_profile(fields), fields, SLOW)
    assert _requests((read,)) == [("holding", 0, 5)]
    assert read.fields == (1, 0, 2)


def test_a_gap_is_bridged_only_while_it_is_cheaper_than_a_read() -> None:
    """One more read costs 33 ms here, a register 2 ms: 16 registers are bridged, 17 are not."""
    near, far = [a_field(0), a_field(17)], [a_field(0), a_field(18)]
    assert _requests(plan(a_profile(near), near, SLOW)) == [("holding", 0, 18)]
    assert _requests(plan(a_profile(far), far, SLOW)) == [("holding", 0, 1), ("holding", 18, 1)]


def test_where_bytes_are_free_fewer_registers_break_the_tie() -> None:
    """On TCP two reads are needed for 0, 100 and 150: the ones that carry least are taken."""
    fields = [a_field(0), a_field(100), a_field(150)]
    assert _requests(plan(a_profile(fields), fields, TCP)) == [("holding", 0, 1), ("holding", 100, 51)]


def test_where_bytes_are_free_the_latency_changes_no_plan() -> None:
    """Not even one too short to be measured: a gap is still filled. And devices that differ in it share one plan."""
    fields = [a_field(0), a_field(9), a_field(50)]
    fast, slow = (plan(a_profile(fields), fields, LineCost(0.0, 0.0, latency_ms)) for latency_ms in (0.0, 80.0))
    assert _requests(fast) == [("holding", 0, 51)]
    assert fast is slow


def test_tables_are_never_mixed() -> None:
    """The same addresses of four tables are four reads."""
    fields = [a_field(0, "bit" if table in {Table.COIL, Table.DISCRETE} else "u16", table) for table in Table]
    assert sorted(table for table, _, _ in _requests(plan(a_profile(fields), fields, TCP))) == sorted(map(str, Table))


def test_max_registers_of_the_profile_is_honoured() -> None:
    """A device that takes ten registers at a time is never asked for more, and no value is torn."""
    fields = [a_field(address, "f32") for address in range(0, 30, 2)]
    reads = plan(a_profile(fields, a_source(max_registers=9)), fields, SLOW)
    assert sorted(count for _, _, count in _requests(reads)) == [6, 8, 8, 8]


@pytest.mark.parametrize(("type_", "table", "limit"), [("u16", Table.INPUT, 125), ("bit", Table.COIL, 2000)])
def test_limits_of_the_specification(type_: str, table: Table, limit: int) -> None:
    """125 registers (6.3, 6.4) and 2000 bits (6.1, 6.2) go into one read; one more does not."""
    fields = [a_field(0, type_, table), a_field(limit - 1, type_, table)]
    free = LineCost(0.0, 1.0)
    assert _requests(plan(a_profile(fields, a_source(max_registers=1000)), fields, free)) == [(str(table), 0, limit)]
    fields = [a_field(0, type_, table), a_field(limit, type_, table)]
    assert len(plan(a_profile(fields, a_source(max_registers=1000)), fields, free)) == 2


def test_a_never_read_register_is_not_crossed() -> None:
    """A hole splits what would otherwise be one read; a hole in another table does not."""
    fields = [a_field(0), a_field(2)]
    holed = a_source(never_read=((Table.HOLDING, 1, 1),))
    other = a_source(never_read=((Table.INPUT, 1, 1),))
    assert len(plan(a_profile(fields, holed), fields, SLOW)) == 2
    assert len(plan(a_profile(fields, other), fields, SLOW)) == 1


def test_a_field_on_a_never_read_register_is_in_no_read() -> None:
    """Not even when it is to be read alone."""
    fields = [a_field(0), a_field(1)]
    reads = plan(a_profile(fields, a_source(never_read=((Table.HOLDING, 1, 1),))), fields, SLOW, alone=frozenset({1}))
    assert [read.fields for read in reads] == [(0,)]


def test_a_refused_field_is_left_out_or_read_alone() -> None:
    """Its neighbours are read around it either way."""
    fields = [a_field(0), a_field(1), a_field(2)]
    refused = frozenset({span_of(fields[1])})
    assert [read.fields for read in plan(a_profile(fields), fields, SLOW, refused)] == [(0,), (2,)]
    reads = plan(a_profile(fields), fields, SLOW, refused, frozenset({1}))
    assert [read.fields for read in reads] == [(0,), (1,), (2,)]


def test_a_refused_span_is_never_covered_again() -> None:
    """0-9 was refused: everything but the whole of it may still be read at once, the cheaper half of it."""
    fields = [a_field(0), a_field(5), a_field(9)]
    reads = plan(a_profile(fields), fields, SLOW, frozenset({Span(Table.HOLDING, 0, 9)}))
    assert _requests(reads) == [("holding", 0, 1), ("holding", 5, 5)]


def test_halves_keep_every_field_and_end_at_one() -> None:
    """What stands in a read stands in its halves; a single field has none."""
    fields = [a_field(8), a_field(0), a_field(4, "f32")]
    (read,) = plan(a_profile(fields), fields, SLOW)
    left, right = halves(read, fields)
    assert (left.fields, right.fields) == ((1,), (2, 0))
    assert _requests((left, right)) == [("holding", 0, 1), ("holding", 4, 5)]
    assert halves(left, fields) == ()


def test_modelled_time_of_a_read() -> None:
    """8 characters ask, 5 + 2 x 100 answer; 16 coils are two bytes."""
    fields = [a_field(0), a_field(99)]
    (read,) = plan(a_profile(fields), fields, LineCost(1.0, 1000.0))
    assert bus_ms(read, SLOW) == pytest.approx(8 + 5 + 200 + 20)
    coils = [a_field(0, "bit", Table.COIL), a_field(15, "bit", Table.COIL)]
    (read,) = plan(a_profile(coils), coils, SLOW)
    assert bus_ms(read, SLOW) == pytest.approx(8 + 5 + 2 + 20)


def test_cost_of_a_serial_line() -> None:
    """9600 8N1: 10 bits a character, 3.5 characters of silence twice; a profile's min_gap replaces the second one."""
    cost = line_cost(a_bus(), a_source())
    assert cost.char_ms == pytest.approx(10 / 9.6)
    assert line_cost(a_bus(), a_source(min_gap_ms=50.0)).turnaround_ms == pytest.approx(
        cost.turnaround_ms - 3.5 * 10 / 9.6 + 50
    )


def test_cost_behind_a_converter_is_that_of_the_line_behind_it() -> None:
    """The bus of a converter has no line of its own: the profile's counts; plain TCP has no characters at all."""
    slow = a_source(line=Line(baud=1200, parity="E"))
    assert line_cost(a_bus(transport="rtu_over_tcp"), slow).char_ms == pytest.approx(11 / 1.2)
    assert line_cost(a_bus(transport="tcp"), slow).char_ms == 0


def test_waking_a_device_is_part_of_each_read() -> None:
    """Its bytes on the line, and the pause behind them; where bytes cost nothing, the pause."""
    awake, asleep = a_source(), a_source(wake=b"\x00\x00", wake_ms=30)
    serial = line_cost(a_bus(), asleep).turnaround_ms - line_cost(a_bus(), awake).turnaround_ms
    assert serial == pytest.approx(2 * 10 / 9.6 + 30)
    bus = a_bus(transport="tcp")
    assert line_cost(bus, asleep).turnaround_ms - line_cost(bus, awake).turnaround_ms == 30


def test_what_of_a_reply_time_is_the_devices() -> None:
    """Neither the eight characters of the request nor the first one of the reply; never less than nothing."""
    assert latency_ms(29.0, SLOW) == pytest.approx(20.0)
    assert latency_ms(3.0, SLOW) == 0
    assert latency_ms(12.5, TCP) == 12.5


def test_the_next_device_of_a_model_gets_the_same_plan() -> None:
    """Nothing is computed twice for fifty meters; one that has taught something else gets its own."""
    fields = [a_field(n) for n in range(20)]
    one, other = (plan(a_profile(fields), list(fields), SLOW) for _ in range(2))
    assert one is other
    assert plan(a_profile(fields), fields, SLOW, frozenset({span_of(fields[3])})) != one


def test_bits_of_one_register_are_one_read_and_stay_so() -> None:
    """They are read together, alone or shared, and cannot be split."""
    bits = [replace(a_field(5), name=f"b{n}", bits=(n, 1)) for n in range(3)]
    (read,) = plan(a_profile(bits), bits, SLOW)
    assert (read.request.count, read.fields, halves(read, bits)) == (1, (0, 1, 2), ())
    (read,) = plan(a_profile(bits), bits, SLOW, frozenset({span_of(bits[0])}), frozenset({0, 1, 2}))
    assert (read.request.count, read.fields) == (1, (0, 1, 2))


def test_what_a_device_takes_at_once_bounds_shared_reads_only() -> None:
    """Three registers at a time; a value of four is asked for as it is."""
    fields = [a_field(0), a_field(1), a_field(2), a_field(3), a_field(4, "u64")]
    reads = plan(a_profile(fields), fields, SLOW, registers_max=3)
    assert sorted(count for _, _, count in _requests(reads)) == [1, 3, 4]


def test_data_of_the_wrong_size_is_a_bad_reply() -> None:
    """No foreign exception leaves a plan's read."""
    fields = [a_field(0)]
    (read,) = plan(a_profile(fields), fields, SLOW)
    assert read.decode(b"\x00\x07").values == (7,)
    with pytest.raises(BadReply):
        read.decode(b"\x00")


def test_only_modbus_profiles_are_planned() -> None:
    """A serial sensor, or a field without an address, has no reads."""
    serial = SerialSource(Line(), Framing("line", 80, end=b"\n"), Parse("split"), 1000)
    with pytest.raises(TypeError):
        plan(a_profile([], serial), [], SLOW)
    with pytest.raises(TypeError):
        span_of(a_field(0).__class__("x", "number", "1", "f", 0))
