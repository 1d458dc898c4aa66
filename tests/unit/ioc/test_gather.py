"""When a request is written."""

from gateway.ioc.check import DeadLetter, Document, Verdict, check
from gateway.ioc.gather import BYTES, MESSAGES_MAX, RUN_MESSAGES, Arrived, Gathered
from gateway.model import BootMs, Event
from gateway.wire.receipt import MAX_ENTRIES
from tests.support.ioc import ROOT, T0, make_batch, message, row


def arrived(verdict: Verdict) -> Arrived:
    """Some message with this verdict."""
    return Arrived(message(make_batch(1)), verdict)


def batch(rows: int, *, urgent: bool = False) -> Arrived:
    """A batch of so many rows, checked."""
    made = make_batch(1, [row(at) for at in range(rows)], urgent=urgent)
    return arrived(check(message(made), ROOT, frozenset(), T0))


def test_waits_for_more() -> None:
    """A small batch waits 100 ms, no longer."""
    gathered = Gathered(BootMs(50))
    gathered.add(batch(10), BootMs(50))
    assert not gathered.due(BootMs(149))
    assert gathered.closes_at == 150
    assert gathered.due(BootMs(150))


def test_a_thousand_rows() -> None:
    """Are written at once."""
    gathered = Gathered(BootMs(0))
    gathered.add(batch(600), BootMs(0))
    assert not gathered.due(BootMs(0))
    gathered.add(batch(400), BootMs(0))
    assert gathered.due(BootMs(0))


def test_events_count_too() -> None:
    """A thousand lines of any kind."""
    gathered = Gathered(BootMs(0))
    made = make_batch(1, [Event(BootMs(at), "meter-1", "told") for at in range(1000)])
    gathered.add(arrived(check(message(made), ROOT, frozenset(), T0)), BootMs(0))
    assert gathered.due(BootMs(0))


def test_bytes_are_bounded() -> None:
    """Few lines, and long ones: a database has a bound for one request."""
    gathered = Gathered(BootMs(0))
    gathered.add(arrived(Document("hc-0001", (b"x" * BYTES,))), BootMs(0))
    assert gathered.due(BootMs(0))


def test_urgent() -> None:
    """One urgent batch takes what is there with it."""
    gathered = Gathered(BootMs(0))
    gathered.add(batch(1), BootMs(0))
    gathered.add(batch(1, urgent=True), BootMs(0))
    assert gathered.due(BootMs(0))


def test_many_messages_without_rows() -> None:
    """Gaps, documents and garbage are bounded by their number."""
    gathered = Gathered(BootMs(0))
    for _ in range(MESSAGES_MAX):
        assert not gathered.due(BootMs(0))
        gathered.add(arrived(DeadLetter("unreadable", "")), BootMs(0))
    assert gathered.due(BootMs(0))


def test_a_receipt_holds_a_request() -> None:
    """All batches of one request fit into one receipt."""
    assert MESSAGES_MAX <= MAX_ENTRIES


def test_a_run_that_has_ended_waits_no_longer() -> None:
    """Whoever sends a backlog waits for receipts: eight messages, then none for 5 ms, and never past the 100."""
    gathered = Gathered(BootMs(0))
    for _ in range(RUN_MESSAGES - 1):
        gathered.add(batch(1), BootMs(3))
    assert (gathered.is_run, gathered.closes_at) == (False, 100)
    gathered.add(batch(1), BootMs(4))
    assert (gathered.is_run, gathered.closes_at) == (True, 9)
    assert not gathered.due(BootMs(8))
    assert gathered.due(BootMs(9))
    gathered.add(batch(1), BootMs(98))
    assert gathered.closes_at == 100
