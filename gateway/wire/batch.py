"""A batch as one message: a line of JSON header, a newline, the body.

STUB: signatures fixed by the foundation; bodies to be written.
"""

from gateway.model import BatchId, Origin, Stamp, Batch

MAX_ENCODED_BYTES = 64 * 1024
MAX_INFLATED_BYTES = 1024 * 1024


def crc(batch_id: BatchId, stamp: Stamp, n: int, enc: str, body: bytes, *, urgent: bool, origin: Origin | None) -> int:
    """CRC-32 over the header's values (spec order) and the body as sent: the same at every send."""
    ...


def encode(batch: Batch) -> bytes:
    """The MQTT payload."""
    ...


def decode(message: bytes) -> Batch:
    """Raises Malformed(why): schema, limit, version, crc."""
    ...


def peek(message: bytes) -> BatchId | None:
    """Who a message says it is, even when it is malformed otherwise, so that it can be refused by name; None when not even that can be read."""
    ...
