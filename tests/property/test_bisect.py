"""Whatever lines are guilty, exactly they are found, and every other one was taken."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ioc.bisect import Bisect


@settings(max_examples=300)
@given(st.integers(0, 200), st.sets(st.integers(0, 199), max_size=40), st.booleans())
def test_exactly_the_guilty(lines: int, bad: set[int], counts: bool) -> None:
    """No good line is called guilty or left out; no guilty one is missed; the work is bounded."""
    guilty = {line for line in bad if line < lines}
    taken: set[int] = set()
    writes = 0
    search = Bisect(lines)
    while (part := search.next()) is not None:
        writes += 1
        wrong = guilty & set(part)
        if wrong:
            search.refused("why", dropped=len(wrong) if counts else 0)
        else:
            taken |= set(part)
            search.took()
    assert [line for line, _ in search.guilty] == sorted(guilty)
    assert taken == set(range(lines)) - guilty
    assert writes <= 1 + 2 * len(guilty) * (lines.bit_length() + 1)
