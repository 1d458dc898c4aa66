"""A batch as a line of a file, and back to the very message."""

import pytest

from gateway.errors import Malformed
from gateway.model import Batch, Origin
from gateway.wire import batch as batches
from gateway.wire import exported
from tests.support.ioc import make_batch

BATCH = make_batch(7, origin=Origin("dn-0001", "k3v9x2", 1, 3, 0))


@pytest.mark.parametrize("batch", [make_batch(1), BATCH, make_batch(3, urgent=True, clock="unset")])
def test_a_line_is_the_message_byte_for_byte(batch: Batch) -> None:
    """EXP-1: header and body are those that would be sent."""
    line = exported.encode(batch)
    assert line.endswith(b"\n")
    assert b"\n" not in line[:-1]
    assert exported.payload(line) == batches.encode(batch)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "schema"),
        (b"[]\n", "schema"),
        (b'{"header":{"v":1}}\n', "schema"),
        (b'{"header":[],"body":""}\n', "schema"),
        (b'{"header":{},"body":7}\n', "schema"),
        (b'{"header":{},"body":"%%%"}\n', "schema"),
        (b'{"header":{},"body":"' + "đ".encode() + b'"}\n', "schema"),
        (b" " * (exported.LINE_BYTES_MAX + 1), "limit"),
    ],
)
def test_what_is_no_line_is_refused(line: bytes, why: str) -> None:
    """EXP-1: bounded, and told by a word."""
    with pytest.raises(Malformed) as caught:
        exported.payload(line)
    assert caught.value.why == why


def test_a_changed_line_is_found_out() -> None:
    """EXP-1: the crc of the header covers what the line says."""
    message = exported.payload(exported.encode(BATCH).replace(b'"clock":"ntp"', b'"clock":"rtc"'))
    with pytest.raises(Malformed, match="crc"):
        batches.decode(message)
