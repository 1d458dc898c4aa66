"""`gateway.wire` under any input: what is written is read back, and no bytes make a reader do more than refuse."""

import zlib
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.errors import Malformed
from gateway.model import Batch, BatchId, BootMs, Event, Gap, Group, Origin, Quality, Row, SeqRanges, Stamp, UtcMs
from gateway.wire import batch as batches
from gateway.wire import body, body_reader, catalog, checked, command, documents, receipt, status_reader, topic

READERS: list[Callable[[bytes], object]] = [
    batches.decode,
    receipt.decode,
    command.decode,
    command.decode_outcome,
    status_reader.decode_status,
    catalog.decode_catalog,
    lambda data: body.decode("none", data),
    lambda data: body.decode("zlib", data),
]
SEQS = st.integers(1, checked.SEQ_MAX)
IDS = st.text("abcxyz0189-", min_size=1, max_size=32).filter(lambda text: text[0] != "-")
WORDS = st.text("abcxyz_09", min_size=1, max_size=20).map(lambda text: f"w{text}")
TEXTS = st.text(max_size=60).filter(checked.is_text)
NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**63), 2**64), st.just(-0.0), st.just(5e-324)
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["v", "gw", "epoch", "seq", "g", "e", "x", "f", "r", "q", "t", "d"]), inner)
    ),
    max_leaves=12,
)
VALUES = {"f": NUMBERS, "b": st.booleans(), "s": TEXTS}


@st.composite
def groups(draw: st.DrawFn) -> Group:
    """Any group that the spec allows."""
    letters = draw(st.text("fbs", min_size=1, max_size=5))
    fields = tuple(f"field_{index}" for index in range(len(letters)))
    return Group(draw(IDS), draw(WORDS), "v/m@1", fields, letters)


@st.composite
def rows_of(draw: st.DrawFn, group: Group) -> list[Row]:
    """Rows of one group, rising, each with at least one good value and a code for each null."""
    times = sorted(draw(st.sets(st.integers(0, 100_000), min_size=1, max_size=6)))
    rows = []
    for at in times:
        values = [draw(st.none() | VALUES[letter]) for letter in group.letters]
        if all(value is None for value in values):
            values[0] = draw(VALUES[group.letters[0]])
        quality = tuple((index, draw(st.sampled_from(Quality))) for index, value in enumerate(values) if value is None)
        rows.append(Row(group, BootMs(at), tuple(values), quality))
    return rows


EVENTS = st.builds(
    Event,
    at=st.integers(-80_000_000, 80_000_000).map(BootMs),
    subject=TEXTS.map(lambda text: text[:16]),
    code=WORDS,
    detail=TEXTS | st.lists(NUMBERS | TEXTS, max_size=16).map(tuple),
)
GAPS = st.builds(
    lambda epoch, ends, rows, times, reason: Gap(epoch, min(ends), max(ends), rows, times[0], times[1], reason),
    IDS,
    st.tuples(SEQS, SEQS),
    st.none() | st.integers(0, checked.COUNT_MAX),
    st.tuples(*[st.none() | st.integers(0, checked.UTC_MS_MAX).map(UtcMs)] * 2),
    WORDS,
)
BATCHES = st.builds(
    Batch,
    id=st.builds(BatchId, IDS, IDS, SEQS),
    stamp=st.builds(Stamp, st.integers(0, checked.UTC_MS_MAX).map(UtcMs), WORDS),
    n=st.integers(0, body_reader.MAX_ROWS),
    crc=st.just(0),
    body=st.binary(max_size=200),
    enc=st.sampled_from(batches.ENCODINGS),
    urgent=st.booleans(),
    origin=st.none()
    | st.builds(
        lambda gateway, epoch, ends, withheld: Origin(gateway, epoch, min(ends), max(ends), withheld),
        IDS,
        IDS,
        st.tuples(SEQS, SEQS),
        st.integers(0, checked.COUNT_MAX),
    ),
)


def refusal(read: Callable[[], object]) -> str:
    """The word with which something is refused; "" when it is taken."""
    try:
        read()
    except Malformed as refused:
        return refused.why
    return ""


def sealed(batch: Batch) -> Batch:
    """The batch with its crc."""
    crc = batches.crc(batch.id, batch.stamp, batch.n, batch.enc, batch.body, urgent=batch.urgent, origin=batch.origin)
    return replace(batch, crc=crc)


@settings(max_examples=100)
@given(BATCHES.map(sealed))
def test_a_batch_is_read_as_it_was_written(batch: Batch) -> None:
    """W-21: header and body survive, and peek names the same batch."""
    message = batches.encode(batch)
    assert batches.decode(message) == batch
    assert batches.peek(message) == batch.id


