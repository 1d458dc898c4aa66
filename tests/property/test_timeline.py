"""Whatever a wall clock does, times that were given out keep their promises."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.clock.timeline import Timeline
from gateway.model import TRUSTED, BootMs, Given, Segment, UtcMs

TRUE = 1_795_521_600_000
BATCH_MS = 60_000  # rows of a batch, at most, after its b0
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [1_000, 10_000, 61_000, 3_700_000]
        ),  # until the next batch; the clock is set, and looked at, half-way
        st.sampled_from([0, 0, 0, 60, 150, -150, 4_000, -4_000, 3_600_000, -3_600_000]),  # the wall clock is set by
        st.booleans(),  # synchronised
        st.booleans(),  # urgent
        st.sampled_from(["", "", "agrees", "old", "restart"]),
    ),
    max_size=40,
)


@example(steps=[(61_000, -4_000, True, False, ""), *[(1_000, 0, True, False, "")] * 3], synchronised=True)
@given(steps=STEPS, synchronised=st.booleans())
@settings(max_examples=300, deadline=None)
def test_offsets_are_set_once_and_trusted_times_never_meet(
    steps: list[tuple[int, int, bool, bool, str]], synchronised: bool
) -> None:
    """An offset never changes; rows that are trusted never share a time, nor go back."""
    at, offset = 60_000, TRUE
    timeline = Timeline("b1")
    timeline.resume(BootMs(at), (), Given())
    kept: dict[int, Segment] = {}
    rows: list[tuple[int, int]] = []  # (segment, boot ms): the first and the last of each batch

    def keep(segment: Segment) -> None:
        known = kept.get(segment.number)
        assert known is None or known.offset_ms is None or known == segment
        kept[segment.number] = segment

    def look() -> None:
        for segment in timeline.observe(BootMs(at), UtcMs(at + offset), synchronised=synchronised).dated:
            keep(segment)

    look()
    for wait, step, synchronised, urgent, what in steps:  # noqa: B007, PLR1704 - the look reads it
        segment = timeline.segment_of(BootMs(at), urgent)
        keep(segment)
        rows += [(segment.number, at), (segment.number, at + min(wait, BATCH_MS) - 1)]
        at += wait // 2
        offset += step
        if what == "restart":
            trusted = [b0 + (kept[n].offset_ms or 0) for n, b0 in rows if kept[n].clock in TRUSTED]
            timeline = Timeline("b1")
            timeline.resume(BootMs(at), list(kept.values()), Given(UtcMs(max(trusted, default=0)), segment=max(kept)))
        look()
        if what == "agrees":
            timeline.told_by_ioc(BootMs(at), BootMs(at), UtcMs(at + offset))
        elif what == "old" and timeline.stamp(BootMs(at)):
            timeline.told_by_ioc(BootMs(at), BootMs(at), timeline.stamp(BootMs(at)).t0)  # type: ignore[union-attr]
        at += wait - wait // 2
    synchronised = True
    at += 1_000
    look()
    assert not timeline.undated
    assert all(segment.offset_ms is not None for segment in kept.values())
    times = [b0 + (kept[n].offset_ms or 0) for n, b0 in rows if kept[n].clock in TRUSTED]
    assert times == sorted(set(times))
