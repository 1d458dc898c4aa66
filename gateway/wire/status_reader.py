"""A status as a reader takes it from a stranger: every key checked by hand (docs/specs/wire.md, section 6).

Readers keep scalar keys that they do not know: a newer gateway may tell more than an older IOC has heard of.
"""

from collections.abc import Callable
from typing import Any, Final

from gateway.errors import Malformed
from gateway.model import SeqRanges
from gateway.wire import checked
from gateway.wire.documents import MAX_EXTRA, MAX_STATUS_BYTES, EpochStatus

_READ_MAX: Final = 1024  # of any list: readers are wider than writers


def decode_status(message: bytes) -> dict[str, object]:
    """Checked by hand; what ingest stores of it. A will gives only v, online and boot. Raises Malformed."""
    document = checked.opened(message, MAX_STATUS_BYTES)
    if checked.boolean(document.get("online"), "online") is False and "epochs" not in document:
        boot = checked.text(document.get("boot"), "boot", checked.WORD_BYTES_MAX)
        return {"v": checked.VERSION, "online": False, "boot": boot}
    missing = [key for key in _STATUS_REQUIRED if key not in document]
    if missing:
        raise Malformed("schema", f"status without {missing[0]}")
    known = {key: _STATUS[key](value, key) for key, value in document.items() if key in _STATUS}
    return known | _extra(document)


def epochs_of(status: dict[str, object]) -> tuple[EpochStatus, ...]:
    """What a decoded status says of each epoch; none for a will."""
    epochs: Any = status.get("epochs", [])
    return tuple(
        EpochStatus(
            epoch["epoch"],
            epoch["first_kept"],
            epoch["last"],
            SeqRanges.of((first, last) for first, last in epoch["pending"]),
            SeqRanges.of((first, last) for first, last in epoch["parked"]),
        )
        for epoch in epochs
    )


def _word(value: object, what: str) -> str:
    return checked.name(value, what, checked.WORD)


def _short(value: object, what: str) -> str:
    return checked.text(value, what, checked.WORD_BYTES_MAX)


def _count_or_none(value: object, what: str) -> int | None:
    return None if value is None else checked.integer(value, what)


def _utc_or_none(value: object, what: str) -> int | None:
    return None if value is None else checked.utc(value, what)


def _names(value: object, what: str) -> list[str]:
    return [checked.name(item, what) for item in checked.items(value, what, _READ_MAX)]


def _alarms(value: object, what: str) -> list[str]:
    return [_short(item, what) for item in checked.items(value, what, _READ_MAX)]


def _alarms_on(value: object, what: str) -> list[list[str]]:
    entries = [checked.items(item, what, 3, width=3) for item in checked.items(value, what, _READ_MAX)]
    return [
        [checked.name(device, what), checked.name(field, what, checked.FIELD), checked.name(level, what)]
        for device, field, level in entries
    ]


def _maintenance(value: object, what: str) -> list[list[object]]:
    entries = [checked.items(item, what, 4, width=4) for item in checked.items(value, what, _READ_MAX)]
    return [
        [checked.name(device, what), _word(kind, what), _short(by, what), checked.utc(ends, what)]
        for device, kind, by, ends in entries
    ]


def _epochs(value: object, what: str) -> list[dict[str, object]]:
    entries = [checked.obj(entry, what) for entry in checked.items(value, what, _READ_MAX)]
    return [
        {
            "epoch": checked.name(entry.get("epoch"), "epoch"),
            "first_kept": checked.integer(entry.get("first_kept"), "first_kept"),
            "last": checked.integer(entry.get("last"), "last"),
            "pending": _ranges(entry.get("pending"), "pending"),
            "parked": _ranges(entry.get("parked", []), "parked"),
        }
        for entry in entries
    ]


def _uplinks(value: object, what: str) -> list[dict[str, object]]:
    entries = [checked.obj(entry, what) for entry in checked.items(value, what, _READ_MAX)]
    return [
        {
            "name": checked.name(entry.get("name"), "name"),
            **{key: _word(entry.get(key), key) for key in ("format", "settle")},
            "connected": checked.boolean(entry.get("connected"), "connected"),
            **{key: checked.integer(entry.get(key), key) for key in ("pending", "settled", "parked")},
            "refusal": checked.text(entry.get("refusal", ""), "refusal"),
            "alarms": _alarms(entry.get("alarms", []), "alarms"),
        }
        for entry in entries
    ]


def _ranges(value: object, what: str) -> list[list[int]]:
    ranges = [checked.items(item, what, 2, width=2) for item in checked.items(value, what, _READ_MAX)]
    for first, last in ranges:
        if checked.seq(last, what) < checked.seq(first, what):
            raise Malformed("schema", f"{what}: last before first")
    return ranges


_STATUS: Final[dict[str, Callable[[object, str], object]]] = {
    "v": checked.integer,
    "gw": checked.name,
    "time": checked.utc,
    "clock": _word,
    "online": checked.boolean,
    "boot": _short,
    "version": _short,
    "epoch": checked.name,
    "epochs": _epochs,
    "epochs_n": checked.integer,
    "pending": checked.integer,
    "oldest_age_ms": _count_or_none,
    "size_bytes": checked.integer,
    "gaps": checked.integer,
    "failing": checked.text,
    "outage_left_ms": checked.integer,
    "archive_ms": checked.integer,
    "buses_down": _names,
    "buses_down_n": checked.integer,
    "buses_silent": _names,
    "devices_down": _names,
    "devices_down_n": checked.integer,
    "connected": checked.boolean,
    "server": checked.text,
    "in_flight": checked.integer,
    "sent_bytes": checked.integer,
    "last_receipt_ms": _utc_or_none,
    "settle": _word,
    "refusal": checked.text,
    "alarms": _alarms,
    "uplinks": _uplinks,
    "alarms_on": _alarms_on,
    "alarms_on_n": checked.integer,
    "fast": _names,
    "maintenance": _maintenance,
    "maintenance_n": checked.integer,
}
_STATUS_REQUIRED: Final = ("time", "clock", "online", "boot", "version", "epochs")


def _extra(document: dict[str, Any]) -> dict[str, object]:
    """Keys of a newer version: words with a scalar, as many as are bounded."""
    unknown = [(key, value) for key, value in document.items() if key not in _STATUS and checked.WORD.fullmatch(key)]
    kept = [(key, value) for key, value in unknown if isinstance(value, bool | int | float | str)]
    return {key: checked.cleaned(value) if isinstance(value, str) else value for key, value in kept[:MAX_EXTRA]}
