"""The judge is no rubber stamp: each thing that can be wrong in what a run left turns it red, by its name."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.gauntlet.check import BOUND_MS, OFFLINE_BOUND_MS, weigh
from tests.gauntlet.evidence import Did, Evidence, Filed, Named
from tests.support.checker_matching import Truth
from tests.support.store_points import Point

T0 = 1_795_484_390_000
ROWS_A_BATCH = 10
BATCHES = 6


def a_good_run() -> Evidence:
    """A minute of one meter: a value a second, a batch every ten; all of it stored, receipted, kept."""
    seen = Evidence(next_seq={"k3v9x2": BATCHES + 1})
    ledger = seen.ledger.setdefault("k3v9x2", {})
    for seq in range(1, BATCHES + 1):
        t0 = T0 + (seq - 1) * 1000 * ROWS_A_BATCH
        rows = [[n * 1000, float(seq * 100 + n)] for n in range(ROWS_A_BATCH)]
        body = {"g": [{"d": "meter-1", "k": "energy_meter", "f": ["power"], "r": rows}]}
        seen.filed.append(Filed("k3v9x2", seq, "boot", t0 - T0, t0, ROWS_A_BATCH, seq * 7, body))
        ledger[seq] = {(ROWS_A_BATCH, seq * 7)}
        for at, value in rows:
            stamp = int(t0 + at)
            seen.truths.append(Truth("meter-1", "power", "energy_meter", value, stamp, "modbus", stamp, 0, 1000))
            seen.points.append(Point("meter-1", "power", "energy_meter", value, stamp + 3))
    for number, point in enumerate(seen.points):
        seen.points[number] = replace(point, at_ms=point.at_ms - 3)
    return audited(seen)


def audited(seen: Evidence) -> Evidence:
    """With the audit's word on it."""
    stored = len(seen.ledger["k3v9x2"])
    explained = sum(one.last - one.first + 1 for one in seen.named if one.epoch)
    seen.audit = (
        f"hc-0001 k3v9x2: issued {BATCHES}: stored {stored}, explained {explained}, pending 0, expired 0,"
        f" unexplained {BATCHES - stored - explained}\nexit {int(stored + explained < BATCHES)}\n"
    )
    return seen


def lose_a_row(seen: Evidence) -> None:
    """One value less in the database."""
    del seen.points[25]


def alter_a_value(seen: Evidence) -> None:
    """Its last decimal."""
    seen.points[25] = replace(seen.points[25], value=305.1)


def shift_a_time(seen: Evidence) -> None:
    """By 700 ms."""
    seen.points[25] = replace(seen.points[25], at_ms=seen.points[25].at_ms + 700)


def add_a_phantom(seen: Evidence) -> None:
    """A value that nobody served."""
    seen.points.append(replace(seen.points[25], value=-1.0, at_ms=T0 + 90_000))


def store_a_value_twice(seen: Evidence) -> None:
    """At two times."""
    seen.points.append(replace(seen.points[25], at_ms=seen.points[25].at_ms + 1))


def lose_a_batch(seen: Evidence) -> None:
    """Rows, ledger point, all; the audit sees it too."""
    del seen.ledger["k3v9x2"][3]
    seen.points = [point for point in seen.points if not 300 <= float(point.value) < 310]
    audited(seen)


def lose_a_ledger_point(seen: Evidence) -> None:
    """The rows are there, the word for it is not."""
    del seen.ledger["k3v9x2"][3]


def store_another_content(seen: Evidence) -> None:
    """What the ledger has is not what the box sent."""
    seen.ledger["k3v9x2"][3] = {(10, 99)}


def use_a_seq_twice(seen: Evidence) -> None:
    """Two contents under one number."""
    seen.ledger["k3v9x2"][3].add((10, 99))


def store_an_unissued_seq(seen: Evidence) -> None:
    """A batch that no box made."""
    seen.ledger["k3v9x2"][7] = {(1, 1)}


def leave_a_batch_waiting(seen: Evidence) -> None:
    """No receipt after all that peace."""
    seen.unsettled["k3v9x2"] = {6}


def turn_two_batches(seen: Evidence) -> None:
    """Filed in the wrong order."""
    seen.filed[2], seen.filed[3] = seen.filed[3], seen.filed[2]


def let_the_audit_miss_it(seen: Evidence) -> None:
    """It says that one is unexplained."""
    seen.audit = seen.audit.replace("unexplained 0", "unexplained 1")


def leave_a_dead_letter(seen: Evidence) -> None:
    """A row that the database would not take."""
    seen.dead_letters.append("dead/ingest-1")


