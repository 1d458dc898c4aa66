"""The golden vectors of docs/specs/vectors: what another city builds from, read and written by us.

The oracle for the crc is the short one below, written from the spec's sentence alone; the vectors themselves were made
without `gateway`.
"""

import json
import zlib
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Malformed
from gateway.model import Batch, BootMs, Event, Gap, Group, Origin, Quality, Row, SeqRanges, UtcMs
from gateway.wire import batch as batches
from gateway.wire import catalog, command, documents, receipt, status_reader
from gateway.wire.body import Body, BodyWriter, encode_gaps

VECTORS = Path(__file__).parents[3] / "docs" / "specs" / "vectors"


def cases(name: str) -> list[Any]:
    """The cases of one file, each under its own name."""
    found = json.loads((VECTORS / name).read_text(encoding="utf-8"))["cases"]
    return [pytest.param(case, id=case["name"]) for case in found]


def message(case: dict[str, Any]) -> bytes:
    """The payload of a case."""
    return b64decode(case["message_base64"]) if "message_base64" in case else case["message"].encode()


def oracle_crc(payload: bytes) -> int:
    """CRC-32 as the spec words it, from the message alone (W-26)."""
    line, _, body = payload.partition(b"\n")
    header = json.loads(line)
    text = ""
    for key in ("gw", "epoch", "seq", "n", "t0", "clock", "pri", "enc"):
        text += str(header[key]) + "\n"
    text += ",".join(str(value) for value in header.get("of", [])) + "\n"
    return crc32_bitwise(text.encode("ascii") + body)


def crc32_bitwise(data: bytes) -> int:
    """CRC-32 (ISO-HDLC: polynomial 0xEDB88320, reflected, inverted), without a table and without zlib."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0xEDB88320 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def opened(case: dict[str, Any]) -> tuple[Batch, Body]:
    """A batch case through our reader."""
    batch = batches.decode(message(case))
    return batch, batches.open_body(batch)


def test_the_oracle_knows_the_check_value() -> None:
    """CRC-32 of "123456789" is 0xCBF43926 in every catalogue of CRCs."""
    assert crc32_bitwise(b"123456789") == 0xCBF43926


@pytest.mark.parametrize("case", cases("batches.json"))
def test_batch_crc_is_the_specs(case: dict[str, Any]) -> None:
    """W-26: our crc, the header's and the independent one are the same number."""
    batch, _ = opened(case)
    ours = batches.crc(batch.id, batch.stamp, batch.n, batch.enc, batch.body, urgent=batch.urgent, origin=batch.origin)
    assert ours == batch.crc == oracle_crc(message(case)) == case["means"]["crc"]


@pytest.mark.parametrize("case", cases("batches.json"))
def test_batch_header_means_what_the_vector_says(case: dict[str, Any]) -> None:
    """W-21: every header value arrives."""
    batch, _ = opened(case)
    means = case["means"]
    assert (batch.id.gateway, batch.id.epoch, batch.id.seq) == (means["gateway"], means["epoch"], means["seq"])
    assert (batch.n, batch.stamp.t0, batch.stamp.clock) == (means["n"], means["t0"], means["clock"])
    assert (batch.urgent, batch.enc) == (means["urgent"], means["enc"])
    assert batch.origin == (Origin(*means["of"]) if means["of"] else None)


@pytest.mark.parametrize("case", cases("batches.json"))
def test_batch_body_means_what_the_vector_says(case: dict[str, Any]) -> None:
    """W-30 to W-47: rows with values and codes, events, gaps."""
    batch, body = opened(case)
    t0 = batch.stamp.t0
    assert [row for group in body.groups for row in _row_dicts(group, t0)] == case["means"]["rows"]
    assert [
        {
            "time": t0 + event.offset_ms,
            "subject": event.subject,
            "code": event.code,
            "detail": event.detail if isinstance(event.detail, str) else list(event.detail),
        }
        for event in body.events
    ] == case["means"]["events"]
    assert list(body.gaps) == [_gap(gap) for gap in case["means"]["gaps"]]


@pytest.mark.parametrize("case", cases("batches.json"))
def test_batch_is_written_again_byte_for_byte(case: dict[str, Any]) -> None:
    """W-23: header and body of a decoded batch are the message that was sent."""
    assert batches.encode(opened(case)[0]) == message(case)


@pytest.mark.parametrize("case", cases("batches.json"))
def test_body_is_written_from_its_meaning(case: dict[str, Any]) -> None:
    """W-30: rows, events and gaps become the vector's JSON byte for byte (compared inflated: zlib may differ)."""
    means = case["means"]
    if means["gaps"]:
        enc, data = encode_gaps([_gap(gap) for gap in means["gaps"]])
    else:
        enc, data = _written(means)
    assert (zlib.decompress(data) if enc == "zlib" else data).decode() == case["body"]


@pytest.mark.parametrize("case", cases("malformed.json"))
def test_malformed_is_refused_with_the_vectors_word(case: dict[str, Any]) -> None:
    """W-53: crc, schema, limit or version, for each of these."""
    with pytest.raises(Malformed) as refused:
        batches.open_body(batches.decode(message(case)))
    assert refused.value.why == case["why"]


@pytest.mark.parametrize("case", cases("malformed.json"))
def test_malformed_is_refused_by_name(case: dict[str, Any]) -> None:
    """W-28: whoever can be named is."""
    found = batches.peek(message(case))
    assert ([found.gateway, found.epoch, found.seq] if found else None) == case["names"]


