r"""A batch as one message: a line of JSON header, a newline, the body (docs/specs/wire.md, section 3).

    {"v":1,"gw":"hc-0001","epoch":"k3v9x2","seq":412,"n":300,"t0":...,"clock":"ntp","pri":0,"enc":"zlib","crc":...}\n
    <body bytes, in enc>

Invariants: the crc covers every value of the header and the body as sent, and none of them changes once a batch was
sent, so every send of one batch is the same bytes and a receipt can name a content. The first line of every future
version keeps `v`, `gw`, `epoch` and `seq`, so that a batch can be refused by name by whoever cannot read the rest.
"""

from typing import Any, Final
from zlib import crc32

import orjson

from gateway.errors import Malformed
from gateway.model import Batch, BatchId, Origin, Stamp, UtcMs
from gateway.wire import body_reader, checked

MAX_ENCODED_BYTES: Final = checked.MESSAGE_BYTES_MAX
MAX_INFLATED_BYTES: Final = body_reader.MAX_INFLATED_BYTES
MAX_HEADER_BYTES: Final = 1024
ENCODINGS: Final = ("zlib", "none")

_ORIGIN_VALUES: Final = 5
_CRC_MAX: Final = 2**32 - 1


def crc(batch_id: BatchId, stamp: Stamp, n: int, enc: str, body: bytes, *, urgent: bool, origin: Origin | None) -> int:
    """CRC-32 over the header's values (spec order) and the body as sent: the same at every send (W-26)."""
    values = (batch_id.gateway, batch_id.epoch, batch_id.seq, n, stamp.t0, stamp.clock, int(urgent), enc, _of(origin))
    return crc32(body, crc32("".join(f"{value}\n" for value in values).encode()))


def encode(batch: Batch) -> bytes:
    """The MQTT payload."""
    header = {
        "v": checked.VERSION,
        "gw": batch.id.gateway,
        "epoch": batch.id.epoch,
        "seq": batch.id.seq,
        "n": batch.n,
        "t0": batch.stamp.t0,
        "clock": batch.stamp.clock,
        "pri": int(batch.urgent),
        "enc": batch.enc,
        "crc": batch.crc,
    }
    if batch.origin is not None:
        header["of"] = _origin_values(batch.origin)
    return orjson.dumps(header) + b"\n" + batch.body


def decode(message: bytes) -> Batch:
    """Header and crc checked; the body stays closed (`open_body`). Raises Malformed: schema, limit, version, crc."""
    if len(message) > MAX_ENCODED_BYTES:
        raise Malformed("limit", f"{len(message)} bytes, at most {MAX_ENCODED_BYTES}")
    end = message.find(b"\n", 0, MAX_HEADER_BYTES + 1)
    if end < 0:
        raise Malformed("schema", f"no header line in the first {MAX_HEADER_BYTES} bytes")
    header = checked.opened(message[:end])
    batch = _batch(header, message[end + 1 :])
    found = crc(batch.id, batch.stamp, batch.n, batch.enc, batch.body, urgent=batch.urgent, origin=batch.origin)
    if found != batch.crc:
        raise Malformed("crc", f"header says {batch.crc}, content is {found}")
    return batch


def open_body(batch: Batch) -> body_reader.Body:
    """Rows, events and gaps, and as many rows as the header says (W-24); raises Malformed: schema, limit."""
    body = body_reader.decode(batch.enc, batch.body)
    if body.n != batch.n:
        raise Malformed("schema", f"n is {batch.n}, the body has {body.n} rows")
    return body


def peek(message: bytes) -> BatchId | None:
    """Who a message says it is (W-28), however malformed it is otherwise; None when not even that can be read."""
    try:
        line = message[: MAX_HEADER_BYTES + 1].partition(b"\n")[0]
        return _batch_id(checked.obj(checked.parsed(line), "header"))
    except Malformed:
        return None


def _batch(header: dict[str, Any], body: bytes) -> Batch:
    pri = checked.integer(header.get("pri"), "pri", 0, 1)
    enc = header.get("enc")
    if enc not in ENCODINGS:
        raise Malformed("schema", "enc: neither zlib nor none")
    stamp = Stamp(UtcMs(checked.utc(header.get("t0"), "t0")), checked.name(header.get("clock"), "clock", checked.WORD))
    return Batch(
        id=_batch_id(header),
        stamp=stamp,
        n=checked.integer(header.get("n"), "n", 0, body_reader.MAX_ROWS),
        crc=checked.integer(header.get("crc"), "crc", 0, _CRC_MAX),
        body=body,
        enc=enc,
        urgent=bool(pri),
        origin=_origin(header["of"]) if "of" in header else None,
    )


def _batch_id(header: dict[str, Any]) -> BatchId:
    return BatchId(
        checked.name(header.get("gw"), "gw"), checked.name(header.get("epoch"), "epoch"), checked.seq(header.get("seq"))
    )


def _origin(value: object) -> Origin:
    gateway, epoch, first, last, withheld = checked.items(value, "of", _ORIGIN_VALUES, width=_ORIGIN_VALUES)
    origin = Origin(
        checked.name(gateway, "of gateway"),
        checked.name(epoch, "of epoch"),
        checked.seq(first, "of first"),
        checked.seq(last, "of last"),
        checked.integer(withheld, "of withheld"),
    )
    if origin.last < origin.first:
        raise Malformed("schema", "of: last before first")
    return origin


def _origin_values(origin: Origin) -> list[str | int]:
    return [origin.gateway, origin.epoch, origin.first, origin.last, origin.withheld_rows]


def _of(origin: Origin | None) -> str:
    return "" if origin is None else ",".join(map(str, _origin_values(origin)))
