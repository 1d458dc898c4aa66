"""`gateway.pipeline` under any rows: nothing lost, nothing reordered in a group, every message under its bounds."""

import zlib
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Batch, BatchId, BootMs, Draft, Event, Group, Quality, Row, Stamp, UtcMs, Value
from gateway.pipeline.judge import Judge, Judged
from gateway.pipeline.packer import Packer
from gateway.site import Site, SpoolSettings
from gateway.wire import batch as batches
from gateway.wire.body import MAX_BODY_BYTES

SITE = Site("hc-0001", "dn", None, None, "system", SpoolSettings("/x", 1, 1), (), (), ())
WIDE = tuple(f"{'x' * 58}_{index:03}" for index in range(256))
GROUPS = [
    Group("meter-1", "energy_meter", "a/b@1", ("voltage", "on", "text"), "fbs"),
    Group("meter-1", "energy_meter", "a/b@1", ("frequency",), "f"),
    Group("m" * 32, "k" * 64, "a/b@1", WIDE, "s" * 256),
    Group("n" * 32, "k" * 64, "a/b@1", WIDE, "sf" * 128),
    Group("o" * 32, "k" * 64, "a/b@1", WIDE, "b" * 256),
]
VALUES: st.SearchStrategy[Value | None] = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.integers(),
    st.just(10**400),
    st.text(max_size=5),
    st.sampled_from(['"' * 255, "\\" * 255, "\x00", "\ud800", "ữ" * 85, "ữ" * 86]),
)


@st.composite
def items(draw: st.DrawFn) -> list[Row | Event]:
    """Anything that south and the other stages may hand over, at times that mostly rise."""
    found: list[Row | Event] = []
    at = draw(st.integers(0, 10**9))
    for _ in range(draw(st.integers(1, 25))):
        at += draw(st.sampled_from([0, 1, 7, 1000, 1000, -3, 20_000, 10**8]))
        if draw(st.booleans()):
            found.append(_row(draw, draw(st.sampled_from(GROUPS)), BootMs(max(0, at))))
        else:
            detail = draw(st.text() | st.lists(st.text() | st.floats() | st.integers(), max_size=20).map(tuple))
            found.append(Event(BootMs(max(0, at)), draw(st.text()), "code", detail, draw(st.booleans())))
    return found


def _row(draw: st.DrawFn, group: Group, at: BootMs) -> Row:
    """Wide rows repeat a few drawn values, so that drawing them stays cheap."""
    drawn = draw(st.lists(VALUES, min_size=1, max_size=5))
    count = len(group.fields) if draw(st.integers(0, 9)) else draw(st.integers(0, 4))
    values = tuple(drawn[index % len(drawn)] for index in range(count))
    return Row(group, at, values, draw(st.sampled_from([(), ((0, Quality.NO_REPLY),), ((99, Quality.STUCK),)])))


def packed(found: list[Row | Event], max_bytes: int) -> tuple[list[Judged], list[Draft]]:
    """The data path of the daemon, without its queue, disk and timer."""
    judge, packer = Judge(SITE), Packer("b1", max_bytes=max_bytes, max_age_ms=1000)
    judged, drafts = list[Judged](), list[Draft]()
    for item in found:
        passed: Iterable[Row | Event | None] = (item,)
        if isinstance(item, Row):
            judged.append(judge.judge(item))
            passed = (*judged[-1].events, judged[-1].row)
        for each in passed:
            drafts += packer.add(each) if each is not None else []
        if len(drafts) % 2:  # what comes in between came together
            drafts += packer.hurry()
    return judged, drafts + packer.flush()


def message_of(draft: Draft) -> bytes:
    """The message with the longest header that there can be."""
    batch_id = BatchId("g" * 32, "e" * 32, 2**53 - 1)
    stamp = Stamp(UtcMs(8_000_000_000_000), "w" * 64)
    crc = batches.crc(batch_id, stamp, draft.n, draft.enc, draft.body, urgent=draft.urgent, origin=None)
    return batches.encode(Batch(batch_id, stamp, draft.n, crc, draft.body, draft.enc, draft.urgent))


@settings(max_examples=120, deadline=None)
@given(items(), st.sampled_from([1, 500, 16_384, 48_000, 10**6]))
def test_every_draft_is_a_message_that_a_reader_takes(found: list[Row | Event], max_bytes: int) -> None:
    """W-1, W-31: under 64 KiB and 1 MiB whatever the rows are, and not one rule broken in it."""
    for draft in packed(found, max_bytes)[1]:
        json = zlib.decompress(draft.body) if draft.enc == "zlib" else draft.body
        assert len(json) <= MAX_BODY_BYTES
        body = batches.open_body(batches.decode(message_of(draft)))
        assert draft.n == body.n
        times = [draft.b0 + offset for rows in body.groups for offset, _ in rows.rows]
        assert max([draft.b0, *times, *(draft.b0 + event.offset_ms for event in body.events)]) == draft.last


@settings(max_examples=120, deadline=None)
@given(items(), st.sampled_from([1, 500, 16_384, 10**6]))
def test_no_item_is_lost_or_reordered(found: list[Row | Event], max_bytes: int) -> None:
    """P1: every row is in a draft or dropped by name; rows of a group leave in order; so do events of one rank."""
    judged, drafts = packed(found, max_bytes)
    passed = [each.row for each in judged if each.row is not None]
    assert len(judged) == len(passed) + sum(1 for each in judged if each.dropped)
    bodies = [(draft, batches.open_body(batches.decode(message_of(draft)))) for draft in drafts]
    for group in GROUPS:
        left = [
            draft.b0 + offset
            for draft, body in bodies
            for rows in body.groups
            if rows.group == group
            for offset, _ in rows.rows
        ]
        assert left == [row.at for row in passed if row.group == group]
        assert left == sorted(set(left))
    for urgent in (True, False):
        events = [draft.b0 + e.offset_ms for draft, body in bodies if draft.urgent is urgent for e in body.events]
        made = [] if urgent else [event.at for each in judged for event in each.events]
        given_ones = [item.at for item in found if isinstance(item, Event) and item.urgent is urgent]
        assert sorted(events) == sorted(given_ones + made)


@settings(max_examples=60, deadline=None)
@given(items())
def test_an_urgent_draft_is_only_that(found: list[Row | Event]) -> None:
    """Urgent events and no row, in the order in which they came, and none of them is in another draft."""
    drafts = [(draft, batches.open_body(batches.decode(message_of(draft)))) for draft in packed(found, 16_384)[1]]
    urgent = [draft.b0 + event.offset_ms for draft, body in drafts if draft.urgent for event in body.events]
    assert urgent == [item.at for item in found if isinstance(item, Event) and item.urgent]
    assert all(draft.n == 0 and body.events for draft, body in drafts if draft.urgent)
