"""A receipt as one message (docs/specs/wire.md, section 5): the IOC's word for batches of one epoch of one gateway.

    {"v":1,"gw":"hc-0001","epoch":"k3v9x2","stored":[[412,3735928559]],"rejected":[[412,[[0,17,"..."]]]],
     "refused":[[413,"crc"]],"by":"ingest-1","now":1795484391102,"version":"1.0.0"}

A receipt always fits: when its rejected rows are many, fewer of them are named. They are dead letters at the IOC in
any case; an entry of `rejected` without rows still says that there were some.
"""

from typing import Any, Final

import orjson

from gateway.model import Receipt, RejectedRow, UtcMs
from gateway.wire import checked

MAX_BYTES: Final = checked.MESSAGE_BYTES_MAX
MAX_ENTRIES: Final = 500  # of each list
MAX_NAMED_ROWS: Final = 256  # of one rejected batch

_CRC_MAX: Final = 2**32 - 1
_INDEX_MAX: Final = 65_535


def encode(receipt: Receipt) -> bytes:
    """The MQTT payload; raises ValueError for a list of more than 500 entries: an ingest sends two receipts then."""
    if max(len(receipt.stored), len(receipt.rejected), len(receipt.refused)) > MAX_ENTRIES:
        raise ValueError(f"more than {MAX_ENTRIES} entries in one receipt")
    message = b""
    for named_rows in (MAX_NAMED_ROWS, 8, 0):
        message = orjson.dumps(_document(receipt, named_rows))
        if len(message) <= MAX_BYTES:
            return message
    raise ValueError(f"{len(message)} bytes in one receipt")


def decode(message: bytes) -> Receipt:
    """Raises Malformed; bounded. Words of `refused` that we do not know are kept."""
    document = checked.opened(message, MAX_BYTES)
    return Receipt(
        gateway=checked.name(document.get("gw"), "gw"),
        epoch=checked.name(document.get("epoch"), "epoch"),
        stored=tuple(
            (checked.seq(seq), checked.integer(crc, "crc", 0, _CRC_MAX)) for seq, crc in _pairs(document, "stored")
        ),
        rejected=tuple((checked.seq(seq), _rows(rows)) for seq, rows in _pairs(document, "rejected")),
        refused=tuple(
            (checked.seq(seq), checked.name(why, "why", checked.WORD)) for seq, why in _pairs(document, "refused")
        ),
        by=checked.text(document.get("by"), "by", checked.WORD_BYTES_MAX),
        now=UtcMs(checked.utc(document.get("now"), "now")),
        version=checked.text(document.get("version", ""), "version", checked.WORD_BYTES_MAX),
    )


def _document(receipt: Receipt, named_rows: int) -> dict[str, object]:
    told = {"version": checked.cleaned(receipt.version, checked.WORD_BYTES_MAX)} if receipt.version else {}
    return {
        "v": checked.VERSION,
        "gw": receipt.gateway,
        "epoch": receipt.epoch,
        "stored": receipt.stored,
        "rejected": [
            (seq, [(row.group, row.row, checked.cleaned(row.why)) for row in rows[:named_rows]])
            for seq, rows in receipt.rejected
        ],
        "refused": receipt.refused,
        "by": checked.cleaned(receipt.by, checked.WORD_BYTES_MAX),
        "now": receipt.now,
        **told,
    }


def _pairs(document: dict[str, Any], key: str) -> list[tuple[Any, Any]]:
    entries = checked.items(document.get(key), key, MAX_ENTRIES)
    return [(a, b) for a, b in (checked.items(entry, key, 2, width=2) for entry in entries)]


def _rows(value: object) -> tuple[RejectedRow, ...]:
    rows = (checked.items(row, "rejected row", 3, width=3) for row in checked.items(value, "rows", MAX_NAMED_ROWS))
    return tuple(
        RejectedRow(
            checked.integer(group, "group", 0, _INDEX_MAX),
            checked.integer(row, "row", 0, _INDEX_MAX),
            checked.text(why, "why"),
        )
        for group, row, why in rows
    )