WRONGS: dict[Callable[[Evidence], None], str] = {
    lose_a_row: "missing      meter-1 energy_meter.power",
    alter_a_value: "wrong_value  meter-1 energy_meter.power",
    shift_a_time: "wrong_time   meter-1 energy_meter.power",
    add_a_phantom: "phantom      meter-1 energy_meter.power",
    store_a_value_twice: "duplicate    meter-1 energy_meter.power",
    lose_a_batch: "lost seq     k3v9x2 3",
    lose_a_ledger_point: "lost seq     k3v9x2 3",
    store_another_content: "other batch  k3v9x2 3",
    use_a_seq_twice: "used twice   k3v9x2 3",
    store_an_unissued_seq: "phantom seq  k3v9x2 7",
    leave_a_batch_waiting: "unsettled    k3v9x2 6",
    turn_two_batches: "out of order k3v9x2 3",
    let_the_audit_miss_it: "audit        k3v9x2: says",
    leave_a_dead_letter: "dead letter: dead/ingest-1",
}


def test_a_good_run_is_right() -> None:
    """Nothing to complain of."""
    verdict = weigh(a_good_run())
    assert verdict.ok, verdict.text()
    assert verdict.text().splitlines()[-1] == "right"


@pytest.mark.parametrize("spoil", WRONGS, ids=lambda spoil: spoil.__name__)
def test_what_is_wrong_is_named(spoil: Callable[[Evidence], None]) -> None:
    """One change in a good run, one complaint at least that says what and where."""
    seen = a_good_run()
    spoil(seen)
    verdict = weigh(seen)
    assert not verdict.ok
    assert any(complaint.startswith(WRONGS[spoil]) for complaint in verdict.complaints), verdict.text()


@pytest.mark.parametrize(
    ("before_ms", "offline", "right"),
    [
        (BOUND_MS - 500, False, True),
        (BOUND_MS + 1500, False, False),
        (OFFLINE_BOUND_MS - 500, True, True),
        (OFFLINE_BOUND_MS + 1500, True, False),
    ],
)
def test_a_kill_costs_its_bound_and_no_more(before_ms: int, offline: bool, right: bool) -> None:
    """P1: what was read longer before a kill -9 than a batch may stay open is lost, and said to be."""
    seen = a_good_run()
    lost_ms = seen.points[25].at_ms
    del seen.points[25]
    del seen.filed[2].body["g"][0]["r"][5]
    killed_ms = lost_ms + before_ms
    seen.done.append(Did("kill", "gateway", killed_ms, killed_ms))
    if offline:
        seen.done.append(Did("offline", "gateway", killed_ms - 300, killed_ms - 200))
    assert weigh(seen).ok is right


def test_only_news_of_the_silence_at_the_end_may_wait() -> None:
    """G2: what was filed after the last stop, without rows; a batch with rows, or an earlier one, must be settled."""
    for n, filed_ms, right in ((0, 70_000, True), (0, 50_000, False), (3, 70_000, False)):
        seen = a_good_run()
        seen.done.append(Did("stop", "gateway", T0 + 65_000, T0 + 65_000))
        seen.filed.append(Filed("k3v9x2", 7, "boot", filed_ms, T0 + filed_ms, n, 5, {"e": []}))
        seen.next_seq, seen.unsettled = {"k3v9x2": 8}, {"k3v9x2": {7}}
        seen.audit = seen.audit.replace("issued 6", "issued 7").replace("pending 0", "pending 1")
        assert weigh(seen).ok is right, weigh(seen).text()


def test_a_gap_excuses_as_many_rows_as_it_names() -> None:
    """G6: a gap record is no licence for the rest of its time."""
    seen = a_good_run()
    del seen.ledger["k3v9x2"][3]
    seen.filed = [filed for filed in seen.filed if filed.seq != 3]
    seen.points = [point for point in seen.points if not 300 <= float(point.value) < 310]
    gap = Named("k3v9x2", 3, 3, 10, T0 + 20_000, T0 + 29_000, "quota")
    seen.named.append(gap)
    assert weigh(audited(seen)).ok, weigh(seen).text()
    seen.named[0] = replace(gap, rows=1)
    assert any(complaint.startswith("gap too small") for complaint in weigh(seen).complaints)


def test_what_a_killed_simulator_did_not_write_is_no_phantom() -> None:
    """Its log is at most so much behind; a second before it is not."""
    for before_ms, right in ((100, True), (3000, False)):
        seen = a_good_run()
        seen.points.append(replace(seen.points[-1], value=1.0, at_ms=T0 + 90_000))
        seen.done.append(Did("kill", "simulators", T0 + 90_000 + before_ms, T0 + 95_000))
        assert weigh(seen).ok is right


def test_a_value_from_a_standstill_may_be_late_by_it_and_no_more() -> None:
    """Heard when the gateway went on; a value from elsewhere is none of those."""
    for late_ms, right in ((900, True), (2500, False)):
        seen = a_good_run()
        at_ms = seen.points[25].at_ms
        seen.points[25] = replace(seen.points[25], at_ms=at_ms + late_ms)
        seen.filed[2].body["g"][0]["r"][5][0] += late_ms
        seen.filed[2].body["g"][0]["r"] = sorted(seen.filed[2].body["g"][0]["r"])
        seen.done.append(Did("freeze", "gateway", at_ms - 10, at_ms + late_ms))
        assert weigh(seen).ok is right, weigh(seen).text()
