"""What a run left behind, read without a line of the gateway's code: InfluxDB's answer, the SQLite file, our own notes.

truth-N.jsonl   what the simulators said, one file a life of theirs
stored.json     the answer of InfluxDB to SELECT * FROM /.*/ GROUP BY *, times in ns
spool/          the gateway's folder, after its end
did.jsonl       what was done to whom, and when
audit.txt       what `gateway ioc audit` said
dead/           dead letters
"""

import json
import shutil
import sqlite3
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.support.checker import read_truth
from tests.support.checker_matching import Truth
from tests.support.store_points import Point, of_row

NS_PER_MS = 1_000_000
LIFE_N = 10_000_000  # replies are numbered anew in each life


@dataclass(frozen=True, slots=True)
class Did:
    """One thing that was done to a process or a way."""

    what: str
    target: str
    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True)
class Named:
    """One gap record, or one `rows_dropped` event (epoch ""): what the gateway says that it gave up."""

    epoch: str
    first: int
    last: int
    rows: int | None
    from_ms: int | None
    to_ms: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Filed:
    """One batch as it lies in the spool."""

    epoch: str
    seq: int
    boot: str
    b0_ms: int
    t0_ms: int
    n: int
    crc: int
    body: Mapping[str, Any]


@dataclass(slots=True)
class Evidence:
    """All of it."""

    truths: list[Truth] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    ledger: dict[str, dict[int, set[tuple[int, int]]]] = field(default_factory=dict)  # epoch, seq: (n, crc)
    named: list[Named] = field(default_factory=list)
    filed: list[Filed] = field(default_factory=list)
    unsettled: dict[str, set[int]] = field(default_factory=dict)
    next_seq: dict[str, int] = field(default_factory=dict)
    done: list[Did] = field(default_factory=list)
    audit: str = ""
    dead_letters: list[str] = field(default_factory=list)


def read(folder: Path) -> Evidence:
    """Raises OSError, ValueError, sqlite3.Error when it is not all there."""
    seen = Evidence(audit=(folder / "audit.txt").read_text())
    for life, path in enumerate(sorted(folder.glob("truth-*.jsonl"), key=lambda path: int(path.stem[6:]))):
        seen.truths += [replace(truth, n=truth.n + life * LIFE_N) for truth in read_truth(path)]
    for line in (folder / "did.jsonl").read_text().splitlines():
        one = json.loads(line)
        seen.done.append(Did(one["what"], one["target"], one["from_ms"], one["to_ms"]))
    _read_store(json.loads((folder / "stored.json").read_bytes()), seen)
    with tempfile.TemporaryDirectory() as copy:
        for path in (folder / "spool").glob("spool.db*"):
            shutil.copy(path, copy)
        _read_spool(Path(copy) / "spool.db", seen)
    dead = folder / "dead"
    seen.dead_letters = (
        [str(path) for path in dead.rglob("*") if path.is_file() and path.stat().st_size] if dead.exists() else []
    )
    return seen


# the database --------------------------------------------------------------------------------------------------------


def _read_store(answer: Mapping[str, Any], seen: Evidence) -> None:
    for series in answer["results"][0].get("series", []):
        tags: Mapping[str, str] = series.get("tags", {})
        for record in _records(series):
            _take(series["name"], tags, record, seen)


def _records(series: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for values in series["values"]:
        yield {name: value for name, value in zip(series["columns"], values, strict=True) if value is not None}


def _take(kind: str, tags: Mapping[str, str], record: dict[str, Any], seen: Evidence) -> None:
    at_ms = int(record.pop("time")) // NS_PER_MS
    match kind:
        case "gw_batch":
            seqs = seen.ledger.setdefault(tags["epoch"], {})
            seqs.setdefault(int(record["seq"]), set()).add((int(record["n"]), int(record["crc"])))
        case "gw_gap":
            epoch, first, last = tags["epoch"], int(record["first"]), int(record["last"])
            rows, from_ms, to_ms = (_whole(record.get(name)) for name in ("rows", "from", "to"))
            seen.named.append(Named(epoch, first, last, rows, from_ms, to_ms, tags["reason"]))
        case "gw_event" if tags["code"] == "rows_dropped":
            rows, from_ms, to_ms = json.loads(record["detail"])
            seen.named.append(Named("", 0, 0, rows, at_ms + from_ms, at_ms + to_ms, "rows_dropped"))
        case _ if not kind.startswith("gw_"):
            seen.points += of_row(tags["device"], kind, at_ms, record)


def _whole(value: object) -> int | None:
    return None if value is None else int(str(value).partition(".")[0])


# the spool -----------------------------------------------------------------------------------------------------------


def _read_spool(path: Path, seen: Evidence) -> None:
    db = sqlite3.connect(path)
    try:
        meta = db.execute("SELECT epoch, next_seq FROM meta").fetchone()
        seen.next_seq[meta[0]] = meta[1]
        segments = {
            number: (boot, offset, clock)
            for number, boot, offset, clock in db.execute(
                "SELECT number, boot, offset_ms, clock FROM segment ORDER BY offset_ms IS NOT NULL"
            )
        }
        gateways = dict(db.execute("SELECT epoch, gateway FROM epoch"))
        settled = _ranges(db.execute("SELECT epoch, first, last FROM settled WHERE uplink IN (0, 1)"))
        columns = "epoch, seq, segment, clock, b0, n, pri, enc, of, body"
        for row in db.execute(f"SELECT {columns} FROM batch ORDER BY id"):
            filed = _filed(row, segments, gateways)
            seen.filed.append(filed)
            if not any(first <= filed.seq <= last for first, last in settled[filed.epoch]):
                seen.unsettled.setdefault(filed.epoch, set()).add(filed.seq)
    finally:
        db.close()


def _ranges(rows: Iterable[tuple[str, int, int]]) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for epoch, first, last in rows:
        found[epoch].append((first, last))
    return found


def _filed(
    row: tuple[Any, ...], segments: Mapping[int, tuple[str, int | None, str]], gateways: Mapping[str, str]
) -> Filed:
    """As W-20 to W-26 of the wire contract say it, by the Python library alone."""
    epoch, seq, segment, clock, b0, n, pri, enc, of, body = row
    boot, offset, word = segments[segment] if segment else ("", 0, clock)
    t0 = b0 + (offset or 0)
    # every batch of this run was made by one gateway, and none by a relay
    head = "\n".join(map(str, (gateways[epoch], epoch, seq, n, t0, word, pri, enc, "")))
    crc = zlib.crc32(f"{head}\n".encode() + body)
    assert not of
    return Filed(epoch, seq, boot, b0, t0, n, crc, json.loads(zlib.decompress(body) if enc == "zlib" else body))
