"""Lines as InfluxDB gets them."""

import dataclasses

import pytest

from gateway.errors import Malformed
from gateway.model import BootMs, Event, Gap, Group, Origin, UtcMs, Value
from gateway.wire import batch as batches
from gateway.wire import line_protocol
from gateway.wire.body import Body
from gateway.wire.command import Outcome
from tests.support.ioc import EPOCH, GATEWAY, T0, make_batch, raw_batch, row

NS = 1_000_000


def body_of(items: list[object] | None = None) -> Body:
    """The body of a batch of these."""
    return batches.open_body(make_batch(1, items))  # type: ignore[arg-type]


def test_a_row() -> None:
    """Sorted tags, floats as floats, booleans, quoted text, time in ms."""
    batch = make_batch(1, [row(1500, 230.0)])
    lines, places = line_protocol.rows(batch, batches.open_body(batch))
    assert lines == [
        b"energy_meter,device=meter-1,gateway=hc-0001,profile=eastron/sdm630 "
        b'voltage=230.0,frequency=50.0,on=true,note="a \\"b\\"\\\\" ' + str(T0 + 1500).encode()
    ]
    assert places == [(0, 0)]


def test_null_fields_are_named() -> None:
    """A null has no field; `qc` says which and why, in field order."""
    group = Group("m", "kind", "a/b@2", ("a", "b", "c"), "fff")
    document = {"d": "m", "k": "kind", "p": "a/b@2", "f": ["a", "b", "c"], "t": "fff"}
    batch = raw_batch(1, {"g": [document | {"r": [[0, None, 2, None]], "q": [[0, 2, "stuck"], [0, 0, "no_reply"]]}]}, 1)
    lines, _ = line_protocol.rows(batch, batches.open_body(batch))
    assert group.profile.endswith("@2")
    assert lines == [f'kind,device=m,gateway=hc-0001,profile=a/b b=2.0,qc="a:no_reply,c:stuck" {T0}'.encode()]


def test_devices_of_one_model_keep_their_own_names_and_values() -> None:
    """What lines have in common is made once: two devices, rows with and without a null, an integer among them."""
    names = {"k": "kind", "p": "a/b@2", "f": ["a", "b"], "t": "ff"}
    first = names | {"d": "m-1", "r": [[0, 1.5, 2.5], [1000, -0.0, 1e300], [2000, None, 4.5]], "q": [[2, 0, "stuck"]]}
    second = names | {"d": "m-2", "r": [[0, 7, 8.5]]}
    batch = raw_batch(1, {"g": [first, second]}, 4)
    lines, places = line_protocol.rows(batch, batches.open_body(batch))
    assert [line.decode() for line in lines] == [
        f"kind,device=m-1,gateway=hc-0001,profile=a/b a=1.5,b=2.5 {T0}",
        f"kind,device=m-1,gateway=hc-0001,profile=a/b a=-0.0,b=1e+300 {T0 + 1000}",
        f'kind,device=m-1,gateway=hc-0001,profile=a/b b=4.5,qc="a:stuck" {T0 + 2000}',
        f"kind,device=m-2,gateway=hc-0001,profile=a/b a=7.0,b=8.5 {T0}",
    ]
    assert places == [(0, 0), (0, 1), (0, 2), (1, 0)]


@pytest.mark.parametrize(
    ("clock", "tag"),
    [("ntp", ""), ("system", ""), ("unset", ",clock=unset"), ("rtc", ",clock=rtc"), ("new_word", ",clock=new_word")],
)
def test_clock_is_a_tag_unless_trusted(clock: str, tag: str) -> None:
    """What is not trusted can never overwrite what is: another series; unknown words are tagged too."""
    batch = make_batch(1, [row(0)], clock=clock)
    (line,), _ = line_protocol.rows(batch, batches.open_body(batch))
    assert line.startswith(f"energy_meter{tag},device=meter-1,".encode())


def test_a_relays_rows_are_the_original_gateways() -> None:
    """Rows, gaps and events carry the gateway they come from; the ledger point is the relay's."""
    origin = Origin("hc-0009", "zzz", 3, 9, 12)
    event = Event(BootMs(0), "", "up")
    batch = make_batch(5, [row(0), event], origin=origin)
    body = batches.open_body(batch)
    assert b",gateway=hc-0009," in line_protocol.rows(batch, body)[0][0]
    assert b"gateway=hc-0009" in line_protocol.event_points(batch, body.events)[0]
    gap = Gap("zzz", 1, 2, None, None, None, "quota")
    assert b"gateway=hc-0009" in line_protocol.gap_points(batch, [gap])[0]
    point = line_protocol.batch_point(batch, 0)
    assert point.startswith(f"gw_batch,epoch={EPOCH},gateway={GATEWAY} ".encode())
    assert b'of_gateway="hc-0009",of_epoch="zzz",of_first=3.0,of_last=9.0,withheld_rows=12.0' in point


def test_the_ledger_point() -> None:
    """seq, n, rejected, crc; time = t0 in ns and the seq below the millisecond, modulo a million."""
    batch = make_batch(1_000_007)
    expected = f"gw_batch,epoch={EPOCH},gateway={GATEWAY} seq=1000007.0,n=2.0,rejected=1.0,crc={batch.crc}.0"
    assert line_protocol.batch_point(batch, 1) == f"{expected} {T0 * NS + 7}".encode()