@pytest.mark.parametrize("case", cases("receipts.json"))
def test_receipt_both_ways(case: dict[str, Any]) -> None:
    """W-50, W-59: a receipt means what the vector says, and is written byte for byte."""
    found = receipt.decode(message(case))
    means = case["means"]
    assert (found.gateway, found.epoch, found.by, found.now) == (means["gw"], means["epoch"], means["by"], means["now"])
    assert [list(entry) for entry in found.stored] == means["stored"]
    assert [[seq, [[r.group, r.row, r.why] for r in rows]] for seq, rows in found.rejected] == means["rejected"]
    assert [list(entry) for entry in found.refused] == means["refused"]
    assert found.version == means.get("version", "")
    assert receipt.encode(found) == message(case)


@pytest.mark.parametrize("case", cases("status.json"))
def test_status_is_read(case: dict[str, Any]) -> None:
    """W-60, W-61: what an IOC stores of a status and of a will."""
    assert status_reader.decode_status(message(case)) == case["means"]


@pytest.mark.parametrize("case", cases("status.json"))
def test_status_is_written(case: dict[str, Any]) -> None:
    """W-60, W-61: byte for byte."""
    means = case["means"]
    written = documents.encode_status(_status(means)) if "epochs" in means else documents.encode_will(means["boot"])
    assert written == message(case)


@pytest.mark.parametrize("case", cases("catalog.json"))
def test_catalog_both_ways(case: dict[str, Any]) -> None:
    """W-67: read as it means, written byte for byte."""
    means = catalog.decode_catalog(message(case))
    assert means == case["means"]
    assert catalog.encode_catalog(_catalog(case["means"])) == message(case)


@pytest.mark.parametrize("case", cases("commands.json"))
def test_command_and_outcome_both_ways(case: dict[str, Any]) -> None:
    """W-80, W-82, W-83: both sides read and write both messages; what a later version added is read over."""
    if "name" in case["means"]:
        asked = command.decode(message(case))
        assert asked == command.Command(**case["means"])
        assert command.encode_command(asked) == message(case)
        return
    outcome = command.decode_outcome(message(case))
    assert outcome == command.Outcome(**case["means"])
    assert command.encode(outcome) == message(case).replace(b',"took_ms":12', b"")


def _row_dicts(group: Any, t0: int) -> list[dict[str, Any]]:
    codes = {(row, field): code for row, field, code in group.quality}
    fields = group.group.fields
    return [
        {
            "time": t0 + offset,
            "device": group.group.device,
            "kind": group.group.kind,
            "profile": group.group.profile,
            "values": dict(zip(fields, values, strict=True)),
            "quality": {fields[index]: code for (row, index), code in codes.items() if row == at},
        }
        for at, (offset, values) in enumerate(group.rows)
    ]


def _gap(gap: dict[str, Any]) -> Gap:
    return Gap(gap["epoch"], gap["first"], gap["last"], gap["rows"], gap["from"], gap["to"], gap["reason"])


def _written(means: dict[str, Any]) -> tuple[str, bytes]:
    """The body of a vector through our writer, as if boot time were UTC."""
    body = BodyWriter(BootMs(means["t0"]))
    for row in means["rows"]:
        body.add(_row(row))
    for event in means["events"]:
        detail = event["detail"] if isinstance(event["detail"], str) else tuple(event["detail"])
        body.add(Event(BootMs(event["time"]), event["subject"], event["code"], detail))
    return body.encode()


def _row(row: dict[str, Any]) -> Row:
    letter = {float: "f", bool: "b", str: "s", type(None): "f"}
    values = row["values"]
    group = Group(
        row["device"],
        row["kind"],
        row["profile"],
        tuple(values),
        "".join(letter[type(value)] for value in values.values()),
    )
    quality = tuple((list(values).index(field), Quality(code)) for field, code in row["quality"].items())
    return Row(group, BootMs(row["time"]), tuple(values.values()), quality)


def _status(means: dict[str, Any]) -> documents.Status:
    ranges = SeqRanges.of
    epochs = tuple(
        documents.EpochStatus(
            each["epoch"],
            each["first_kept"],
            each["last"],
            ranges((first, last) for first, last in each["pending"]),
            ranges((first, last) for first, last in each["parked"]),
        )
        for each in means["epochs"]
    )
    return documents.Status(
        gateway=means["gw"],
        version=means["version"],
        boot=means["boot"],
        time=UtcMs(means["time"]),
        clock=means["clock"],
        online=means["online"],
        south=documents.SouthStatus(tuple(means["buses_down"]), tuple(means["devices_down"])),
        spool=documents.SpoolStatus(
            means["epoch"],
            epochs,
            means["pending"],
            means["oldest_age_ms"],
            means["size_bytes"],
            means["gaps"],
            means["failing"],
        ),
        north=documents.NorthStatus(
            means["connected"],
            means["server"],
            means["in_flight"],
            means["sent_bytes"],
            means["last_receipt_ms"],
            means["settle"],
            means["refusal"],
        ),
        alarms=tuple(means["alarms"]),
    )


def _catalog(means: dict[str, Any]) -> catalog.Catalog:
    devices = tuple(
        catalog.CatalogDevice(
            each["name"],
            each["bus"],
            each["kind"],
            each["profile"],
            tuple(each["title"].items()),
            tuple(
                catalog.CatalogField(**{**field, "title": tuple(field["title"].items())}) for field in each["fields"]
            ),
        )
        for each in means["devices"]
    )
    return catalog.Catalog(means["gw"], means["area"], means["location"], devices)
