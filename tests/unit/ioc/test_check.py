"""What may be stored, what is refused by name, what nobody can be answered for."""

import dataclasses
import zlib

import orjson
import pytest

from gateway.ioc.check import Accepted, DeadLetter, Document, Refuse, Verdict, check
from gateway.model import Batch, BatchId, BootMs, Gap, Group, Origin, Quality, Row, Stamp, UtcMs
from gateway.pipeline.packer import Packer
from gateway.pipeline.report import Windows
from gateway.profile.profile import Field
from gateway.seams import Message
from gateway.wire import batch as batches
from gateway.wire import catalog, command, documents
from gateway.wire.topic import Topics
from tests.support.ioc import EPOCH, GATEWAY, ROOT, T0, make_batch, message, numbered, raw_batch

TOPICS = Topics(ROOT, GATEWAY)


def verdict(topic: str, payload: bytes, relays: frozenset[str] = frozenset()) -> Verdict:
    """Of one message."""
    return check(Message(topic, payload, 1, 1), ROOT, relays, T0)


def test_a_good_batch() -> None:
    """Rows as lines, each with its place."""
    batch = make_batch(7)
    found = check(message(batch), ROOT, frozenset(), T0)
    assert isinstance(found, Accepted)
    assert found.batch.id == BatchId(GATEWAY, EPOCH, 7)
    assert len(found.rows) == 2
    assert found.places == ((0, 0), (0, 1))


def test_gaps_and_events_are_lines() -> None:
    """What proves completeness is made before the batch is accepted."""
    gap = Gap(EPOCH, 1, 3, 30, T0, UtcMs(T0 + 5), "quota")
    found = check(message(make_batch(8, gaps=[gap])), ROOT, frozenset(), T0)
    assert isinstance(found, Accepted)
    assert len(found.gaps) == 1
    assert not found.rows


def test_another_gateways_batch() -> None:
    """A header that names another gateway is refused under the sender's own name."""
    payload = batches.encode(make_batch(7, gateway="hc-0002"))
    assert verdict(TOPICS.data, payload) == Refuse(
        BatchId(GATEWAY, EPOCH, 7), "gateway", "gateway: hc-0002 on the topic of hc-0001"
    )


def broken(batch: Batch, **header: object) -> bytes:
    """The message with other header values and the old crc."""
    head, _, body = batches.encode(batch).partition(b"\n")
    return orjson.dumps(orjson.loads(head) | header) + b"\n" + body


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (broken(make_batch(7), n=1), "crc"),
        (broken(make_batch(7), v=2), "version"),
        (broken(make_batch(7), clock=5), "schema"),
        (batches.encode(make_batch(7)) + b"x" * 70_000, "limit"),
        (batches.encode(make_batch(7))[:-1], "crc"),
        (batches.encode(raw_batch(7, {"g": "no"}, 0)), "schema"),
        (batches.encode(raw_batch(7, {}, 3)), "schema"),
    ],
)
def test_malformed_but_named(payload: bytes, why: str) -> None:
    """A batch that says who it is gets an answer, in a word of receipts."""
    found = verdict(TOPICS.data, payload)
    assert isinstance(found, Refuse)
    assert found.batch_id == BatchId(GATEWAY, EPOCH, 7)
    assert found.why == why


def test_broken_and_foreign() -> None:
    """A malformed batch of another gateway is refused for being another's, to its sender."""
    found = verdict(TOPICS.data, broken(make_batch(7, gateway="hc-0002"), n=1))
    assert isinstance(found, Refuse)
    assert (found.batch_id.gateway, found.why) == (GATEWAY, "gateway")


@pytest.mark.parametrize("payload", [b"", b"\x00\xff", b"{}\n", b"[1]\nx", b'{"v":1,"gw":"hc-0001"}\n', b"x" * 100_000])
def test_unreadable(payload: bytes) -> None:
    """Without a name there is nobody to answer."""
    found = verdict(TOPICS.data, payload)
    assert isinstance(found, DeadLetter)
    assert found.code == "unreadable"