@settings(max_examples=150)
@given(BATCHES.map(sealed), st.data())
def test_no_flipped_bit_of_a_batch_is_believed(batch: Batch, data: st.DataObject) -> None:
    """W-26: one changed bit anywhere is refused, or changed nothing of what is read."""
    message = bytearray(batches.encode(batch))
    bit = data.draw(st.integers(0, len(message) * 8 - 1))
    message[bit // 8] ^= 1 << bit % 8
    try:
        found = batches.decode(bytes(message))
    except Malformed:
        return
    assert found == batch


@settings(max_examples=100)
@given(st.data())
def test_a_body_is_read_as_it_was_written(data: st.DataObject) -> None:
    """W-30 to W-45: rows with values, codes and times, and events, in any order of groups."""
    found_groups = data.draw(st.lists(groups(), max_size=4, unique=True))
    rows = [row for group in found_groups for row in data.draw(rows_of(group))]
    events = data.draw(st.lists(EVENTS, max_size=4))
    mixed: list[Row | Event] = [*rows, *events]
    items = sorted(mixed, key=lambda item: item.at)
    assume(items)
    writer = body.BodyWriter(data.draw(st.sampled_from([items[0].at, items[-1].at])))
    for item in items:
        writer.add(item)
    enc, encoded = writer.encode()
    found = body.decode(enc, encoded)
    assert found.n == writer.n == len(rows)
    assert {row_values(row) for row in rows} == set(read_values(found, writer.b0))
    expected = [event for event in items if isinstance(event, Event)]
    assert events_of(expected) == read_events(found, writer.b0)


def row_values(row: Row) -> tuple[object, ...]:
    """A row as comparable values; every number is a float on the wire."""
    values = tuple(
        repr(float(value)) if letter == "f" and value is not None else value
        for letter, value in zip(row.group.letters, row.values, strict=True)
    )
    return row.group, row.at, values, frozenset((index, code.value) for index, code in row.quality)


def read_values(found: body.Body, b0: BootMs) -> list[tuple[object, ...]]:
    """The same, as it was read."""
    return [
        (
            rows.group,
            b0 + offset,
            tuple(
                repr(value) if letter == "f" and value is not None else value
                for letter, value in zip(rows.group.letters, values, strict=True)
            ),
            frozenset((index, code) for row, index, code in rows.quality if row == at),
        )
        for rows in found.groups
        for at, (offset, values) in enumerate(rows.rows)
    ]


@settings(max_examples=100)
@given(st.lists(GAPS, max_size=20))
def test_gaps_are_read_as_they_were_written(gaps: list[Gap]) -> None:
    """W-46: every record, in order."""
    found = body.decode(*body.encode_gaps(gaps))
    assert list(found.gaps) == gaps
    assert found.n == 0


@settings(max_examples=100)
@given(st.data())
def test_the_size_estimate_is_an_upper_bound(data: st.DataObject) -> None:
    """What the packer closes by is never less than the JSON, and not far above it."""
    writer = body.BodyWriter(BootMs(0))
    for group in data.draw(st.lists(groups(), max_size=3, unique=True)):
        for row in data.draw(rows_of(group)):
            before = writer.size_bytes_estimate
            writer.add(row)
            assert writer.size_bytes_estimate > before
    for event in data.draw(st.lists(EVENTS, max_size=3)):
        writer.add(event)
    enc, encoded = writer.encode()
    json = zlib.decompress(encoded) if enc == "zlib" else encoded
    parts = 1 + 4 * (writer.n + len(body.decode(enc, encoded).events))
    assert len(json) <= writer.size_bytes_estimate <= len(json) + 40 * parts + 16 * 16 * writer.n


@settings(max_examples=150)
@given(
    st.sampled_from(READERS),
    st.binary(max_size=300) | JSON.map(orjson.dumps) | JSON.map(lambda j: b"{}\n" + orjson.dumps(j)),
)
def test_any_bytes_are_read_or_refused(read: Callable[[bytes], object], data: bytes) -> None:
    """No foreign exception leaves a reader, and the word is one of the receipt's."""
    assert refusal(lambda: read(data)) in {"", "schema", "limit", "version", "crc"}


@settings(max_examples=150)
@given(st.data())
def test_a_real_message_with_something_else_in_it(data: st.DataObject) -> None:
    """Any JSON in the place of any one value of a real document is read or refused."""
    document = data.draw(st.sampled_from(DOCUMENTS))
    wrong = replaced(data, document[1], data.draw(JSON))
    assert refusal(lambda: document[0](orjson.dumps(wrong))) in {"", "schema", "limit", "version"}


@settings(max_examples=150)
@given(st.binary(max_size=400) | JSON.map(orjson.dumps))
def test_peek_never_raises(data: bytes) -> None:
    """W-28: a name or None."""
    found = batches.peek(data)
    assert found is None or checked.ID.fullmatch(found.gateway)


@settings(max_examples=100)
@given(st.text(max_size=40), st.text(max_size=20))
def test_any_topic_is_one_of_ours_or_refused(text: str, root: str) -> None:
    """W-11: what is not under the root names nobody."""
    assert refusal(lambda: topic.gateway_of(root, text)) == "gateway"
    assert topic.gateway_of(root, f"{root}/hc-0001/up/data") == "hc-0001"


@settings(max_examples=100)
@given(st.text(max_size=80), st.integers(0, 70))
def test_cleaned_text_is_text(text: str, bytes_max: int) -> None:
    """W-5: what a writer cleans a reader takes, and what needs no cleaning stays."""
    found = checked.cleaned(text + "\ud800\x07", bytes_max)
    assert checked.is_text(found, bytes_max)
    assert not checked.is_text(text, bytes_max) or checked.cleaned(text, bytes_max) == text


@settings(max_examples=100)
@given(st.frozensets(st.integers(1, 300), max_size=120), st.integers(1, 32))
def test_narrowed_ranges_hold_all_seqs(seqs: frozenset[int], ranges_max: int) -> None:
    """W-63: never fewer seqs, never more ranges, and no smaller joining would do."""
    exact = SeqRanges.of_seqs(seqs)
    found = documents.narrowed(exact, ranges_max)
    assert exact.minus(found) == SeqRanges()
    assert len(found.ranges) <= ranges_max
    holes = sorted(after[0] - before[1] - 1 for before, after in pairwise(exact.ranges))
    joined = max(0, len(exact.ranges) - ranges_max)
    assert len(found) - len(exact) == sum(holes[:joined])


def events_of(events: list[Event]) -> list[tuple[object, ...]]:
    """Events as they are expected: integers beyond 64 bits travel as text."""
    return [(event.at, event.subject, event.code, detail_of(event.detail)) for event in events]


def detail_of(detail: Any) -> Any:
    """A detail as it is read."""
    if isinstance(detail, str):
        return detail
    return tuple(str(item) if isinstance(item, int) and item >= 2**63 else item for item in detail)


def read_events(found: body.Body, b0: BootMs) -> list[tuple[object, ...]]:
    """Events as they were read."""
    return [(b0 + e.offset_ms, e.subject, e.code, e.detail) for e in found.events]


def replaced(data: st.DataObject, value: Any, new: Any) -> Any:
    """The document with one value somewhere in it replaced."""
    if not isinstance(value, dict | list) or not value or data.draw(st.booleans()):
        return new
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = data.draw(st.sampled_from(keys))
    copy = value.copy()
    copy[key] = replaced(data, value[key], new)
    return copy


DOCUMENTS: list[tuple[Callable[[bytes], object], Any]] = [
    (
        lambda message: body.decode("none", message),
        {
            "g": [
                {"d": "a", "k": "k", "p": "v/m@1", "f": ["x", "y"], "t": "fs", "r": [[0, 1.5, None], [1, 2, "t"]],
                 "q": [[0, 1, "no_reply"]]}
            ],
            "e": [[-5, "a", "code", ["x", 1, 2.5]]],
            "x": [["k3v9x2", 1, 2, None, 3, 4, "quota"]],
        },
    ),
    (
        receipt.decode,
        {"v": 1, "gw": "a", "epoch": "b", "stored": [[1, 2]], "rejected": [[1, [[0, 0, "why"]]]],
         "refused": [[3, "crc"]], "by": "x", "now": 5},
    ),
    (
        status_reader.decode_status,
        {"v": 1, "time": 5, "clock": "ntp", "online": True, "boot": "b", "version": "1",
         "epochs": [{"epoch": "e", "first_kept": 1, "last": 5, "pending": [[1, 2]], "parked": []}], "newer": 1.5},
    ),
    (
        catalog.decode_catalog,
        {"v": 1, "gw": "a", "area": {"scheme": "s", "code": "c", "name": "n"},
         "location": {"lat": 16.0, "lon": 108.0, "note": {"vi": "x"}},
         "devices": [{"name": "d", "bus": "b", "kind": "k", "profile": "v/m@1", "title": {"vi": "x"},
                      "fields": [{"name": "x", "quantity": "q", "unit": "m", "decimals": 1, "low": 0, "high": None,
                                  "period_ms": 1000}]}]},
    ),
    (command.decode, {"v": 1, "id": "c", "expires": 5, "name": "recall", "arguments": {"a": [1]}}),
]  # fmt: skip


@pytest.mark.parametrize(("read", "document"), DOCUMENTS)
def test_the_real_messages_are_real(read: Callable[[bytes], object], document: Any) -> None:
    """What the fuzz starts from is accepted, so that it is the change that is judged."""
    assert read(orjson.dumps(document)) is not None
