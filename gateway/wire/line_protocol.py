"""A batch, a status, a catalog -> InfluxDB line protocol, for the IOC and for an uplink of `format = "influx"`. Pure.

Rows: measurement = kind; tags gateway, device, profile (without its version), and clock where it is not ntp or system,
so that a row whose time is not trusted never overwrites one whose time is; time in ms. One text field `qc` names the
fields that are null.

Ledger (the `gw_` measurements, ns): several points of one millisecond must not overwrite each other, so the nanoseconds
inside it say which batch and which record of it: seq for `gw_batch`, 64 x seq + index for `gw_gap` and `gw_event`, both
modulo 10^6. Everything is a pure function of the batch: writing it again writes the same points.

There is one number type, the float: InfluxDB drops a whole row when an integer meets a float field.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from zlib import crc32

import orjson

from gateway.errors import Malformed
from gateway.model import Batch, Gap, Group, SeqRanges, UtcMs, Value
from gateway.wire.body import Body, BodyEvent, GroupRows
from gateway.wire.command import Outcome

NS_PER_MS = 1_000_000
DAY_MS = 86_400_000
NS_PER_DAY = DAY_MS * NS_PER_MS
STATUS_STEP_MS = 10_000  # several workers hear one status: rounded down, they write the same point
EPOCH_STEP_MS = 600_000
RECORDS_PER_SEQ = 64
NOT_KEPT = "not_kept"  # a reason of gap records that is the centre's, not a gateway's: it was asked for again in vain
HEADS_MAX, COLUMNS_MAX, NAMES_MAX = 8192, 512, 4096  # that are kept: of devices, of models, of anything
UNTAGGED_CLOCKS = frozenset(("ntp", "system"))

Place = tuple[int, int]  # (group, row) in the body


def rows(batch: Batch, body: Body) -> tuple[list[bytes], list[Place]]:
    """The rows in ms, and beside each its place in the body; raises Malformed for a name no line can carry."""
    gateway, clock = _gateway(batch), _clock(batch).get("clock", "")
    lines: list[bytes] = []
    places: list[Place] = []
    for number, group in enumerate(body.groups):
        lines += _group_lines(group, gateway, clock, batch.stamp.t0)
        places += zip(repeat(number), range(len(group.rows)))
    return lines, places


def batch_point(batch: Batch, rejected: int, moved_to: UtcMs | None = None) -> bytes:
    """The ledger point: the store has this batch. `moved_to`: a midnight, when t0 is beyond the retention."""
    fields: dict[str, object] = {"seq": batch.id.seq, "n": batch.n, "rejected": rejected, "crc": batch.crc}
    if (of := batch.origin) is not None:
        fields |= {"of_gateway": of.gateway, "of_epoch": of.epoch, "of_first": of.first, "of_last": of.last}
        fields["withheld_rows"] = of.withheld_rows
    tags = {"epoch": batch.id.epoch, "gateway": batch.id.gateway}
    return point("gw_batch", tags, fields, _instant(batch.stamp.t0, batch.id.seq, moved_to))


def gap_points(batch: Batch, gaps: Sequence[Gap], moved_to: UtcMs | None = None) -> list[bytes]:
    """The gap records of a batch, each under the epoch whose seqs it names."""
    return [_gap_point(batch, gap, index, moved_to) for index, gap in enumerate(gaps)]


def not_kept_points(gateway: str, epoch: str, seqs: SeqRanges, now: UtcMs) -> list[bytes]:
    """What a gateway told us that it has no more: gap records of our own, at the time we heard it."""
    tags = {"epoch": epoch, "gateway": gateway, "reason": NOT_KEPT}
    pairs = enumerate(seqs.ranges)
    return [point("gw_gap", tags, {"first": a, "last": b}, _instant(now, index, None)) for index, (a, b) in pairs]


def event_points(batch: Batch, events: Sequence[BodyEvent]) -> list[bytes]:
    """The events of a batch, at their own time."""
    return [_event_point(batch, event, index) for index, event in enumerate(events)]


def status_point(gateway: str, document: Mapping[str, object], arrived: UtcMs) -> bytes:
    """A status: its keys are fields; what is neither number, boolean nor text is JSON text."""
    return point("gw_status", {"gateway": gateway}, document, _arrival(arrived))


def epoch_points(gateway: str, lasts: Iterable[tuple[str, int]], arrived: UtcMs) -> list[bytes]:
    """How far each epoch of a status was issued: few enough to be looked at for as long as the store keeps anything."""
    at = (arrived - arrived % EPOCH_STEP_MS) * NS_PER_MS
    return [point("gw_epoch", {"epoch": epoch, "gateway": gateway}, {"last": last}, at) for epoch, last in lasts]


def catalog_points(gateway: str, document: Mapping[str, object], arrived: UtcMs) -> list[bytes]:
    """A catalog: one point for the gateway, one for each of its devices."""
    at = _arrival(arrived)
    rest = {key: value for key, value in document.items() if key != "devices"}
    lines = [point("gw_catalog", {"gateway": gateway}, rest, at)] if rest else []
    devices = document.get("devices")
    for device in devices if isinstance(devices, list) else []:
        name = device.get("name") if isinstance(device, dict) else None
        if not isinstance(name, str):
            raise Malformed("schema", "a device without a name")
        fields = {key: value for key, value in device.items() if key != "name"}
        lines.append(point("gw_catalog", {"device": name, "gateway": gateway}, fields, at))
    return lines


def outcome_point(gateway: str, outcome: Outcome, arrived: UtcMs) -> bytes:
    """What became of a command. Outcomes of one step are told apart by id and code: `repeated` hides no first one."""
    at = _arrival(arrived) + crc32(f"{outcome.id} {outcome.code}".encode()) % NS_PER_MS
    value = None if outcome.value is None else orjson.dumps(outcome.value).decode()  # a field has one type
    fields = {"id": outcome.id, "ok": outcome.ok, "code": outcome.code, "detail": outcome.detail or None}
    return point("gw_outcome", {"gateway": gateway}, fields | {"value": value, "was": outcome.was or None}, at)


def point(measurement: str, tags: Mapping[str, str], fields: Mapping[str, object], time: int) -> bytes:
    """One line. Empty tags and null fields are left out; raises Malformed when no field is left."""
    pairs = [f"{_escaped(name)}={_value(value)}" for name, value in fields.items() if value is not None]
    if not pairs:
        raise Malformed("schema", f"a point of {measurement} without a field")
    return f"{_key(measurement, tags)} {','.join(pairs)} {time}".encode()


def midnight(now: UtcMs) -> UtcMs:
    """The start of this UTC day."""
    return UtcMs(now - now % DAY_MS)


def _group_lines(rows: GroupRows, gateway: str, clock: str, t0: UtcMs) -> Iterable[bytes]:
    group = rows.group
    head, columns = _head(group, gateway, clock)
    codes = {(row, column): code for row, column, code in rows.quality}
    for number, (offset, values) in enumerate(rows.rows):
        if columns.numbers and not codes:  # without a code there is no null
            written = columns.numbers % tuple(_plain(values))
        else:
            written = _written(columns, values)
            if None in values:
                written += f",qc={_quoted(_qc(group.fields, values, number, codes))}".encode()
        yield b"%b %b %d" % (head, written, t0 + offset)


@dataclass(frozen=True, slots=True)
class _Columns:
    """The fields of a line, escaped: the same for all devices of a model, so made once."""

    names: tuple[bytes, ...]  # each with its =
    writers: tuple[Callable[[Value], bytes], ...]
    numbers: bytes  # all of them, to be filled with floats; b"" when some are no numbers


@lru_cache(maxsize=HEADS_MAX)
def _head(group: Group, gateway: str, clock: str) -> tuple[bytes, _Columns]:
    """What all lines of a group begin with, and what goes on."""
    tags = {"clock": clock, "device": group.device, "gateway": gateway, "profile": group.profile.partition("@")[0]}
    return _key(group.kind, tags).encode(), _columns(group.fields, group.letters)


@lru_cache(maxsize=COLUMNS_MAX)
def _columns(fields: tuple[str, ...], letters: str) -> _Columns:
    names = tuple(_escaped(name).encode() + b"=" for name in fields)
    numbers = b",".join(name.replace(b"%", b"%%") + b"%b" for name in names) if set(letters) == {"f"} else b""
    return _Columns(names, tuple(_WRITERS[letter] for letter in letters), numbers)


def _written(columns: _Columns, values: Sequence[Value | None]) -> bytes:
    """Those that are not null; there is one."""
    each = zip(columns.names, columns.writers, values, strict=True)
    return b",".join([name + write(value) for name, write, value in each if value is not None])


def _plain(numbers: Sequence[object]) -> list[bytes]:
    """Floats as text, each the shortest that is read back as the same; `repr` takes several times as long."""
    return orjson.dumps(numbers)[1:-1].split(b",")


def _qc(fields: Sequence[str], values: Sequence[Value | None], row: int, codes: Mapping[tuple[int, int], str]) -> str:
    nulls = ((column, name) for column, name in enumerate(fields) if values[column] is None)
    return ",".join(f"{name}:{codes[row, column]}" for column, name in nulls)


def _gap_point(batch: Batch, gap: Gap, index: int, moved_to: UtcMs | None) -> bytes:
    tags = {"epoch": gap.epoch, "gateway": _gateway(batch), "reason": gap.reason}
    fields = {"first": gap.first, "last": gap.last, "rows": gap.rows, "from": gap.from_ms, "to": gap.to_ms}
    return point("gw_gap", tags, fields, _instant(batch.stamp.t0, RECORDS_PER_SEQ * batch.id.seq + index, moved_to))


def _event_point(batch: Batch, event: BodyEvent, index: int) -> bytes:
    tags = {"code": event.code, "gateway": _gateway(batch), "subject": event.subject}
    detail = event.detail if isinstance(event.detail, str) else orjson.dumps(event.detail).decode()
    at = _instant(UtcMs(batch.stamp.t0 + event.offset_ms), RECORDS_PER_SEQ * batch.id.seq + index, None)
    return point("gw_event", tags | _clock(batch), {"detail": detail}, at)


def _instant(at: UtcMs, number: int, moved_to: UtcMs | None) -> int:
    if moved_to is not None:
        return moved_to * NS_PER_MS + number % NS_PER_DAY
    return at * NS_PER_MS + number % NS_PER_MS


def _arrival(arrived: UtcMs) -> int:
    return (arrived - arrived % STATUS_STEP_MS) * NS_PER_MS


def _gateway(batch: Batch) -> str:
    return batch.id.gateway if batch.origin is None else batch.origin.gateway


def _clock(batch: Batch) -> dict[str, str]:
    return {} if batch.stamp.clock in UNTAGGED_CLOCKS else {"clock": batch.stamp.clock}


def _key(measurement: str, tags: Mapping[str, str]) -> str:
    pairs = [f",{_escaped(name)}={_escaped(value)}" for name, value in sorted(tags.items()) if value]
    return _escaped(measurement) + "".join(pairs)


_ESCAPED = str.maketrans({",": "\\,", " ": "\\ ", "=": "\\="})


@lru_cache(maxsize=NAMES_MAX)
def _escaped(name: str) -> str:
    # A backslash before a separator cannot be told from an escape; a newline ends the line.
    if not name or "\\" in name or "\n" in name:
        raise Malformed("schema", f"no line can carry the name {name!r:.80}")
    return name.translate(_ESCAPED)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return _boolean(value).decode()
    if isinstance(value, int | float):
        return _number(value).decode()
    return _quoted(value if isinstance(value, str) else orjson.dumps(value).decode())


def _number(value: Value) -> bytes:
    return orjson.dumps(float(value))


def _boolean(value: Value) -> bytes:
    return b"true" if value else b"false"


def _text(value: Value) -> bytes:
    return _quoted(str(value)).encode()


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_WRITERS: dict[str, Callable[[Value], bytes]] = {"f": _number, "b": _boolean, "s": _text}