@pytest.mark.parametrize("topic", ["", "city", "other/hc-0001/up/data", "city/hc-0001/up/other", "city/HC/up/data"])
def test_a_foreign_topic(topic: str) -> None:
    """A message that does not say whose it is."""
    found = verdict(topic, batches.encode(make_batch(7)))
    assert isinstance(found, DeadLetter)
    assert found.code == "topic"


def test_a_kind_of_the_ledger() -> None:
    """No gateway can write into the ledger by naming its measurement a kind."""
    group = {"d": "m", "k": "gw_batch", "p": "a/b@1", "f": ["seq"], "t": "f", "r": [[0, 1.0]]}
    found = verdict(TOPICS.data, batches.encode(raw_batch(7, {"g": [group]}, 1)))
    assert isinstance(found, Refuse)
    assert found.why == "schema"


def test_a_small_message_cannot_become_a_huge_request() -> None:
    """Ten kilobytes that would be 33 MB of lines: no database takes a request with them, and others' rows are in it."""
    names = [f"f{n:03}{'x' * 55}" for n in range(256)]
    rows = [[at, *([1] * 256)] for at in range(1980)]
    group = {"d": "m", "k": "k" * 60, "p": "p@1", "f": names, "t": "f" * 256, "r": rows}
    body = zlib.compress(orjson.dumps({"g": [group]}))
    small = numbered(BatchId(GATEWAY, EPOCH, 7), len(rows), "zlib", body, Stamp(T0, "ntp"), False, None)
    assert len(batches.encode(small)) < 20_000
    found = check(message(small), ROOT, frozenset(), T0)
    assert isinstance(found, Refuse)
    assert (found.why, "line protocol" in found.detail) == ("limit", True)


@pytest.mark.parametrize(
    ("field", "letter", "value"), [("voltage_l1", "s", "high"), ("voltage_l1", "b", True), ("relay_3", "f", 1.0)]
)
def test_a_field_of_the_citys_list_keeps_its_letter(field: str, letter: str, value: object) -> None:
    """The first to write a field gives it its type for all: after one text as a voltage no voltage would be stored."""
    group = {"d": "m", "k": "energy_meter", "p": "a/b@1", "f": [field], "t": letter, "r": [[0, value]]}
    found = verdict(TOPICS.data, batches.encode(raw_batch(7, {"g": [group]}, 1)))
    assert isinstance(found, Refuse)
    assert found.why == "schema"


def test_another_gateways_catalog() -> None:
    """Cannot be written on one's own topic."""
    found = verdict(TOPICS.catalog, orjson.dumps({"v": 1, "gw": "hc-0002", "devices": []}))
    assert found == DeadLetter("document", "gateway: a catalog of hc-0002 on the topic of hc-0001")


def test_a_subject_no_line_can_carry() -> None:
    """Is refused, and does not stop the worker."""
    found = verdict(TOPICS.data, batches.encode(raw_batch(7, {"e": [[0, "a\\", "code", ""]]}, 0)))
    assert isinstance(found, Refuse)
    assert found.why == "schema"


def test_only_listed_relays_pass_on() -> None:
    """`of` from a gateway that is no relay is refused: nobody writes under another's name."""
    origin = Origin("hc-0009", "aaaaaa", 1, 4, 0)
    payload = batches.encode(make_batch(7, origin=origin))
    refused = verdict(TOPICS.data, payload)
    assert isinstance(refused, Refuse)
    assert refused.why == "gateway"
    accepted = verdict(TOPICS.data, payload, frozenset((GATEWAY,)))
    assert isinstance(accepted, Accepted)
    assert b"gateway=hc-0009" in accepted.rows[0]


def test_a_status_that_the_broker_kept_says_so() -> None:
    """It may be older than the one before: a broker may come back from an old snapshot."""
    for retain, word in ((True, b"replayed=true"), (False, b"replayed=false")):
        message = Message(TOPICS.status, documents.encode_will("boot-1"), 1, 1, retain=retain)
        found = check(message, ROOT, frozenset(), T0)
        assert isinstance(found, Document)
        assert word in found.lines[0]


