"""`gateway.wire.body`: what the writer makes, and what it refuses to make."""

import math
import zlib
from typing import Any

import orjson
import pytest

from gateway.model import BootMs, Detail, Event, Gap, Group, Quality, Row, UtcMs, Value
from gateway.wire import body

METER = Group("meter-1", "energy_meter", "eastron/sdm630@1", ("voltage_l1", "frequency"), "ff")
MIXED = Group("station-1", "weather_station", "a/b@1", ("ok", "text", "level"), "bsf")


def row(at: int, *values: Value | None, group: Group = METER, quality: tuple[tuple[int, Quality], ...] = ()) -> Row:
    """A row of the meter."""
    return Row(group, BootMs(at), values, quality)


def written(*items: Row | Event, b0: int = 1000) -> Any:
    """The JSON of a body with these."""
    writer = body.BodyWriter(BootMs(b0))
    for item in items:
        writer.add(item)
    enc, data = writer.encode()
    return orjson.loads(zlib.decompress(data) if enc == "zlib" else data)


def test_the_designs_example_is_what_is_written() -> None:
    """W-30, W-32: rows in arrays, codes in q, events beside them."""
    writer = body.BodyWriter(BootMs(5000))
    writer.add(row(5000, 230.2, 50.0))
    writer.add(row(6000, 230.1, None, quality=((1, Quality.NO_REPLY),)))
    writer.add(Event(BootMs(6000), "meter-1", "field_refused", "frequency"))
    enc, data = writer.encode()
    assert (zlib.decompress(data) if enc == "zlib" else data) == (
        b'{"g":[{"d":"meter-1","k":"energy_meter","p":"eastron/sdm630@1","f":["voltage_l1","frequency"],"t":"ff",'
        b'"r":[[0,230.2,50.0],[1000,230.1,null]],"q":[[1,1,"no_reply"]]}],'
        b'"e":[[1000,"meter-1","field_refused","frequency"]]}'
    )
    assert (writer.n, writer.b0, writer.last, writer.empty) == (2, 5000, 6000, False)


def test_an_older_row_moves_b0_back() -> None:
    """W-34: rows never lie before t0, in whatever order two buses finish."""
    found = written(row(1000, 1.0, 2.0), row(990, True, "x", 3.0, group=MIXED), b0=1000)
    assert [group["r"][0][0] for group in found["g"]] == [10, 0]


def test_an_older_event_has_a_negative_time() -> None:
    """W-43: an event moves nothing."""
    assert written(row(1000, 1.0, 2.0), Event(BootMs(400), "", "x"))["e"] == [[-600, "", "x", ""]]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400])
def test_no_numbers_become_null_with_their_code(value: float) -> None:
    """W-44: JSON has no NaN; the reading is not lost but told."""
    found = written(row(1000, value, 50.0))["g"][0]
    assert found["r"] == [[0, None, 50.0]]
    assert found["q"] == [[0, 0, "not_a_number"]]


def test_integers_are_written_as_floats() -> None:
    """W-37: a field is a float in every store, so it looks like one on the wire."""
    assert orjson.dumps(written(row(1000, 230, 2**64))["g"][0]["r"]) == b"[[0,230.0,1.8446744073709552e+19]]"


@pytest.mark.parametrize(
    "wrong",
    [
        row(1000, None, None, quality=((0, Quality.NO_REPLY), (1, Quality.NO_REPLY))),
        row(1000, math.nan, None, quality=((1, Quality.NO_REPLY),)),
        row(1000, 1.0, None),
        row(1000, 1.0, 2.0, quality=((1, Quality.STUCK),)),
        row(1000, 1.0),
        row(1000, True, 1.0),
        row(1000, "1.0", 1.0),
        row(1000, 1, "x", 1.0, group=MIXED),
        row(1000, True, 1.0, 1.0, group=MIXED),
        row(1000, True, "a\nb", 1.0, group=MIXED),
        row(1000, True, "a" * 256, 1.0, group=MIXED),
        row(1000, True, "\ud800", 1.0, group=MIXED),
        row(1000, 1.0, group=Group("Meter", "k", "a/b@1", ("x",), "f")),
        row(1000, 1.0, group=Group("m", "gw_batch", "a/b@1", ("x",), "f")),
        row(1000, 1.0, group=Group("m", "k", "a/b", ("x",), "f")),
        row(1000, 1.0, group=Group("m", "k", "a/b@1", ("time",), "f")),
        row(1000, 1.0, group=Group("m", "k", "a/b@1", ("x",), "i")),
        row(1000, 1.0, 2.0, group=Group("m", "k", "a/b@1", ("x", "x"), "ff")),
        row(1000 + 86_400_001, 1.0, 2.0),
        Event(BootMs(1000), "", "Bad code"),
        Event(BootMs(10**13), "", "x"),
    ],
)
def test_what_a_reader_would_refuse_is_not_written(wrong: Row | Event) -> None:
    """W-30 to W-45: our own bug is told at once, before it can poison a batch; what was in it stays."""
    writer = body.BodyWriter(BootMs(1000))
    writer.add(row(1000, 9.0, 9.0, group=Group("other", "k", "a/b@1", ("x", "y"), "ff")))
    before = (writer.n, writer.size_bytes_estimate, writer.b0, writer.last)
    with pytest.raises(ValueError, match=r"."):
        writer.add(wrong)
    assert (writer.n, writer.size_bytes_estimate, writer.b0, writer.last) == before
    assert body.decode(*writer.encode()).n == 1


