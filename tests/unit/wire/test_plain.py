"""Plain messages: golden ones, and what they keep of a batch."""

import orjson
import pytest

from gateway.errors import Malformed
from gateway.model import Batch, BootMs, Event, Gap, Origin, UtcMs
from gateway.wire import batch as wire_batch
from gateway.wire.plain import LINES_BYTES_MAX, Plain
from tests.support.ioc import EPOCH, GATEWAY, make_batch, raw_batch, row

T0 = UtcMs(1_795_484_390_240)
JSON = Plain("json", "city", "{root}/{gateway}/{device}")
INFLUX = Plain("influx", "city", "plant/{kind}/{device}")
GROUP = {"d": "m", "k": "kind", "p": "a/b@2", "f": ["a", "b"], "t": "ff", "r": [[0, 1.5, None]], "q": [[0, 1, "stuck"]]}


def test_a_row_as_json() -> None:
    """Golden: one object a row; ISO with ms and the same in ms, good values in `fields`, the rest in `quality`."""
    ((topic, payload),) = JSON.messages(raw_batch(7, {"g": [GROUP]}, 1, t0=T0))
    assert topic == "city/hc-0001/m"
    assert payload == (
        b'{"time":"2026-11-24T01:39:50.240Z","time_ms":1795484390240,"clock":"ntp","gateway":"hc-0001","device":"m",'
        b'"kind":"kind","profile":"a/b@2","fields":{"a":1.5},"quality":{"b":"stuck"}}'
    )


def test_rows_as_lines() -> None:
    """Golden: what ingest would write, in ns, a message for each device; the topic may name the kind."""
    second = GROUP | {"d": "n", "r": [[5, 2.5, 3.5], [6, 4, 5]], "q": []}
    assert list(INFLUX.messages(raw_batch(7, {"g": [GROUP, second]}, 3, t0=T0))) == [
        ("plant/kind/m", b'kind,device=m,gateway=hc-0001,profile=a/b a=1.5,qc="b:stuck" 1795484390240000000'),
        (
            "plant/kind/n",
            b"\n".join(
                (
                    b"kind,device=n,gateway=hc-0001,profile=a/b a=2.5,b=3.5 1795484390245000000",
                    b"kind,device=n,gateway=hc-0001,profile=a/b a=4.0,b=5.0 1795484390246000000",
                )
            ),
        ),
    ]


def test_events_are_messages_of_their_own() -> None:
    """At the topic of their subject; the box itself is `gateway`, and so is a subject that is no name."""
    events = [Event(BootMs(5), "meter-1", "device_down", "x"), Event(BootMs(6), "", "restart", (1, "a"))]
    batch = make_batch(3, [*events, Event(BootMs(7), "a/#", "odd")], t0=T0)
    (first, down), (second, restart), (third, _) = JSON.messages(batch)
    assert (first, second, third) == ("city/hc-0001/meter-1", "city/hc-0001/gateway", "city/hc-0001/gateway")
    assert orjson.loads(down) == {
        "time": "2026-11-24T01:39:50.245Z",
        "time_ms": T0 + 5,
        "clock": "ntp",
        "gateway": GATEWAY,
        "device": "meter-1",
        "kind": "gw_event",
        "code": "device_down",
        "detail": "x",
        "epoch": EPOCH,
        "seq": 3,
        "index": 0,
    }
    assert (orjson.loads(restart)["device"], orjson.loads(restart)["detail"]) == ("gateway", [1, "a"])
    topics = [topic for topic, _ in INFLUX.messages(batch)]
    assert topics == ["plant/gw_event/meter-1", "plant/gw_event/gateway"], "lines to one topic go together"


