"""What came in: a batch that may be stored, a batch to refuse by name, a document, or a dead letter. Pure.

Who sends is the topic's word, because the broker's ACL binds it to a certificate; what a header says must agree with
it. A refusal therefore always goes to the sender's own topic, under the sender's name: nobody can have another
gateway's batch refused.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TypeAlias

from gateway.errors import Malformed
from gateway.ioc.store import line_protocol
from gateway.ioc.store.line_protocol import Place
from gateway.model import Batch, BatchId, UtcMs
from gateway.seams import Message
from gateway.wire import batch as batches
from gateway.wire import command, documents
from gateway.wire.body import Body
from gateway.wire.topic import Topics, gateway_of


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
    """A status, a catalog or an outcome, as lines in ns."""

    gateway: str
    lines: tuple[bytes, ...]


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
        return Document(gateway, tuple(_document(message, topics, now)))
    except Malformed as error:
        return DeadLetter("document", str(error))


def _batch(payload: bytes, gateway: str, relays: AbstractSet[str]) -> Verdict:
    try:
        batch = batches.decode(payload)
        _check_sender(batch, gateway, relays)
        body = batches.open_body(batch)
        rows, places = line_protocol.rows(batch, body)
        gaps = line_protocol.gap_points(batch, body.gaps)
        events = line_protocol.event_points(batch, body.events)
    except Malformed as error:
        return _named(payload, gateway, error)
    return Accepted(batch, body, tuple(rows), tuple(places), tuple(gaps), tuple(events))


def _check_sender(batch: Batch, gateway: str, relays: AbstractSet[str]) -> None:
    if batch.id.gateway != gateway:
        raise Malformed("gateway", f"{batch.id.gateway} on the topic of {gateway}")
    if batch.origin is not None and gateway not in relays:
        raise Malformed("gateway", f"{gateway} is no relay of ours")


def _named(payload: bytes, gateway: str, error: Malformed) -> Refuse | DeadLetter:
    said = batches.peek(payload)
    if said is None:
        return DeadLetter("unreadable", str(error))
    why = error.why if said.gateway == gateway else "gateway"
    return Refuse(BatchId(gateway, said.epoch, said.seq), why, str(error))


def _document(message: Message, topics: Topics, now: UtcMs) -> list[bytes]:
    if message.topic == topics.status:
        status = documents.decode_status(message.payload)
        if status.get("gw", topics.gateway) != topics.gateway:
            raise Malformed("gateway", f"a status of {status['gw']} on the topic of {topics.gateway}")
        return [line_protocol.status_point(topics.gateway, status, now)]
    if message.topic == topics.catalog:
        catalog = documents.decode_catalog(message.payload)
        return line_protocol.catalog_points(topics.gateway, catalog, now)
    if message.topic == topics.outcome:
        outcome = command.decode_outcome(message.payload)
        fields = {"id": outcome.id, "ok": outcome.ok, "code": outcome.code}
        return [line_protocol.outcome_point(topics.gateway, outcome.id, fields, now)]
    raise Malformed("schema", "a topic that the IOC itself writes")
