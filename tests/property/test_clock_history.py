"""Any history of boots, clocks, appends and sends: stored times are right or marked, and stay (P5)."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.clock_history import History, Step

HOUR, DAY, DECADE = 3_600_000, 86_400_000, 315_576_000_000
ANY = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from([1_000, 6_000, 71_000, 2_400_000])),
    st.tuples(st.just("append"), st.sampled_from([0, 0, 1_000, 60_000])),
    st.tuples(st.just("append"), st.sampled_from([0, 1_000, 60_000])),
    st.tuples(st.sampled_from(["urgent", "sync", "lose", "send", "restart"]), st.just(0)),
    st.tuples(st.just("nudge"), st.sampled_from([-150, 90, 150])),
    st.tuples(st.just("wrong"), st.sampled_from([150, HOUR, -HOUR, 57 * 365 * DAY])),
    st.tuples(st.just("glitch"), st.sampled_from([HOUR, -HOUR, -DAY, DECADE, 6_000, -6_000])),
    st.tuples(st.just("receipt"), st.sampled_from([10, 900, HOUR])),
    st.tuples(st.just("boot"), st.sampled_from([1_000, HOUR])),
)


@example(steps=[("nudge", -150), ("glitch", HOUR), ("receipt", HOUR), ("append", 0)])
@given(steps=st.lists(ANY, max_size=30))
@settings(max_examples=80, deadline=None)
def test_stored_times_are_right_or_marked_and_never_move(steps: Sequence[Step]) -> None:
    """Trusted times are right, rise, and are overwritten by nothing; what was sent once is the same at every send."""
    with TemporaryDirectory() as folder:
        assert asyncio.run(History(Path(folder)).play(steps)) == []
