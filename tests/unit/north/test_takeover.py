"""gateway.north.takeover: a second box with our id, as far as a server lets it be seen."""

from gateway.errors import ConnectionLost, Refused
from gateway.model import BootMs
from gateway.north.takeover import ALARM_MS, HUNG_UP_MIN, TAKEN_OVER, WITHIN_MS, YOUNG_MS, Takeover

HUNG_UP = ConnectionLost("cut off", hung_up=True)


def hung_up(takeover: Takeover, *ats: int, up_ms: int = 500) -> str:
    """The alarm after the server hung up on young connections, each next one taken at once."""
    for at in ats:
        takeover.lost(HUNG_UP, up_ms, BootMs(at))
        takeover.connected()
    return takeover.alarm(BootMs(ats[-1]))


def test_what_the_server_says_is_certain() -> None:
    """0x8E twice a minute; for ten minutes from then on."""
    takeover = Takeover()
    takeover.lost(ConnectionLost("", TAKEN_OVER), 10**6, BootMs(0))
    assert takeover.alarm(BootMs(0)) == ""
    takeover.lost(ConnectionLost("", TAKEN_OVER), 10**6, BootMs(WITHIN_MS))
    assert takeover.alarm(BootMs(WITHIN_MS + ALARM_MS)) == "identity_used_twice"
    assert takeover.alarm(BootMs(WITHIN_MS + ALARM_MS + 1)) == ""


def test_a_server_that_says_nothing_is_told_by_what_it_does() -> None:
    """Three young connections within a minute, each followed by one that was taken at the first try."""
    assert hung_up(Takeover(), 0, 20_000) == ""
    assert hung_up(Takeover(), 0, 20_000, 60_000) == "hung_up_on"
    assert hung_up(Takeover(), 0, 20_000, 60_001) == ""
    assert hung_up(Takeover(), *range(HUNG_UP_MIN), up_ms=YOUNG_MS) == ""


def test_a_server_that_is_gone_for_a_while_is_not_suspected() -> None:
    """A crash, a restart: the next try fails."""
    takeover = Takeover()
    hung_up(takeover, 0, 1)
    takeover.lost(HUNG_UP, 500, BootMs(2))
    takeover.not_connected()
    takeover.connected()
    assert takeover.alarm(BootMs(3)) == ""
    assert hung_up(takeover, 4, 5) == ""


def test_other_ends_are_no_evidence() -> None:
    """A keepalive that was missed, a refusal, another word of the server's."""
    takeover = Takeover()
    for error in (ConnectionLost("no PUBACK"), ConnectionLost("server", 0x8B), Refused(0x87, "no")) * 3:
        takeover.lost(error, 500, BootMs(1))
        takeover.connected()
    assert takeover.alarm(BootMs(1)) == ""
