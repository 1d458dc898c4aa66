"""InfluxQL that audit and export ask, and what comes back. Pure. 1.x, 2.x (with a mapping) and 3 answer it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.errors import StoreBusy
from gateway.model import Seq, UtcMs

DETAIL_MAX_CHARS = 300


@dataclass(frozen=True, slots=True)
class Record:
    """One row of an answer: time in ns, the columns that are not null."""

    time_ns: int
    columns: dict[str, object]


def probe(value: int) -> str:
    """The point that a probe has just written."""
    return f'SELECT "number" FROM "gw_probe" WHERE "number" = {value} AND time > now() - 1h LIMIT 1'  # noqa: S608 (an int)


def gateways(measurement: str) -> str:
    """Which gateways a ledger measurement knows."""
    return f'SHOW TAG VALUES FROM {_name(measurement)} WITH KEY = "gateway"'


def epochs(measurement: str, gateway: str) -> str:
    """Which epochs of one gateway a ledger measurement knows."""
    return f'SHOW TAG VALUES FROM {_name(measurement)} WITH KEY = "epoch" WHERE "gateway" = {_text(gateway)}'


def jumps(gateway: str, epoch: str, limit: int) -> str:
    """Where the seqs of an epoch, in time order, do not rise by one, and by how much; no row for a whole one."""
    steps = f'SELECT difference("seq") AS d FROM "gw_batch"{_of(gateway, epoch)}'  # noqa: S608 (quoted)
    return f"SELECT d FROM ({steps}) WHERE d != 1 LIMIT {limit}"  # noqa: S608 (quoted)


def seqs_at(gateway: str, epoch: str, times_ns: Iterable[int]) -> str:
    """The ledger points of these times, one statement each."""
    of = _of(gateway, epoch)
    return "; ".join(f'SELECT "seq" FROM "gw_batch"{of} AND time = {at}' for at in times_ns)  # noqa: S608 (quoted)


def ends(gateway: str, epoch: str) -> str:
    """The first and the last ledger point, as two rows of `seq`."""
    first = f'SELECT "seq" FROM "gw_batch"{_of(gateway, epoch)} ORDER BY time ASC LIMIT 1'  # noqa: S608 (quoted)
    return f"{first}; {first.replace('ASC', 'DESC')}"


def ledger(gateway: str, epoch: str) -> str:
    """Every ledger point."""
    return f'SELECT "seq", "crc" FROM "gw_batch"{_of(gateway, epoch)}'  # noqa: S608 (quoted)


def around(gateway: str, epoch: str, from_ns: int, to_ns: int) -> tuple[str, str, str]:
    """`seq` of the nearest point before a time, `min` and `max` of those in it, `seq` of the nearest after it."""
    of = _of(gateway, epoch)
    return (
        f'SELECT "seq" FROM "gw_batch"{of} AND time < {from_ns} ORDER BY time DESC LIMIT 1',  # noqa: S608 (quoted)
        f'SELECT min("seq"), max("seq") FROM "gw_batch"{of} AND time >= {from_ns} AND time <= {to_ns}',  # noqa: S608 (quoted)
        f'SELECT "seq" FROM "gw_batch"{of} AND time > {to_ns} ORDER BY time ASC LIMIT 1',  # noqa: S608 (quoted)
    )


def crcs(gateway: str, epoch: str, seq: Seq) -> str:
    """The ledger points of one seq."""
    return f'SELECT "seq", "crc" FROM "gw_batch"{_of(gateway, epoch)} AND "seq" = {seq}'  # noqa: S608 (quoted)


def gaps(gateway: str, epoch: str) -> str:
    """Every gap record; `reason` is its tag."""
    return f'SELECT "first", "last", "rows", "from", "to", "reason" FROM "gw_gap"{_of(gateway, epoch)}'  # noqa: S608 (quoted)


def statuses(gateway: str, limit: int) -> str:
    """The newest full statuses (a will has no `epochs`), newest first."""
    where = f'WHERE "gateway" = {_text(gateway)} ORDER BY time DESC LIMIT {limit}'
    return f'SELECT "epochs", "oldest_age_ms", "replayed" FROM "gw_status" {where}'  # noqa: S608 (quoted)


def issued(gateway: str, epoch: str) -> str:
    """The highest seq a status ever told of an epoch, with the time it was first told."""
    return f'SELECT max("last") FROM "gw_epoch"{_of(gateway, epoch)}'  # noqa: S608 (quoted)


def events(gateway: str, code: str, from_ns: int, to_ns: int) -> str:
    """The events of one code, in time order; `subject` is a tag."""
    where = f'WHERE "gateway" = {_text(gateway)} AND "code" = {_text(code)} AND time >= {from_ns} AND time <= {to_ns}'
    return f'SELECT "detail", "subject" FROM "gw_event" {where} ORDER BY time ASC'  # noqa: S608 (quoted)


def rows(measurement: str, gateway: str, device: str, from_ns: int, limit: int) -> str:
    """A page of rows, in time order."""
    where = f'WHERE "gateway" = {_text(gateway)} AND "device" = {_text(device)} AND time >= {from_ns}'
    return f"SELECT * FROM {_name(measurement)} {where} ORDER BY time ASC LIMIT {limit}"  # noqa: S608 (quoted)


def records(answer: bytes) -> list[Record]:
    """The rows of one JSON document of an answer (of one line, when it is chunked); raises StoreBusy for an error."""
    try:
        return list(_rows(_results(orjson.loads(answer))))
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError) as strange:
        raise StoreBusy(f"not an InfluxQL answer: {answer[:80]!r}") from strange


def milliseconds(record: Record) -> UtcMs:
    """The time of a record."""
    return UtcMs(record.time_ns // 1_000_000)


def _results(document: dict[str, Any]) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = document.get("results", [])
    error = document.get("error") or next((result["error"] for result in results if "error" in result), None)
    if error:
        raise StoreBusy(f"query: {error!s:.{DETAIL_MAX_CHARS}}")
    return results


def _rows(results: Iterable[dict[str, Any]]) -> Iterator[Record]:
    for result in results:
        for series in result.get("series", ()):
            names = series["columns"]
            for values in series["values"]:
                columns = {name: value for name, value in zip(names, values, strict=True) if value is not None}
                yield Record(int(columns.pop("time", 0)), columns)


def _of(gateway: str, epoch: str) -> str:
    return f' WHERE "gateway" = {_text(gateway)} AND "epoch" = {_text(epoch)}'


def _name(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
