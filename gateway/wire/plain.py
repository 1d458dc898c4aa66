r"""A batch as plain messages, for somebody who knows nothing of batches: Telegraf, EMQX, a script. Pure.

    json      one object a row: {"time":"2026-11-24T06:59:50.240Z","time_ms":1795503590240,"clock":"ntp",
              "gateway":"hc-0001","device":"meter-1","kind":"energy_meter","profile":"eastron/sdm630@1",
              "fields":{"voltage_l1":230.1},"quality":{"frequency":"no_reply"}}
    influx    lines of line protocol as the IOC's ingest writes them (`line_protocol`), all in ns, several a message

Events and gap records are messages of their own, of the kinds `gw_event` and `gw_gap`, at the topic of what they are
about; what is about no device or bus is about the device `gateway`. Gap records name what was lost for every uplink.

Invariants: the messages of a batch are a pure function of it, so sending it again sends the same bytes; a null is in
`quality` (influx: `qc`) and nowhere else; a time that is not trusted has its clock word, in json a trusted one too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

import orjson

from gateway.model import Batch, Gap, UtcMs
from gateway.wire import batch as wire_batch
from gateway.wire import line_protocol
from gateway.wire.body import Body, BodyEvent, GroupRows
from gateway.wire.checked import ID

LINES_BYTES_MAX: Final = 16 * 1024  # of a message; a line that is longer is one of its own
EVENT, GAP, GATEWAY = "gw_event", "gw_gap", "gateway"
NS: Final = b"000000"  # behind a time in ms

Pack: TypeAlias = tuple[str, bytes]
"""(topic, payload)."""


@dataclass(frozen=True, slots=True)
class Plain:
    """How one uplink writes: `topic` may name {root}, {gateway}, {kind} and {device}."""

    format: str  # json | influx
    root: str
    topic: str

    def messages(self, batch: Batch) -> Iterator[Pack]:
        """In the order of the body, rows before events before gaps; raises Malformed before the first."""
        body = wire_batch.open_body(batch)
        return self._objects(batch, body) if self.format == "json" else _packed([*self._lines(batch, body)])

    def _objects(self, batch: Batch, body: Body) -> Iterator[Pack]:
        for rows in body.groups:
            topic = self._topic(batch, rows.group.kind, rows.group.device)
            yield from ((topic, orjson.dumps(row)) for row in _row_objects(batch, rows))
        for index, event in enumerate(body.events):
            yield self._topic(batch, EVENT, event.subject), orjson.dumps(_event_object(batch, event, index))
        for gap in body.gaps:
            yield self._topic(batch, GAP, ""), orjson.dumps(_gap_object(batch, gap))

    def _lines(self, batch: Batch, body: Body) -> Iterator[Pack]:
        lines, places = line_protocol.rows(batch, body)
        for line, (number, _) in zip(lines, places, strict=True):
            group = body.groups[number].group
            yield self._topic(batch, group.kind, group.device), line + NS
        for event, line in zip(body.events, line_protocol.event_points(batch, body.events), strict=True):
            yield self._topic(batch, EVENT, event.subject), line
        for line in line_protocol.gap_points(batch, body.gaps):
            yield self._topic(batch, GAP, ""), line

    def _topic(self, batch: Batch, kind: str, device: str) -> str:
        device = device if ID.fullmatch(device) else GATEWAY  # a subject is text of any kind
        topic = self.topic.replace("{root}", self.root).replace("{gateway}", _gateway(batch))
        return topic.replace("{kind}", kind).replace("{device}", device)


def _packed(lines: Sequence[Pack]) -> Iterator[Pack]:
    """Lines that follow each other to one topic, as many as fit."""
    at, together, size = "", list[bytes](), 0
    for topic, line in lines:
        if together and (topic != at or size + len(line) > LINES_BYTES_MAX):
            yield at, b"\n".join(together)
            together, size = [], 0
        at, size = topic, size + len(line) + 1
        together.append(line)
    if together:
        yield at, b"\n".join(together)


def _row_objects(batch: Batch, rows: GroupRows) -> Iterator[dict[str, object]]:
    group = rows.group
    codes: dict[int, dict[str, str]] = {}
    for row, column, code in rows.quality:
        codes.setdefault(row, {})[group.fields[column]] = code
    for number, (offset, values) in enumerate(rows.rows):
        good = {name: value for name, value in zip(group.fields, values, strict=True) if value is not None}
        yield {
            **_head(batch, offset, group.kind, group.device),
            "profile": group.profile,
            "fields": good,
            "quality": codes.get(number, {}),
        }


def _event_object(batch: Batch, event: BodyEvent, index: int) -> dict[str, object]:
    said = {"code": event.code, "detail": event.detail}
    return {**_head(batch, event.offset_ms, EVENT, event.subject or GATEWAY), **said, **_name(batch), "index": index}


def _gap_object(batch: Batch, gap: Gap) -> dict[str, object]:
    """`epoch`, `first` and `last` name batches that no uplink will bring; `from` and `to` say of when, where known."""
    seqs = {"epoch": gap.epoch, "first": gap.first, "last": gap.last, "rows": gap.rows}
    times = {"from": _iso(gap.from_ms), "to": _iso(gap.to_ms)}
    return {**_head(batch, 0, GAP, GATEWAY), **seqs, **times, "reason": gap.reason}


def _head(batch: Batch, offset_ms: int, kind: str, device: str) -> dict[str, object]:
    at = UtcMs(batch.stamp.t0 + offset_ms)
    when = {"time": _iso(at), "time_ms": at, "clock": batch.stamp.clock}
    return {**when, "gateway": _gateway(batch), "device": device, "kind": kind}


def _name(batch: Batch) -> dict[str, object]:
    return {"epoch": batch.id.epoch, "seq": batch.id.seq}


def _gateway(batch: Batch) -> str:
    return batch.id.gateway if batch.origin is None else batch.origin.gateway


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _iso(at: UtcMs | None) -> str | None:
    """With milliseconds and Z; None of none, and of a time that no calendar has."""
    try:
        when = None if at is None else _EPOCH + timedelta(milliseconds=at)
    except OverflowError:
        return None
    return None if when is None else when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