def test_times_of_a_group_rise() -> None:
    """W-35: a second row of one time would overwrite the first in the store."""
    writer = body.BodyWriter(BootMs(1000))
    writer.add(row(1000, 1.0, 2.0))
    for at in (1000, 999):
        with pytest.raises(ValueError, match="rise"):
            writer.add(row(at, 1.0, 2.0))


@pytest.mark.parametrize(
    ("detail", "on_the_wire"),
    [
        ("port\ngone", "port gone"),
        ("x" * 300, "x" * 256),
        (("a\x00", 1, 2.5, True), ["a ", 1, 2.5, 1]),
        ((math.nan, math.inf, 2**70), ["nan", "inf", str(2**70)]),
        (tuple(range(20)), list(range(16))),
    ],
)
def test_an_event_is_never_lost_for_its_wording(detail: Detail, on_the_wire: object) -> None:
    """W-45: texts are cleaned and cut; what JSON cannot say is said in words."""
    found = written(Event(BootMs(1000), "rs485-1\x07", "bus_down", detail))["e"]
    assert found == [[0, "rs485-1 ", "bus_down", on_the_wire]]


def test_zlib_only_where_it_is_smaller() -> None:
    """W-31: a tiny body travels as it is."""
    small, big = body.BodyWriter(BootMs(0)), body.BodyWriter(BootMs(0))
    small.add(Event(BootMs(0), "", "x"))
    for at in range(100):
        big.add(row(at, 230.1, 50.0))
    assert small.encode() == ("none", b'{"e":[[0,"","x",""]]}')
    enc, data = big.encode()
    assert enc == "zlib"
    assert len(data) < len(zlib.decompress(data))


def test_fits_says_when_a_message_could_pass_64_kib() -> None:
    """W-1: filled to the brim with text that does not compress, the body stays under its bound."""
    group = Group("s", "k", "a/b@1", ("t",), "s")
    writer, at = body.BodyWriter(BootMs(0)), 0
    while writer.fits(item := row(at, '"' * 250, group=group)):
        writer.add(item)
        at += 1
    assert body.MAX_BODY_BYTES - 600 < writer.size_bytes_estimate <= body.MAX_BODY_BYTES
    names = tuple(letter * 60 for letter in "abcdefghij")
    assert not writer.fits(row(0, *[1.0] * 10, group=Group("n", "k", "a/b@1", names, "f" * 10)))
    assert len(orjson.dumps(written(*[row(i, '"' * 250, group=group) for i in range(at)]))) <= body.MAX_BODY_BYTES


def test_a_row_that_was_only_asked_about_leaves_no_trace() -> None:
    """`fits` weighs what `add` then takes; a row that never comes must not stand in the way of another of its group."""
    writer = body.BodyWriter(BootMs(0))
    wide = Group("s", "k", "a/b@1", tuple(f"t{n}" for n in range(20)), "s" * 20)
    for at in range(5):  # so full that it looks at what is to come
        writer.add(row(at, *["x" * 200] * 20, group=wide))
    assert writer.fits(row(5, 230.2, 50.0))
    writer.add(row(6, 230.3, 50.0))
    assert writer.fits(row(5, 230.2, 50.0))
    writer.add(row(7, 230.4, None, quality=((1, Quality.NO_REPLY),)))
    enc, data = writer.encode()
    assert [at for group in body.decode(enc, data).groups for at, _ in group.rows] == [0, 1, 2, 3, 4, 6, 7]


def test_an_item_has_a_bound_of_its_own() -> None:
    """A single row that would not leave room for anything is refused."""
    fields = tuple(f"f{index}" for index in range(200))
    with pytest.raises(ValueError, match="bytes"):
        body.BodyWriter(BootMs(0)).add(row(0, *['"' * 250] * 200, group=Group("s", "k", "a/b@1", fields, "s" * 200)))


def test_a_body_of_gaps() -> None:
    """W-46, W-47: records only, as they come."""
    enc, data = body.encode_gaps([Gap("k3v9x2", 4711, 4711, None, None, None, "corrupt")])
    json = zlib.decompress(data) if enc == "zlib" else data
    assert json == b'{"x":[["k3v9x2",4711,4711,null,null,null,"corrupt"]]}'


def test_the_most_gaps_fit_a_message() -> None:
    """W-48: 400 of the longest records stay under 64 KiB uncompressed; one more is refused."""
    latest = UtcMs(8_000_000_000_000)
    longest = Gap("e" * 32, 2**53 - 2, 2**53 - 1, 2**53 - 1, latest, latest, "r" * 32)
    enc, data = body.encode_gaps([longest] * 400)
    assert len(zlib.decompress(data) if enc == "zlib" else data) < body.MAX_BODY_BYTES
    with pytest.raises(ValueError, match="401"):
        body.encode_gaps([longest] * 401)
