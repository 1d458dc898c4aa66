"""gateway.south.rounds: how what another master reads becomes rows."""

import pytest

from gateway.model import BootMs, Quality, Row
from gateway.profile.profile import Field
from gateway.protocols.modbus_pdu import ReadRequest, Table
from gateway.south.rounds import READS_MAX, ROUND_MS_MAX, Rounds
from tests.support.south import a_device, a_field
from tests.support.wires import holding


def rounds(*fields: Field, period_ms: int = 1000) -> Rounds:
    """Of a group with these fields."""
    return Rounds(a_device("m", (fields, period_ms)).polled[0])


def says(one: Rounds, address: int, *words: int, at: int) -> list[Row]:
    """A reply with these registers."""
    data = b"".join(word.to_bytes(2) for word in words)
    return list(one.take(holding(len(words), address), data, BootMs(at)))


def test_one_reply_with_all_fields_is_a_row_at_once() -> None:
    """With the time of that reply."""
    (row,) = says(rounds(a_field(0), a_field(1)), 0, 7, 8, at=5)
    assert (row.values, row.quality, row.at) == ((7, 8), (), 5)


def test_a_round_of_several_reads_is_one_row() -> None:
    """Its time is that of the first reply."""
    one = rounds(a_field(0), a_field(10))
    assert says(one, 0, 3, at=1000) == []
    (row,) = says(one, 10, 4, at=1050)
    assert (row.values, row.at, row.quality) == ((3, 4), 1000, ())


def test_fields_that_never_come_are_not_waited_for() -> None:
    """But in the first round, which shows what comes."""
    one = rounds(a_field(0), a_field(10), a_field(20))
    assert says(one, 0, 1, at=0) == says(one, 10, 2, at=50) == []
    (first,) = says(one, 0, 3, at=1000)
    assert (first.at, first.values) == (0, (1, 2, None))
    (row,) = says(one, 10, 4, at=1050)
    assert (row.at, row.values) == (1000, (3, 4, None))


def test_a_field_that_comes_again_begins_the_next_round() -> None:
    """What the old round did not bring is null: nothing is carried over."""
    one = rounds(a_field(0), a_field(10), period_ms=2000)
    says(one, 0, 1, at=0)
    says(one, 10, 1, at=1)
    assert says(one, 0, 2, at=2000) == []
    (row,) = says(one, 0, 3, at=3900)
    assert (row.at, row.values, row.quality) == (2000, (2, None), ((1, Quality.NO_REPLY),))


def test_a_round_ends_with_its_period() -> None:
    """Or after two seconds, when the period is long."""
    for period_ms in (1000, 60_000):
        one = rounds(a_field(0), a_field(10), period_ms=period_ms)
        says(one, 0, 1, at=0)
        says(one, 10, 1, at=1)
        says(one, 0, 2, at=period_ms)
        ends = period_ms + min(period_ms, ROUND_MS_MAX)
        assert one.ends_at == ends
        assert one.end(BootMs(ends - 1)) is None
        row = one.end(BootMs(ends))
        assert row
        assert (row.at, row.values) == (period_ms, (2, None))
        assert one.ends_at is None


def test_a_faster_master_is_sampled() -> None:
    """One row a period; a master in step with the period fills every one, jitter or not."""
    one = rounds(a_field(0))
    assert [row.at for n in range(50) for row in says(one, 0, n, at=n * 100)] == [0, 800, 1600, 2400, 3200, 4000, 4800]
    one = rounds(a_field(0))
    assert len([row for n in range(50) for row in says(one, 0, n, at=n * 1000 - 30 * (n % 3))]) == 50


def test_a_slower_field_makes_a_row_when_it_comes() -> None:
    """With its own time, and no row waits for it."""
    one = rounds(a_field(0), a_field(10))
    rows = []
    for second in range(40):
        rows += says(one, 0, second, at=second * 1000)
        if second % 20 == 5:
            rows += says(one, 10, second, at=second * 1000 + 300)
    slow = [row for row in rows if row.values[1] is not None]
    assert [row.values[1] for row in slow] == [5, 25]
    assert len([row for row in rows if row.values[0] is not None]) >= 36


def test_a_field_that_two_replies_hold_in_halves_is_not_put_together() -> None:
    """Half of it may be a second old."""
    one = rounds(a_field(0, "u32"), a_field(2))
    assert says(one, 0, 1, at=0) == []
    assert says(one, 1, 2, 9, at=10) == []
    assert [row.values for row in says(one, 0, 0, 5, 6, at=1010)] == [(None, 9), (5, 6)]


def test_other_tables_and_addresses_say_nothing() -> None:
    """And what never came is named."""
    one = rounds(a_field(0, name="a"), a_field(1, name="b"))
    assert list(one.take(ReadRequest(Table.INPUT, 0, 2), b"\0\1\0\2", BootMs(0))) == []
    assert says(one, 100, 1, 2, at=1) == []
    assert list(one.never_heard) == ["a", "b"]
    says(one, 1, 5, at=2)
    assert list(one.never_heard) == ["a"]


def test_what_the_device_refuses_is_null_refused() -> None:
    """When the rest of the round is good."""
    one = rounds(a_field(0), a_field(10))
    says(one, 0, 1, at=0)
    says(one, 10, 1, at=1)
    one.refuse(holding(1, 0))
    assert one.ends_at is None
    says(one, 0, 2, at=1000)
    one.refuse(holding(1, 10))
    row = one.end(BootMs(2000))
    assert row
    assert row.quality == ((1, Quality.REFUSED),)


def test_values_of_one_round_are_finished_together() -> None:
    """The power of ten stands in another register, which is not reported."""
    scaled = Field("power", "number", "1", "f", 1, table=Table.HOLDING, address=0, type="u16", scale_from="tens")
    tens = Field("tens", "number", "1", "f", 0, table=Table.HOLDING, address=1, type="i16", hidden=True)
    polled = a_device("m", ([scaled], 1000)).polled[0]
    one = Rounds(type(polled)(polled.group, (scaled, tens), 1000))
    (row,) = says(one, 0, 123, 0xFFFF, at=0)
    assert row.values == (12.3,)


def test_what_is_remembered_is_bounded() -> None:
    """A master that asks differently every time."""
    one = rounds(a_field(0))
    for n in range(3 * READS_MAX):
        list(one.take(holding(1 + n % 100, n), bytes(2 * (1 + n % 100)), BootMs(n)))
    assert len(one._layouts) <= READS_MAX


def test_data_of_another_length_are_refused() -> None:
    """They are not what the request asked for."""
    with pytest.raises(ValueError, match="bytes"):
        list(rounds(a_field(0)).take(holding(2), b"\0\1", BootMs(0)))
