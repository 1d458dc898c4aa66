"""When a connection over which nothing comes is called lost."""

from gateway.south.links.pulse import MUTE_NS, REQUESTS_MIN, Pulse


def test_it_takes_time_and_requests() -> None:
    """Ten seconds, and three of them: neither a burst nor one slow device is enough."""
    pulse = Pulse()
    assert [pulse.missed(at, at + 1) for at in range(REQUESTS_MIN + 2)] == [False] * (REQUESTS_MIN + 2)
    assert pulse.missed(MUTE_NS - 1, MUTE_NS)
    pulse = Pulse()
    assert [pulse.missed(at * MUTE_NS, (at + 1) * MUTE_NS) for at in range(REQUESTS_MIN)] == [False, False, True]


def test_any_byte_counts_anew() -> None:
    """The silence begins with the first request after it."""
    pulse = Pulse()
    for at in range(REQUESTS_MIN):
        pulse.missed(at, at)
    pulse.beat()
    assert not any(pulse.missed(MUTE_NS + at, MUTE_NS + at) for at in range(REQUESTS_MIN))
    assert pulse.missed(2 * MUTE_NS, 2 * MUTE_NS)
