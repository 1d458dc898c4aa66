"""The window's rules of time and order for any load: shares of the ranks, silence, suspects, versions."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.north.slot import SUSPECT_AFTER
from tests.support.window import HOUR_MS, Bench

TRIES_MAX = 6 + HOUR_MS // 300_000  # in an hour: 10, 20, 40, 80, 160, 300 s, then every 5 min
RULES = settings(max_examples=20, deadline=None)


@RULES
@given(
    appended=st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=30, max_size=60),
    receive_maximum=st.integers(1, 20),
    batches_max=st.integers(8, 40),
)
def test_backlog_has_a_quarter_of_what_is_not_urgent(
    appended: list[tuple[int, bool]], receive_maximum: int, batches_max: int
) -> None:
    """At any time, however many fresh and urgent ones come: one in four sends, oldest first; urgent first."""
    bench = Bench(batches_max=batches_max, tail=2_000)
    bench.connect(receive_maximum=receive_maximum)
    bench.stored(*(id_.seq for id_ in bench.window.in_flight))
    begin = len(bench.sent)
    for count, urgent in appended:
        for _ in range(count):
            bench.append()
        if urgent:
            alarm = bench.append(urgent=True)
            waiting = len(bench.sent)
        bench.stored(*(id_.seq for id_ in bench.window.in_flight))
        if urgent:
            assert alarm.id.seq in bench.sent[waiting - 1 :]
    ordinary = [seq for seq in bench.sent[begin:] if not bench.batches[seq - 1].urgent]
    backlog = [seq for seq in ordinary if seq <= 2_000]
    assert len(backlog) >= len(ordinary) // 4
    assert backlog == sorted(backlog)
    fresh = [seq for seq in ordinary if seq > 2_000]
    assert fresh == sorted(fresh)


@RULES
@given(
    tail=st.integers(1, 60),
    puback=st.sampled_from([0, 16, 135, 151]),
    receive_maximum=st.integers(1, 20),
    appended=st.lists(st.sampled_from(["", "", "ordinary", "urgent"]), max_size=60),
)
def test_an_hour_without_an_answer(tail: int, puback: int, receive_maximum: int, appended: list[str]) -> None:
    """Nothing is parked, nothing is flooded, one batch at a time is tried; the first answer sets all free (W-74)."""
    bench = Bench(tail=tail)
    bench.puback = puback
    bench.connect(receive_maximum=receive_maximum)
    bench.wait(11_000)
    assert bench.window.mute == "no_receipts"
    before = len(bench.sent)
    for minute in range(60):
        for kind in appended[minute : minute + 1]:
            if kind:
                bench.append(urgent=kind == "urgent")
        assert len(bench.wait(60_000)) <= 4, "more than its tries in a minute"
    urgent = sum(kind == "urgent" for kind in appended)
    assert bench.parked == {}
    assert len(bench.sent) - before <= 2 * TRIES_MAX + urgent  # once all were tried in vain, each try fetches one more
    assert len(bench.window.in_flight) <= 20
    assert all(slot.overtaken == 0 and slot.refusals == 0 for slot in bench.window._held.slots.values())
    while not bench.window.idle or bench.places("aside"):
        bench.stored(*(id_.seq for id_ in bench.window.in_flight))
        bench.wait(1_000)
    assert bench.gone == {batch.id.seq for batch in bench.batches}


@RULES
@given(tail=st.integers(2, 80), batches_max=st.integers(6, 30), poison=st.sets(st.integers(1, 80), min_size=1))
def test_suspects_hold_at_most_half_of_the_window(tail: int, batches_max: int, poison: set[int]) -> None:
    """Whichever batches are never answered: beyond 3 counted sends they hold half at most; others arrive."""
    bench = Bench(batches_max=batches_max, tail=tail)
    bench.connect()
    good = {seq for seq in range(1, tail + 1) if seq not in poison}
    for _ in range(24 * 60):
        bench.wait(10_000)
        bench.append()
        bench.stored(*(id_.seq for id_ in bench.window.in_flight if id_.seq not in poison or id_.seq > tail))
        suspects = [slot for slot in bench.window._held.slots.values() if slot.overtaken > SUSPECT_AFTER]
        assert len(suspects) <= batches_max // 2
        if good <= bench.gone and not bench.places("due"):
            break
    assert good <= bench.gone
    assert not poison & bench.gone & set(range(1, tail + 1))


@RULES
@given(tail=st.integers(1, 40), minutes=st.integers(1, 90))
def test_a_centre_of_another_version(tail: int, minutes: int) -> None:
    """Every try is refused with `version`: as if nobody answered, and nothing is held against any batch (W-75)."""
    bench = Bench(tail=tail)
    bench.connect()
    for minute in range(minutes):
        for id_ in bench.window.in_flight:
            bench.refused(id_.seq, "version")
        assert bench.window.mute == "version_refused"
        assert len(bench.wait(60_000)) <= (4 if minute < 5 else 1)
    assert bench.parked == {}
    assert bench.window.alarms == {"version_refused"}
    while not bench.window.idle or bench.places("aside"):
        bench.stored(*(id_.seq for id_ in bench.window.in_flight))
        bench.wait(1_000)
    assert bench.gone == set(range(1, tail + 1))
