"""Receipts of one request."""

from gateway.ioc.check import Refuse
from gateway.ioc.receipts import Settled, receipts
from gateway.model import BatchId, RejectedRow, UtcMs
from tests.support.ioc import make_batch

NOW = UtcMs(5)


def test_one_receipt_an_epoch() -> None:
    """Batches are grouped by gateway and epoch; each names its content."""
    settled = [make_batch(1), make_batch(1, gateway="hc-0002"), make_batch(2), make_batch(1, epoch="other")]
    answers = receipts([Settled(batch) for batch in settled], [], "ingest-1", NOW)
    named = [(answer.gateway, answer.epoch, [seq for seq, _ in answer.stored]) for answer in answers]
    assert named == [("hc-0001", "k3v9x2", [1, 2]), ("hc-0002", "k3v9x2", [1]), ("hc-0001", "other", [1])]
    assert answers[0].stored[0] == (1, settled[0].crc)
    assert (answers[0].by, answers[0].now) == ("ingest-1", NOW)


def test_rejected_is_stored_too() -> None:
    """Guilty rows are named beside the seq that is settled."""
    rows = (RejectedRow(0, 1, "field type conflict"),)
    (answer,) = receipts([Settled(make_batch(1), rows)], [], "i", NOW)
    assert [seq for seq, _ in answer.stored] == [1]
    assert answer.rejected == ((1, rows),)


def test_refused_is_not_stored() -> None:
    """A refusal stands alone."""
    (answer,) = receipts([], [Refuse(BatchId("hc-0001", "e", 4), "crc", "")], "i", NOW)
    assert (answer.stored, answer.rejected, answer.refused) == ((), (), ((4, "crc"),))


def test_twice_in_one_request() -> None:
    """A batch that came twice is named once."""
    batch = make_batch(1)
    (answer,) = receipts([Settled(batch), Settled(batch)], [], "i", NOW)
    assert answer.stored == ((1, batch.crc),)


def test_nothing() -> None:
    """No batch, no receipt."""
    assert receipts([], [], "i", NOW) == []
