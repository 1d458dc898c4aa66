"""`gateway.pipeline.packer`: when a draft closes, and what is in it."""

import pytest

from gateway.model import BootMs, Draft, Event, Group, Row
from gateway.pipeline.packer import Packer
from gateway.wire import body

METER = Group("meter-1", "energy_meter", "eastron/sdm630@1", ("voltage_l1",), "f")
OTHER = Group("meter-2", "energy_meter", "eastron/sdm630@1", ("voltage_l1",), "f")


def row(at: int, group: Group = METER) -> Row:
    """A row of a meter."""
    return Row(group, BootMs(at), (230.1,))


def event(at: int, *, urgent: bool = False) -> Event:
    """Something that happened."""
    return Event(BootMs(at), "meter-1", "alarm_raised" if urgent else "device_down", "x", urgent)


def packer(max_bytes: int = 16_384, max_age_ms: int = 1000, offline_age_ms: int = 10_000) -> Packer:
    """A packer of boot b1."""
    return Packer("b1", max_bytes=max_bytes, max_age_ms=max_age_ms, offline_age_ms=offline_age_ms)


def times(draft: Draft) -> tuple[list[int], list[int]]:
    """Boot times of the rows and of the events in a draft."""
    found = body.decode(draft.enc, draft.body)
    rows = [draft.b0 + offset for rows in found.groups for offset, _ in rows.rows]
    return rows, [draft.b0 + each.offset_ms for each in found.events]


def test_nothing_open_nothing_due() -> None:
    """An empty packer makes no drafts."""
    empty = packer()
    assert empty.closes_at(online=True) is None
    assert empty.due(BootMs(10**9), online=True) == []
    assert empty.flush() == []


def test_age_counts_from_the_first_item() -> None:
    """Online max_age, offline never under 10 s."""
    open_one = packer()
    assert open_one.add(row(5000)) == []
    open_one.add(row(5900))
    assert open_one.closes_at(online=True) == 6000
    assert open_one.closes_at(online=False) == 15_000
    assert open_one.due(BootMs(5999), online=True) == []
    assert open_one.due(BootMs(6000), online=False) == []
    (draft,) = open_one.due(BootMs(6000), online=True)
    assert (draft.boot, draft.b0, draft.last, draft.n, draft.urgent) == ("b1", 5000, 5900, 2, False)
    assert open_one.closes_at(online=True) is None


def test_a_scarce_network_is_not_hastened_offline() -> None:
    """Offline is max(max_age, 10 s)."""
    open_one = packer(max_age_ms=60_000)
    open_one.add(row(0))
    assert open_one.closes_at(online=False) == 60_000


def test_a_full_body_closes_at_once() -> None:
    """max_bytes is the estimate of the JSON; nothing is left open."""
    open_one, drafts, at = packer(max_bytes=1000), list[Draft](), 0
    while not drafts:
        at += 1
        drafts = open_one.add(row(at))
    assert times(drafts[0])[0] == list(range(1, at + 1))
    assert open_one.flush() == []


def test_an_urgent_event_leaves_alone_and_at_once() -> None:
    """Small and quick; the rows that are open stay open, with their age."""
    open_one = packer()
    open_one.add(row(5000))
    assert open_one.add(event(5100, urgent=True)) == []
    (alarm,) = open_one.hurry()
    assert open_one.hurry() == []
    assert (alarm.urgent, alarm.n, alarm.b0) == (True, 0, 5100)
    assert times(alarm) == ([], [5100])
    assert open_one.closes_at(online=True) == 6000
    (rest,) = open_one.flush()
    assert (rest.urgent, times(rest)) == (False, ([5000], []))


def test_what_is_urgent_together_leaves_together() -> None:
    """Three limits crossed by one reading are one commit and one message; what was not asked for leaves at a stop."""
    open_one = packer()
    assert [draft for _ in range(3) for draft in open_one.add(event(5100, urgent=True))] == []
    (alarm,) = open_one.hurry()
    assert times(alarm) == ([], [5100, 5100, 5100])
    open_one.add(event(5200, urgent=True))
    (early,) = open_one.add(event(5200 + 86_400_000, urgent=True))
    assert (early.urgent, times(early)) == (True, ([], [5200]))
    assert [times(draft) for draft in open_one.flush()] == [([], [5200 + 86_400_000])]


def test_events_travel_with_rows() -> None:
    """What is not urgent waits with the rows; an older one moves nothing."""
    open_one = packer()
    open_one.add(row(5000))
    open_one.add(event(4800))
    (draft,) = open_one.flush()
    assert (draft.b0, times(draft)) == (5000, ([5000], [4800]))


def test_an_older_row_moves_the_start_back() -> None:
    """Two buses finish out of turn: still one draft, and it closes by its oldest row."""
    open_one = packer()
    open_one.add(row(5000))
    open_one.add(row(4900, OTHER))
    assert open_one.closes_at(online=True) == 5900
    (draft,) = open_one.flush()
    assert (draft.b0, sorted(times(draft)[0])) == (4900, [4900, 5000])


def test_a_long_pause_begins_a_new_draft() -> None:
    """A daemon that slept (suspend) does not put yesterday and today into one batch."""
    open_one = packer()
    open_one.add(row(5000))
    (first,) = open_one.add(row(5000 + 86_400_000))
    (second,) = open_one.flush()
    assert (times(first)[0], times(second)[0]) == ([5000], [86_405_000])


def test_what_no_judge_has_passed_takes_nothing_with_it() -> None:
    """A wrong row raises; what was open is neither closed nor lost."""
    open_one = packer()
    open_one.add(row(5000))
    for wrong in (row(5000), Row(METER, BootMs(10**8), (None,))):
        with pytest.raises(ValueError, match="meter-1"):
            open_one.add(wrong)
    (draft,) = open_one.flush()
    assert times(draft)[0] == [5000]


def test_one_row_can_be_a_draft() -> None:
    """A row above max_bytes leaves by itself."""
    (draft,) = packer(max_bytes=10).add(row(5000))
    assert times(draft)[0] == [5000]
