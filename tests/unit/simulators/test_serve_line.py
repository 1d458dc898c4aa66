"""`simulators.serve_line`: each step in its time, a torn reply before the next, and what counts as heard."""

from typing import Any, cast

import pytest

from gateway.model import UtcMs
from simulators.device import Answer
from simulators.exchange import Outcome
from simulators.fault import Step, Then
from simulators.moments import Instant
from simulators.serve_line import LineServer, zero_ns

MS = 1_000_000


class Ears:
    """The line, and the run that is told what became of it."""

    def __init__(self, deaf_from: int = 9) -> None:
        self.sent: list[tuple[bytes, int]] = []
        self.told: list[int | None] = []
        self._deaf_from = deaf_from

    async def send(self, data: bytes, at_ns: int) -> Instant | None:
        """None: nobody listens any more."""
        self.sent.append((data, at_ns))
        return Instant(at_ns, UtcMs(0)) if len(self.sent) <= self._deaf_from else None

    def said(self, _: Outcome, at: Instant | None, via: str) -> None:
        """When its first byte has left."""
        assert via == "poll"
        self.told.append(at.boot_ns if at else None)


def outcome(*steps: Step) -> Outcome:
    """Of a device."""
    return Outcome("meter-1", "meter", Answer(b"", 1), steps)


async def said(ears: Ears, *outcomes: Outcome) -> None:
    """One after the other, all by the same device."""
    server = LineServer("/dev/null", cast("Any", ears), cast("Any", ears))
    for one in outcomes:
        await server._say("meter-1", one, 10 * MS, "poll")


async def test_a_held_piece_comes_before_the_next_reply() -> None:
    """Each at its time; what was only held was not heard."""
    ears = Ears()
    await said(ears, outcome(Step(0, b"a", Then.HOLD)), outcome(Step(2, b"b"), Step(5.5, b"c")))
    assert ears.sent == [(b"ab", 12 * MS), (b"c", 15_500_000)]
    assert ears.told == [None, 12 * MS]


@pytest.mark.parametrize("deaf_from", [0, 1])
async def test_what_is_not_heard_to_its_end_is_not_served(deaf_from: int) -> None:
    """Nor is silence."""
    ears = Ears(deaf_from)
    await said(ears, outcome(Step(0, b"a"), Step(1, b"b")), outcome())
    assert ears.told == [None, None]


def test_times_count_from_before_the_first_step() -> None:
    """So that the first one is said when it is to be said."""
    assert zero_ns(outcome(Step(2, b"a"), Step(3, b"b")), 10 * MS) == 8 * MS
    assert zero_ns(outcome(), 10 * MS) == 10 * MS