def test_a_will_is_a_status() -> None:
    """Only `online` and what names the boot."""
    found = verdict(TOPICS.status, documents.encode_will("boot-1"))
    assert isinstance(found, Document)
    assert found.lines[0].startswith(b"gw_status,gateway=hc-0001 ")
    assert b"online=false" in found.lines[0]


def test_a_catalog() -> None:
    """One point for the gateway, one for each device, with its fields as JSON."""
    field = catalog.CatalogField("voltage", "voltage", "V", 1, 0.0, 300.0, 1000, (("en", "Voltage"),))
    device = catalog.CatalogDevice("meter-1", "bus-1", "energy_meter", "eastron/sdm630@1", (), (field,))
    told = catalog.Catalog(GATEWAY, {"scheme": "s", "code": "1", "name": "Hải Châu"}, None, (device,))
    found = verdict(TOPICS.catalog, catalog.encode_catalog(told))
    assert isinstance(found, Document)
    gateway, meter = found.lines
    assert gateway.startswith(b"gw_catalog,gateway=hc-0001 ")
    assert "Hải Châu".encode() in gateway
    assert meter.startswith(b"gw_catalog,device=meter-1,gateway=hc-0001 ")
    assert b'\\"name\\":\\"voltage\\"' in meter


def test_another_gateways_status() -> None:
    """Cannot be written on one's own topic either."""
    document = {"v": 1, "gw": "hc-0002", "online": True, "time": 1, "clock": "ntp", "boot": "b"}
    payload = orjson.dumps(document | {"version": "1", "epochs": []})
    found = verdict(TOPICS.status, payload)
    assert found == DeadLetter("document", "gateway: a status of hc-0002 on the topic of hc-0001")


def test_an_outcome() -> None:
    """What became of a command is kept."""
    found = verdict(TOPICS.outcome, command.encode(command.Outcome("c-1", ok=False, code="expired")))
    assert isinstance(found, Document)
    assert b'id="c-1",ok=false,code="expired"' in found.lines[0]


@pytest.mark.parametrize("topic", [TOPICS.status, TOPICS.catalog, TOPICS.outcome, TOPICS.receipt])
def test_garbage_instead_of_a_document(topic: str) -> None:
    """Is a dead letter, whatever it is."""
    found = verdict(topic, b"\xff\x00")
    assert isinstance(found, DeadLetter)
    assert found.code == "document"


def test_verdicts_are_values() -> None:
    """Nothing downstream can edit what was decided."""
    found = check(message(make_batch(7)), ROOT, frozenset(), T0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.places = ()  # type: ignore[misc, union-attr]


def test_folded_rows_are_stored() -> None:
    """W-34: mean, extremes and count as fields of their own; a window with an outage says why in qc."""
    fields = (
        Field("sound_level", "sound_level", "dB[SPL]", "f", 1, aggregate="energy_mean"),
        Field("relay", "relay", "1", "b", 0, aggregate="last"),
    )
    group = Group("d-1", "noise", "a/b@1", ("sound_level", "relay"), "fb")
    windows = Windows(group, fields, 1000, 60_000)
    windows.add(Row(group, BootMs(1000), (None, True), ((0, Quality.NO_REPLY),)))
    windows.add(Row(group, BootMs(61_000), (50.0, False)))
    packer = Packer("b1", max_age_ms=1000, offline_age_ms=120_000)
    for row in windows.due(BootMs(200_000)):
        packer.add(row)
    (draft,) = packer.flush()
    made = make_batch(7)
    crc = batches.crc(made.id, made.stamp, draft.n, draft.enc, draft.body, urgent=made.urgent, origin=None)
    batch = dataclasses.replace(made, n=draft.n, body=draft.body, enc=draft.enc, crc=crc)
    found = check(message(batch), ROOT, frozenset(), T0)
    assert isinstance(found, Accepted)
    first, second = (line.decode() for line in found.rows)
    assert "sound_level_n=0,relay=true,relay_n=1" in first.replace(".0", "")
    assert 'qc="sound_level:no_reply,sound_level_min:no_reply,sound_level_max:no_reply"' in first
    assert "sound_level=50,sound_level_min=50,sound_level_max=50,sound_level_n=1" in second.replace(".0", "")
