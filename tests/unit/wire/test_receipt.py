"""`gateway.wire.receipt`: bounded both ways."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateway.errors import Malformed
from gateway.model import Receipt, RejectedRow, UtcMs
from gateway.wire import receipt

RECEIPT = Receipt("hc-0001", "k3v9x2", ((412, 7),), (), (), "ingest-1", UtcMs(1_795_484_391_102))
DOCUMENT = {"v": 1, "gw": "a", "epoch": "b", "stored": [], "rejected": [], "refused": [], "by": "x", "now": 5}


def rejecting(batches: int, rows: int, why: str = "field type conflict") -> Receipt:
    """A receipt with so many rejected rows."""
    guilty = tuple(RejectedRow(0, row, why) for row in range(rows))
    return replace(
        RECEIPT,
        stored=tuple((seq, 2**32 - 1) for seq in range(1, batches + 1)),
        rejected=tuple((seq, guilty) for seq in range(1, batches + 1)),
    )


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"v": 2}, "version"),
        ({"gw": "A"}, "schema"),
        ({"epoch": None}, "schema"),
        ({"stored": None}, "schema"),
        ({"stored": [[0, 1]]}, "limit"),
        ({"stored": [[1, 2**32]]}, "limit"),
        ({"stored": [[1]]}, "schema"),
        ({"stored": [[1, 2, 3]]}, "schema"),
        ({"stored": [[True, 2]]}, "schema"),
        ({"stored": [[1, 2]] * 501}, "limit"),
        ({"rejected": [[1, [[0, 0]]]]}, "schema"),
        ({"rejected": [[1, [[0, 0, "a\nb"]]]]}, "schema"),
        ({"rejected": [[1, [[0, -1, "a"]]]]}, "limit"),
        ({"rejected": [[1, [[0, 0, "a"]] * 257]]}, "limit"),
        ({"refused": [[1, "C R C"]]}, "schema"),
        ({"refused": [[1, 5]]}, "schema"),
        ({"by": None}, "schema"),
        ({"now": -1}, "limit"),
        ({"now": 1.5}, "schema"),
    ],
)
def test_a_wrong_receipt_is_refused(changes: dict[str, Any], why: str) -> None:
    """W-50 to W-53: a foreign receipt settles nothing."""
    with pytest.raises(Malformed) as refused:
        receipt.decode(orjson.dumps(DOCUMENT | changes))
    assert refused.value.why == why


def test_a_receipt_is_bounded() -> None:
    """W-1: 64 KiB."""
    with pytest.raises(Malformed) as refused:
        receipt.decode(orjson.dumps(DOCUMENT | {"new": "x" * 70_000}))
    assert refused.value.why == "limit"


def test_unknown_words_and_keys_do_not_matter() -> None:
    """W-3, W-53: a newer IOC may refuse for another reason."""
    found = receipt.decode(orjson.dumps(DOCUMENT | {"refused": [[9, "quota"]], "newer": 1}))
    assert found.refused == ((9, "quota"),)


@pytest.mark.parametrize(("batches", "rows", "named"), [(1, 3, 3), (1, 5000, 256), (20, 5000, 8), (500, 300, 0)])
def test_many_rejected_rows_are_not_all_named(batches: int, rows: int, named: int) -> None:
    """W-58: the receipt always fits, every rejected batch is in it."""
    message = receipt.encode(rejecting(batches, rows))
    found = receipt.decode(message)
    assert len(message) <= receipt.MAX_BYTES
    assert [(seq, len(guilty)) for seq, guilty in found.rejected] == [(seq, named) for seq in range(1, batches + 1)]
    assert len(found.stored) == batches


def test_too_many_entries_are_two_receipts() -> None:
    """W-58: more than 500 batches in one receipt are the sender's mistake."""
    with pytest.raises(ValueError, match="500"):
        receipt.encode(rejecting(501, 0))


def test_a_databases_words_are_cleaned() -> None:
    """W-5: an error text with a line break in it is still one a gateway reads."""
    found = receipt.decode(receipt.encode(rejecting(1, 1, "partial write:\nfield " + "x" * 400)))
    assert found.rejected[0][1][0].why.startswith("partial write: field xxx")
