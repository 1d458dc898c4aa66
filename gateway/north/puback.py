"""`settle = "puback"`: the broker's PUBACK counts as the receipt of an uplink to somebody who sends none. Pure.

The window stays what it is: it is told a receipt that this module made up from a PUBACK. So order, waits, parking and
the patience with a side that takes nothing are the same, only the promise is not: what a broker acknowledged it may
still lose (docs/explanation/never-lose.md). Reason 16 (nobody subscribes) and all from 128 on settle nothing.
"""

from typing import Final

from gateway.model import Batch, Receipt, UtcMs
from gateway.north.effects import Complain
from gateway.north.window import NO_MATCHING_SUBSCRIBERS

# What the window says of receipts, for somebody who sends none. Silence is no word of its own here: it always follows
# from a PUBACK that refused or that found nobody, and that was told.
_WORDS: Final = {"receipts_again": "taken_again", "nobody_stores": "nobody_subscribes"}
_UNSAID: Final = "no_receipts"


def settles(reason: int) -> bool:
    """Whether a PUBACK of this reason is all that will ever be heard of a batch."""
    return reason < NO_MATCHING_SUBSCRIBERS


def receipt(batch: Batch, now: UtcMs) -> Receipt:
    """That batch, stored."""
    return Receipt(batch.id.gateway, batch.id.epoch, ((batch.id.seq, batch.crc),), (), (), "broker", now)


def said(complaint: Complain) -> Complain | None:
    """In words that fit; None for what is told already."""
    if complaint.code == _UNSAID:
        return None
    word = _WORDS.get(complaint.code)
    return complaint if word is None else Complain(word)


def alarms(codes: frozenset[str]) -> frozenset[str]:
    """The same for what is wrong now."""
    return frozenset(_WORDS.get(code, code) for code in codes if code != _UNSAID)