def test_a_moved_ledger_point() -> None:
    """Beyond the retention it goes to a midnight, told apart by its seq."""
    day = line_protocol.midnight(T0)
    assert day % 86_400_000 == 0
    assert line_protocol.batch_point(make_batch(9), 0, day).endswith(f" {day * NS + 9}".encode())


def test_gap_points() -> None:
    """Under the epoch they name; null numbers are left out; each record of a batch has its own nanosecond."""
    gaps = [Gap("aaa", 1, 9, 120, UtcMs(5), UtcMs(6), "quota"), Gap("aaa", 20, 20, None, None, None, "corrupt")]
    first, second = line_protocol.gap_points(make_batch(3, gaps=gaps), gaps)
    tags = f"gw_gap,epoch=aaa,gateway={GATEWAY},reason="
    assert first == f"{tags}quota first=1.0,last=9.0,rows=120.0,from=5.0,to=6.0 {T0 * NS + 192}".encode()
    assert second == f"{tags}corrupt first=20.0,last=20.0 {T0 * NS + 193}".encode()


def test_event_points() -> None:
    """At their own time, also before t0; a list is JSON text; no subject, no tag."""
    events = [Event(BootMs(-500), "meter-1", "down", ("a", 1)), Event(BootMs(0), "", "restart", "why")]
    batch = make_batch(2, [row(0), *events], clock="unset")
    first, second = line_protocol.event_points(batch, batches.open_body(batch).events)
    at = (T0 - 500) * NS + 128
    assert first == (
        f'gw_event,clock=unset,code=down,gateway={GATEWAY},subject=meter-1 detail="[\\"a\\",1]" {at}'.encode()
    )
    assert second == f'gw_event,clock=unset,code=restart,gateway={GATEWAY} detail="why" {T0 * NS + 129}'.encode()


def test_status_and_catalog() -> None:
    """Arrival rounded down to 10 s, so that every worker writes the same point; lists are JSON text, nulls nothing."""
    document: dict[str, object] = {"online": True, "time": 7, "boot": "b", "oldest_age_ms": None, "epochs": [{"e": 1}]}
    line = line_protocol.status_point(GATEWAY, document, UtcMs(T0 + 9_999))
    fields = 'online=true,time=7.0,boot="b",epochs="[{\\"e\\":1}]"'
    assert line == f"gw_status,gateway={GATEWAY} {fields} {T0 * NS}".encode()
    catalog: dict[str, object] = {"area": {"code": "1"}, "devices": [{"name": "meter-1", "kind": "k"}]}
    assert line_protocol.catalog_points(GATEWAY, catalog, UtcMs(T0 + 1)) == [
        f'gw_catalog,gateway={GATEWAY} area="{{\\"code\\":\\"1\\"}}" {T0 * NS}'.encode(),
        f'gw_catalog,device=meter-1,gateway={GATEWAY} kind="k" {T0 * NS}'.encode(),
    ]


def test_outcomes_of_one_moment() -> None:
    """Two commands are two points, and so are a first and a repeated outcome; the same outcome is the same point."""
    first = Outcome("c-1", ok=True, code="ok", value=0.25)
    again = Outcome("c-1", ok=False, code="repeated", was="ok")
    said = (first, Outcome("c-2", ok=True, code="ok", value=0.25), again, first)
    assert len({line_protocol.outcome_point(GATEWAY, outcome, T0) for outcome in said}) == 3


def test_what_an_outcome_says() -> None:
    """The value as text, because one field has one type; what there is nothing of is left out."""
    whole = Outcome("c-1", ok=False, code="repeated", detail="x", value=True, was="ok")
    assert b'id="c-1",ok=false,code="repeated",detail="x",value="true",was="ok" ' in line_protocol.outcome_point(
        GATEWAY, whole, T0
    )
    bare = Outcome("c-1", ok=False, code="expired")
    assert b'id="c-1",ok=false,code="expired" ' in line_protocol.outcome_point(GATEWAY, bare, T0)


@pytest.mark.parametrize("value", ["", "a\\", "a\nb"])
def test_a_name_no_line_can_carry(value: str) -> None:
    """Is refused, never bent: another name is another series."""
    with pytest.raises(Malformed):
        line_protocol.point("m", {value: "x"}, {"f": 1}, 0)


def test_no_fields_no_point() -> None:
    """InfluxDB has no point without a field."""
    with pytest.raises(Malformed):
        line_protocol.point("m", {}, {"f": None}, 0)


@pytest.mark.parametrize(
    ("value", "text"), [(1, "1.0"), (True, "true"), (0.1, "0.1"), (1e300, "1e+300"), (-0.0, "-0.0")]
)
def test_one_number_type(value: Value, text: str) -> None:
    """An integer in a float field would cost its row: numbers are always floats, shortest that reads back."""
    assert line_protocol.point("m", {}, {"f": value}, 1) == f"m f={text} 1".encode()


def test_same_batch_same_points() -> None:
    """Written again, a batch writes the same bytes."""
    batch = make_batch(4)
    again = dataclasses.replace(batch)
    assert line_protocol.rows(batch, body_of()) == line_protocol.rows(again, body_of())
    assert line_protocol.batch_point(batch, 0) == line_protocol.batch_point(again, 0)
