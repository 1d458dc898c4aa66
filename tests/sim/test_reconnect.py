"""500 gateways lose their broker in one moment, by the policy itself: no stampede, however long it is away."""

from collections import Counter
from random import Random

import pytest

from gateway.north.doors import FORGIVEN_AFTER_MS, WAIT_MAX_MS, Doors

GATEWAYS = 500
PEAK_PER_S = 200
PEAK_LATER_PER_S = 40  # when it was away for a minute or more


def attempts(away_ms: int) -> tuple[list[int], list[int]]:
    """When each attempt is made, and when each gateway is back; ms since the loss."""
    tries, back = list[int](), list[int]()
    for seed in range(GATEWAYS):
        doors = Doors(1, Random(seed))
        at = doors.lost(FORGIVEN_AFTER_MS)
        tries.append(at)
        while at < away_ms:
            at += doors.failed()
            tries.append(at)
        back.append(at)
    return tries, back


def peak_per_s(times: list[int]) -> int:
    """The most in any second, wherever it begins."""
    ordered = sorted(times)
    return max(sum(1 for at in ordered[i : i + 1000] if at < begin + 1_000) for i, begin in enumerate(ordered))


@pytest.mark.parametrize("away_s", [0, 1, 3, 10, 30, 60, 600])
def test_no_second_sees_a_stampede_and_all_are_back_within_a_minute(away_s: int) -> None:
    """At most 200 attempts in any second of 500 gateways, 40 after a long outage; back 60 s after the broker is."""
    tries, back = attempts(away_s * 1_000)
    assert peak_per_s(tries) <= PEAK_PER_S
    if away_s >= 60:
        assert peak_per_s([at for at in tries if at >= away_s * 1_000]) <= PEAK_LATER_PER_S
    assert max(back) <= away_s * 1_000 + WAIT_MAX_MS


def test_there_is_no_beat() -> None:
    """Full jitter: in a long outage no second of the minute is favoured."""
    tries, _ = attempts(1_800_000)
    late = Counter(at // 1_000 % 60 for at in tries if at > 300_000)
    assert max(late.values()) < 2 * min(late.values())
