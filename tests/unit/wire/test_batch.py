"""`gateway.wire.batch`: header, crc, and what can be told of a broken message."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateway.errors import Malformed
from gateway.model import Batch, BatchId, Origin, Stamp, UtcMs
from gateway.wire import batch as batches

BATCH = Batch(
    id=BatchId("hc-0001", "k3v9x2", 412),
    stamp=Stamp(UtcMs(1_795_484_390_240), "ntp"),
    n=0,
    crc=0,
    body=b"{}",
    enc="none",
)
ORIGIN = Origin("hc-0002", "a1b2c3", 7, 9, 3)


def sealed(batch: Batch) -> Batch:
    """The batch with its crc."""
    crc = batches.crc(batch.id, batch.stamp, batch.n, batch.enc, batch.body, urgent=batch.urgent, origin=batch.origin)
    return replace(batch, crc=crc)


def with_header(**changes: Any) -> bytes:
    """A message whose header was changed after the crc; None takes a key away."""
    line, _, body = batches.encode(sealed(BATCH)).partition(b"\n")
    header = orjson.loads(line) | changes
    return orjson.dumps({key: value for key, value in header.items() if value is not None}) + b"\n" + body


def test_the_header_has_the_specs_order_and_integers() -> None:
    """W-20, W-21: one line of JSON, keys as in the example, numbers as integers."""
    message = batches.encode(replace(BATCH, crc=3735928559))
    assert message == (
        b'{"v":1,"gw":"hc-0001","epoch":"k3v9x2","seq":412,"n":0,"t0":1795484390240,'
        b'"clock":"ntp","pri":0,"enc":"none","crc":3735928559}\n{}'
    )


def test_of_follows_the_crc() -> None:
    """W-29: five values, only where a relay passes something on."""
    message = batches.encode(replace(BATCH, origin=ORIGIN, urgent=True))
    assert message.endswith(b'"pri":1,"enc":"none","crc":0,"of":["hc-0002","a1b2c3",7,9,3]}\n{}')


@pytest.mark.parametrize(
    "other",
    [
        replace(BATCH, id=BatchId("hc-0002", "k3v9x2", 412)),
        replace(BATCH, id=BatchId("hc-0001", "k3v9x3", 412)),
        replace(BATCH, id=BatchId("hc-0001", "k3v9x2", 413)),
        replace(BATCH, n=1),
        replace(BATCH, stamp=Stamp(UtcMs(1_795_484_390_241), "ntp")),
        replace(BATCH, stamp=Stamp(UtcMs(1_795_484_390_240), "rtc")),
        replace(BATCH, urgent=True),
        replace(BATCH, enc="zlib"),
        replace(BATCH, origin=ORIGIN),
        replace(BATCH, body=b"{ }"),
    ],
)
def test_the_crc_covers_every_value(other: Batch) -> None:
    """W-26: no header value and no body byte can change under one crc."""
    assert sealed(other).crc != sealed(BATCH).crc


def test_the_crc_knows_nothing_of_the_send() -> None:
    """W-23: what a batch is on one box (its order of sending) is not in it, so every send is the same bytes."""
    again = replace(BATCH, order=99)
    assert batches.encode(sealed(again)) == batches.encode(sealed(BATCH))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"v": 2}, "version"),
        ({"v": None}, "schema"),
        ({"v": "1"}, "schema"),
        ({"gw": "HC"}, "schema"),
        ({"gw": None}, "schema"),
        ({"epoch": "a b"}, "schema"),
        ({"seq": 0}, "limit"),
        ({"seq": 1.0}, "schema"),
        ({"seq": True}, "schema"),
        ({"n": -1}, "limit"),
        ({"n": 65_536}, "limit"),
        ({"t0": -1}, "limit"),
        ({"t0": 8_000_000_000_001}, "limit"),
        ({"t0": "now"}, "schema"),
        ({"clock": "N T P"}, "schema"),
        ({"pri": 2}, "limit"),
        ({"pri": True}, "schema"),
        ({"enc": "zstd"}, "schema"),
        ({"enc": ["none"]}, "schema"),
        ({"crc": 2**32}, "limit"),
        ({"crc": 1}, "crc"),
        ({"of": ["hc-0002", "a1b2c3", 7, 9]}, "schema"),
        ({"of": ["hc-0002", "a1b2c3", 9, 7, 0]}, "schema"),
        ({"of": ["hc-0002", "a1b2c3", 7, 9, -1]}, "limit"),
        ({"of": {}}, "schema"),
        ({"of": ["hc-0002", "a1b2c3", 7, 9, 3]}, "crc"),
        ({"clock": "rtc"}, "crc"),
    ],
)
def test_a_wrong_header_is_refused(changes: dict[str, Any], why: str) -> None:
    """W-21, W-27: each value is checked, then the crc over all."""
    with pytest.raises(Malformed) as refused:
        batches.decode(with_header(**changes))
    assert refused.value.why == why


def test_unknown_header_keys_are_ignored() -> None:
    """W-3: a newer v1 writer may say more."""
    assert batches.decode(with_header(newer={"a": 1})) == sealed(BATCH)


def test_unknown_clock_words_are_kept() -> None:
    """W-7: the reader passes on a word it does not know."""
    batch = sealed(replace(BATCH, stamp=Stamp(UtcMs(1), "gnss")))
    assert batches.decode(batches.encode(batch)).stamp.clock == "gnss"


def test_64_kib_is_the_limit_of_a_message() -> None:
    """W-1: the last byte that fits, and the first that does not."""
    room = batches.MAX_ENCODED_BYTES - len(batches.encode(sealed(replace(BATCH, body=b""))))
    for extra, fits in ((-8, True), (200, False)):
        message = batches.encode(sealed(replace(BATCH, body=b" " * (room + extra))))
        if fits:
            assert batches.decode(message).body == b" " * (room + extra)
        else:
            with pytest.raises(Malformed) as refused:
                batches.decode(message)
            assert refused.value.why == "limit"


def test_a_header_without_end_is_not_searched_for_ever() -> None:
    """W-20: the header line ends within 1,024 bytes."""
    with pytest.raises(Malformed) as refused:
        batches.decode(b'{"v":1,"x":"' + b"a" * 2000 + b'"}\n{}')
    assert refused.value.why == "schema"


@pytest.mark.parametrize("changes", [{"v": 2}, {"crc": 1}, {"enc": "zstd"}, {"t0": None}, {"of": 5}])
def test_peek_names_what_it_can(changes: dict[str, Any]) -> None:
    """W-28: a batch that is refused is refused by name."""
    assert batches.peek(with_header(**changes)) == BATCH.id


@pytest.mark.parametrize("message", [b"", b"\n", b"{}", b"\xff\xfe", b'{"gw":"a","epoch":"b"}\n', b'{"gw":"a'])
def test_peek_admits_that_it_cannot(message: bytes) -> None:
    """W-28: nobody is named by chance."""
    assert batches.peek(message) is None


def test_the_body_has_the_rows_of_the_header() -> None:
    """W-24: n is checked when the body is opened."""
    assert batches.open_body(sealed(BATCH)).n == 0
    with pytest.raises(Malformed) as refused:
        batches.open_body(sealed(replace(BATCH, n=1)))
    assert refused.value.why == "schema"
