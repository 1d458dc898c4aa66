r"""A batch as a line of a file, for people who carry it: what would be sent, byte for byte (docs/specs/spool.md, EXP).

    {"header":{"v":1,"gw":"hc-0001",...,"crc":3735928559},"body":"<the body as it would be sent, in base64>"}\n

The header stands there as it is sent, so its crc covers it all: a line that was damaged on the way is found out by
whoever reads it as a message.
"""

from base64 import b64decode, b64encode
from typing import Final

import orjson

from gateway.errors import Malformed
from gateway.model import Batch
from gateway.wire import batch as batches
from gateway.wire import checked

LINE_BYTES_MAX: Final = 2 * checked.MESSAGE_BYTES_MAX


def encode(batch: Batch) -> bytes:
    """One line, newline included."""
    header, _, body = batches.encode(batch).partition(b"\n")
    return b'{"header":%b,"body":"%b"}\n' % (header, b64encode(body))


def payload(line: bytes) -> bytes:
    """The message that this line stands for, not looked into yet. Raises Malformed."""
    if len(line) > LINE_BYTES_MAX:
        raise Malformed("limit", f"a line of more than {LINE_BYTES_MAX} bytes")
    entry = checked.obj(checked.parsed(line), "line")
    header, body = checked.obj(entry.get("header"), "header"), entry.get("body")
    if not isinstance(body, str):
        raise Malformed("schema", "no body")
    try:
        return orjson.dumps(header) + b"\n" + b64decode(body, validate=True)
    except ValueError as error:
        raise Malformed("schema", f"body: {error}") from error
