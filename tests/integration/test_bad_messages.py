"""What a message gets that the centre cannot accept: a refusal by name, a dead letter, a count; never a crash.

A real broker and a worker in a process of its own; the messages are published by plain paho.
"""

import zlib
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from gateway.model import Batch, Origin
from gateway.wire import batch as batches
from gateway.wire.topic import Topics
from tests.support.cabinet import WAIT_S
from tests.support.centre import Centre, centre_in, stored_by
from tests.support.chain import now_ms, wait_until
from tests.support.ioc import make_batch, numbered
from tests.support.peer import Peer
from tests.support.servers import Mosquitto

pytestmark = [pytest.mark.timeout(90), pytest.mark.server]


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Centre]:
    """One worker for all messages: what one test sends must not harm the next."""
    folder = tmp_path_factory.mktemp("centre")
    with Mosquitto(folder) as broker, centre_in(folder, broker) as made:
        yield made


def batch(gateway: str, seq: int) -> Batch:
    """A good one."""
    return make_batch(seq, gateway=gateway, t0=now_ms() // 1000 * 1000 + seq * 5000)


def header(of: Batch, **changed: object) -> bytes:
    """The message of a batch with a changed header."""
    line, _, body = batches.encode(of).partition(b"\n")
    return orjson.dumps(orjson.loads(line) | changed) + b"\n" + body


def body(gateway: str, content: bytes, enc: str = "none", n: int = 2) -> bytes:
    """The message of a batch with this body, its crc right."""
    good = batch(gateway, 1)
    return batches.encode(numbered(good.id, n, enc, content, good.stamp, urgent=False, origin=None))


def relayed(gateway: str) -> bytes:
    """The message of a batch that claims to pass on another's."""
    return batches.encode(make_batch(1, gateway=gateway, origin=Origin("hc-0009", "k3v9x2", 1, 1, 0)))


@pytest.mark.parametrize(
    ("name", "why", "message"),
    [
        ("a-field", "schema", lambda gw: header(batch(gw, 1), n="two")),
        ("rows", "schema", lambda gw: body(gw, batch(gw, 1).body, batch(gw, 1).enc, n=1)),
        ("a-bit", "crc", lambda gw: header(batch(gw, 1), crc=1)),
        ("torn", "crc", lambda gw: batches.encode(batch(gw, 1))[:-5]),
        ("long", "limit", lambda gw: batches.encode(batch(gw, 1)) + b" " * 100_000),
        ("newer", "version", lambda gw: header(batch(gw, 1), v=2)),
        ("another", "gateway", lambda _: batches.encode(batch("hc-0002", 1))),
        ("relay", "gateway", relayed),
        ("bomb", "limit", lambda gw: body(gw, zlib.compress(bytes(50 << 20)), "zlib")),
        ("half-zlib", "schema", lambda gw: body(gw, zlib.compress(b"{}" * 500)[:-4], "zlib")),
        ("deep", "schema", lambda gw: body(gw, b"[" * 60_000)),
        ("deep-object", "schema", lambda gw: body(gw, b'{"a":' * 12_000)),
        ("no-json", "schema", lambda gw: body(gw, b"\x00\xff\xfe")),
        ("a-huge-number", "schema", lambda gw: body(gw, b'{"g":[[' + b"9" * 60_000 + b"]]}")),
    ],
)
def test_what_cannot_be_accepted_is_refused_by_name(
    centre: Centre, name: str, why: str, message: Callable[[str], bytes]
) -> None:
    """A receipt to the sender says why; it is never called stored; the next good one is."""
    gateway = f"hc-{name}"
    topics = Topics("city", gateway)
    with Peer(centre.broker.port, gateway) as peer:
        answers = peer.answers(gateway)
        peer.publish(topics.data, message(gateway))
        assert next(answers) == (1, why)
        peer.publish(topics.data, batches.encode(batch(gateway, 2)))
        assert next(answers) == (2, "stored")
    assert {p.fields["seq"] for p in stored_by(centre, "gw_batch", gateway)} == {2.0}


def test_nobody_can_have_anothers_batch_refused(centre: Centre) -> None:
    """A batch in another's name goes back to the topic it came on; the other hears nothing."""
    with Peer(centre.broker.port, "thief") as peer:
        answers = peer.answers("hc-thief")
        peer.publish(Topics("city", "hc-thief").data, batches.encode(batch("hc-victim", 1)))
        assert next(answers) == (1, "gateway")
        assert {receipt["gw"] for receipt in peer.receipts} == {"hc-thief"}


def test_ten_megabytes_stop_nothing(centre: Centre) -> None:
    """The broker is told what a worker takes; nothing of it is stored, the next batch is."""
    gateway = "hc-heavy"
    topics = Topics("city", gateway)
    with Peer(centre.broker.port, gateway) as peer:
        answers = peer.answers(gateway)
        peer.publish(topics.data, batches.encode(batch(gateway, 1)) + bytes(10 << 20))
        peer.publish(topics.status, b"[" * (10 << 20))
        peer.publish(topics.data, batches.encode(batch(gateway, 2)))
        assert next(answers) == (2, "stored")
    assert {p.fields["seq"] for p in stored_by(centre, "gw_batch", gateway)} == {2.0}


UNREADABLE = {
    "not a header": ("up/data", b"garbage"),
    "no names": ("up/data", b'{"v":1}\nbody'),
    "nothing": ("up/data", b""),
    "deep header": ("up/data", b"[" * 900 + b"\n"),
    "status": ("up/status", b"\xff\x00garbage"),
    "half a status": ("up/status", b'{"v":1,"online":true}'),
    "catalog": ("up/catalog", b'{"v":1,"devices":' + b"[" * 5000),
    "outcome": ("up/outcome", b"{}"),
}


def test_what_nobody_can_be_answered_for_is_kept_and_counted(tmp_path: Path) -> None:
    """A dead letter each, and a count; retained garbage greets every new worker, and stops none."""
    with Mosquitto(tmp_path) as broker, Peer(broker.port, root="dead") as peer:
        with centre_in(tmp_path / "first", broker, "dead") as first:
            for rest, payload in UNREADABLE.values():
                peer.publish(f"dead/hc-0001/{rest}", payload, retain=rest != "up/data")
            peer.publish("dead/HC 1/up/data", b"garbage")
            peer.publish("dead/hc-0001/up/data", batches.encode(batch("hc-0001", 1)))
            assert next(peer.answers("hc-0001")) == (1, "stored")
            letters = first.dead_letters()
        assert Counter(str(letter["code"]) for letter in letters) == {"unreadable": 4, "document": 4, "topic": 1}
        payloads = {b64decode(str(letter["content"])) for letter in letters}
        assert payloads == {payload for _, payload in UNREADABLE.values()}
        for code, times in (("unreadable", 4), ("document", 4), ("topic", 1)):
            assert f"counted name=ingest_unreadable labels={{'code': '{code}'}} value={times}" in first.ingest.tail()
        with centre_in(tmp_path / "second", broker, "dead") as second:
            wait_until(lambda: len(second.dead_letters()) >= 3, WAIT_S, "the retained garbage")
            peer.publish("dead/hc-0001/up/data", batches.encode(batch("hc-0001", 2)))
            assert next(peer.answers("hc-0001")) == (2, "stored")