def test_gaps_are_messages_of_their_own() -> None:
    """Golden: what no uplink will bring, with its times where they are known."""
    gaps = [Gap(EPOCH, 5, 6, 70, UtcMs(T0), None, "quota")]
    ((topic, gap),) = JSON.messages(make_batch(9, gaps=gaps, t0=T0))
    assert topic == "city/hc-0001/gateway"
    assert gap == (
        b'{"time":"2026-11-24T01:39:50.240Z","time_ms":1795484390240,"clock":"ntp","gateway":"hc-0001",'
        b'"device":"gateway","kind":"gw_gap","epoch":"k3v9x2","first":5,"last":6,"rows":70,'
        b'"from":"2026-11-24T01:39:50.240Z","to":null,"reason":"quota"}'
    )
    ((topic, line),) = INFLUX.messages(make_batch(9, gaps=gaps, t0=T0))
    assert topic == "plant/gw_gap/gateway"
    assert line.startswith(b"gw_gap,epoch=k3v9x2,gateway=hc-0001,reason=quota first=5.0,last=6.0,rows=70.0,from=")


@pytest.mark.parametrize(("clock", "tagged"), [("ntp", False), ("system", False), ("estimated", True), ("new", True)])
def test_an_untrusted_time_carries_its_word(clock: str, tagged: bool) -> None:
    """P5 in both formats: a line of such a time is a series of its own; json says every word."""
    batch = make_batch(1, [row(0)], clock=clock)
    ((_, line),) = INFLUX.messages(batch)
    assert (f",clock={clock}," in line.decode()) is tagged
    ((_, payload),) = JSON.messages(batch)
    assert orjson.loads(payload)["clock"] == clock


def test_long_batches_become_several_messages() -> None:
    """No message is above the bound, no line is lost, divided or out of order."""
    rows = [row(at) for at in range(1000)]
    batch = make_batch(1, rows, t0=T0)
    payloads = [payload for _, payload in INFLUX.messages(batch)]
    assert len(payloads) > 2
    assert max(map(len, payloads)) <= LINES_BYTES_MAX
    lines = b"\n".join(payloads).split(b"\n")
    assert [int(line.rpartition(b" ")[2]) for line in lines] == [(T0 + at) * 10**6 for at in range(1000)]
    assert len(list(JSON.messages(batch))) == 1000


def test_a_line_above_the_bound_goes_alone() -> None:
    """A row of long texts is not dropped for its size."""
    names = [f"f{at}" for at in range(60)]
    group = {"d": "m", "k": "kind", "p": "a/b@2", "f": names, "t": "s" * 60}
    batch = raw_batch(1, {"g": [group | {"r": [[at, *["é" * 120] * 60] for at in range(2)]}]}, 2)
    sizes = [len(payload) for _, payload in INFLUX.messages(batch)]
    assert len(sizes) == 2
    assert min(sizes) > 12_000


def test_the_same_bytes_every_time() -> None:
    """P4: a batch that is sent again overwrites what it wrote."""
    batch = make_batch(3, [row(5), Event(BootMs(5), "meter-1", "device_down")])
    for plain in (JSON, INFLUX):
        assert list(plain.messages(batch)) == list(plain.messages(wire_batch.decode(wire_batch.encode(batch))))


def test_a_relays_batch_is_the_original_gateways() -> None:
    """As at the IOC: rows, events and topics name who measured."""
    batch = make_batch(1, [row(0)], origin=Origin("hc-0009", "k3v9x2", 1, 1, 0))
    ((topic, payload),) = JSON.messages(batch)
    assert (topic, orjson.loads(payload)["gateway"]) == ("city/hc-0009/meter-1", "hc-0009")


@pytest.mark.parametrize("plain", [JSON, INFLUX])
def test_what_is_no_body_is_told_before_the_first_message(plain: Plain) -> None:
    """Nothing of a batch goes out that cannot go out whole."""
    good = make_batch(1, [row(0)])
    bad = Batch(good.id, good.stamp, 1, 0, b"{", "none")
    with pytest.raises(Malformed):
        plain.messages(bad)


def test_a_time_no_calendar_has() -> None:
    """The number still says it."""
    batch = make_batch(1, [row(0)], t0=UtcMs(300_000_000_000_000))
    ((_, payload),) = JSON.messages(batch)
    assert orjson.loads(payload)["time"] is None
    assert orjson.loads(payload)["time_ms"] == 300_000_000_000_000
