"""What came in: a batch that may be stored, a batch to refuse by name, a document, or a dead letter. Pure.

Who sends is the topic's word, because the broker's ACL binds it to a certificate; what a header says must agree with
it. A refusal therefore always goes to the sender's own topic, under the sender's name: nobody can have another
gateway's batch refused.

What one gateway sends must not harm the others. A request to the database holds the batches of many: so the lines of
one batch are bounded (names are short on the wire and repeated in every line), and a field of the city-wide list has
the letter of that list, because the first to write a field gives it its type for all.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import TypeAlias

from gateway.errors import Malformed
from gateway.model import Batch, BatchId, Group, UtcMs
from gateway.profile.quantities import quantities
from gateway.seams import Message
from gateway.wire import batch as batches
from gateway.wire import catalog as wire_catalog
from gateway.wire import command, line_protocol, status_reader
from gateway.wire.body import Body
from gateway.wire.line_protocol import Place
from gateway.wire.topic import Topics, gateway_of

LINES_MAX_BYTES = 4 << 20  # of one batch; InfluxDB takes 25 MB in one request, a gateway of ours makes 2 at most


@dataclass(frozen=True, slots=True)
class Accepted:
    """May be stored: its rows as lines in ms, beside each its place in the body; gaps and events as lines in ns."""

    batch: Batch
    body: Body
    rows: tuple[bytes, ...]
    places: tuple[Place, ...]
    gaps: tuple[bytes, ...]
    events: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Refuse:
    """Cannot be stored as it is; the sender is told why, in a word of receipts."""

    batch_id: BatchId  # with the sender's name
    why: str
    detail: str


@dataclass(frozen=True, slots=True)
class Document:
    """A status, a catalog or an outcome, as lines in ns; `names`: what it may add to the database's index."""

    gateway: str
    lines: tuple[bytes, ...]
    names: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Nobody can be answered."""

    code: str
    detail: str


Verdict: TypeAlias = Accepted | Refuse | Document | DeadLetter


def check(message: Message, root: str, relays: AbstractSet[str], now: UtcMs) -> Verdict:
    """What to do with this message; `now` dates a document."""
    try:
        gateway = gateway_of(root, message.topic)
    except Malformed as error:
        return DeadLetter("topic", str(error))
    topics = Topics(root, gateway)
    if message.topic == topics.data:
        return _batch(message.payload, gateway, relays)
    try:
        return _document(message, topics, now)
    except Malformed as error:
        return DeadLetter("document", str(error))


def _batch(payload: bytes, gateway: str, relays: AbstractSet[str]) -> Verdict:
    try:
        batch = batches.decode(payload)
        _check_sender(batch, gateway, relays)
        body = batches.open_body(batch)
        _check_lines(sum([len(rows.rows) * _checked_names_bytes(rows.group) for rows in body.groups]))
        rows, places = line_protocol.rows(batch, body)
        gaps = line_protocol.gap_points(batch, body.gaps)
        events = line_protocol.event_points(batch, body.events)
        _check_lines(sum(map(len, chain(rows, gaps, events))))
    except Malformed as error:
        return _named(payload, gateway, error)
    return Accepted(batch, body, tuple(rows), tuple(places), tuple(gaps), tuple(events))


def _check_sender(batch: Batch, gateway: str, relays: AbstractSet[str]) -> None:
    if batch.id.gateway != gateway:
        raise Malformed("gateway", f"{batch.id.gateway} on the topic of {gateway}")
    if batch.origin is not None and gateway not in relays:
        raise Malformed("gateway", f"{gateway} is no relay of ours")


@lru_cache(maxsize=1024)
def _checked_names_bytes(group: Group) -> int:
    """The least bytes that a line of this group has: its names. Its letters are checked, once for many batches."""
    for name, letter in zip(group.fields, group.letters, strict=True):
        fixed = _letter_of(name)
        if fixed not in {letter, ""}:
            raise Malformed("schema", f"{name} has the letter {fixed} in this city, not {letter}")
    return sum(map(len, (group.kind, group.device, *group.fields)))


@lru_cache(maxsize=4096)
def _letter_of(name: str) -> str:
    """Of the list; `relay_3` is one of several `relay`s; "" for a name of a profile's own."""
    listed = quantities().get(name) or quantities().get(name.rstrip("0123456789").removesuffix("_"))
    return listed.letter if listed else ""


def _check_lines(size_bytes: int) -> None:
    if size_bytes > LINES_MAX_BYTES:
        raise Malformed("limit", f"{size_bytes} bytes of line protocol, at most {LINES_MAX_BYTES}")


def _named(payload: bytes, gateway: str, error: Malformed) -> Refuse | DeadLetter:
    said = batches.peek(payload)
    if said is None:
        return DeadLetter("unreadable", str(error))
    why = error.why if said.gateway == gateway else "gateway"
    return Refuse(BatchId(gateway, said.epoch, said.seq), why, str(error))


def _document(message: Message, topics: Topics, now: UtcMs) -> Document:
    gateway = topics.gateway
    if message.topic == topics.status:
        status = _of_sender("status", status_reader.decode_status(message.payload), gateway)
        status["replayed"] = message.retain  # kept by the broker: of any age, if that came back from an old snapshot
        lasts = [(epoch.epoch, epoch.last) for epoch in status_reader.epochs_of(status)]
        names = (*(("status", key) for key in status), *(("epoch", epoch) for epoch, _ in lasts))
        lines = (line_protocol.status_point(gateway, status, now), *line_protocol.epoch_points(gateway, lasts, now))
        return Document(gateway, lines, names)
    if message.topic == topics.catalog:
        catalog = _of_sender("catalog", wire_catalog.decode_catalog(message.payload), gateway)
        lines = tuple(line_protocol.catalog_points(gateway, catalog, now))
        return Document(gateway, lines, tuple(("catalog", line.partition(b" ")[0].decode()) for line in lines))
    if message.topic == topics.outcome:
        outcome = command.decode_outcome(message.payload)
        return Document(gateway, (line_protocol.outcome_point(gateway, outcome, now),))
    raise Malformed("schema", "a topic that the IOC itself writes")


def _of_sender(what: str, document: dict[str, object], gateway: str) -> dict[str, object]:
    if document.get("gw", gateway) != gateway:
        raise Malformed("gateway", f"a {what} of {document['gw']} on the topic of {gateway}")
    return document
