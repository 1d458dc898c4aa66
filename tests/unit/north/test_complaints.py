"""What is wrong now, and how often it is said."""

from gateway.model import BootMs
from gateway.north.complaints import COMPLAIN_EVERY_MS, Complaints
from gateway.north.effects import Complain


def test_what_lasts_is_said_once_until_it_is_right_again() -> None:
    """Held, cleared, held again a minute later: two events."""
    complaints = Complaints()
    assert complaints.hold("a", (1,), BootMs(0)) == [Complain("a", (1,))]
    assert complaints.hold("a", (2,), BootMs(COMPLAIN_EVERY_MS)) == []
    assert complaints.held == {"a"}
    assert complaints.clear("a", "b") == ["a"]
    assert complaints.clear("a", "b") == []
    assert complaints.hold("a", (3,), BootMs(COMPLAIN_EVERY_MS)) == [Complain("a", (3,))]


def test_one_code_is_said_once_a_minute() -> None:
    """What flaps is held each time, but said once; another code has its own minute."""
    complaints = Complaints()
    assert len(complaints.say("a", "", BootMs(0))) == 1
    assert complaints.say("a", "", BootMs(COMPLAIN_EVERY_MS - 1)) == []
    assert len(complaints.say("b", "", BootMs(1))) == 1
    assert len(complaints.say("a", "", BootMs(COMPLAIN_EVERY_MS))) == 1
