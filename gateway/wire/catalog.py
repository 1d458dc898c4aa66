"""The catalog: what a gateway measures, for people, dashboards and the board (docs/specs/wire.md, section 6.3).

Retained, sent when it changes. It names areas, places and titles, which are joined to the data at query time: none of
them is ever a tag, because areas are reorganised and titles corrected.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from gateway.errors import Malformed
from gateway.wire import checked

MAX_CATALOG_BYTES: Final = 1_000_000  # under the packet limit that brokers come with
MAX_DEVICES: Final = 1024
MAX_FIELDS: Final = 1024  # of one device, all its groups together
MAX_LANGUAGES: Final = 8
MAX_LIMITS: Final = 64  # of one field

_DECIMALS_MAX: Final = 15
_FORMULA_BYTES_MAX: Final = 1000
_TABLES: Final = {  # of a field; left out when empty; which numbers and which texts are in it
    "report": (("every_ms", "change", "at_least_ms"), ("fold",)),
    "correct": (("slope", "offset", "datum"), ("by", "on", "due")),
}
_MARKS: Final = ("counter", "restarts")  # of a field; left out when false


@dataclass(frozen=True, slots=True)
class CatalogField:
    """One field of one device, for people and dashboards."""

    name: str
    quantity: str
    unit: str
    decimals: int
    low: float | None
    high: float | None
    period_ms: int
    title: tuple[tuple[str, str], ...] = ()
    counter: bool = False
    restarts: bool = False
    report: tuple[tuple[str, float | str], ...] = ()  # its policy: every_ms, fold, change, at_least_ms
    correct: tuple[tuple[str, float | str], ...] = ()  # slope, offset, datum, by, on, due
    formula: str = ""  # of a derived field
    limits: tuple[tuple[str, str, float, float], ...] = ()  # of its alarms: level, kind, at, clear


@dataclass(frozen=True, slots=True)
class CatalogDevice:
    """One device and what it measures."""

    name: str
    bus: str
    kind: str
    profile: str
    title: tuple[tuple[str, str], ...]
    fields: tuple[CatalogField, ...]


@dataclass(frozen=True, slots=True)
class Catalog:
    """What a gateway measures: area and location are (key, value) pairs as people wrote them."""

    gateway: str
    area: dict[str, str] | None
    location: dict[str, object] | None
    devices: tuple[CatalogDevice, ...]


def encode_catalog(catalog: Catalog) -> bytes:
    """The payload of up/catalog; titles of fields are left out when it is too big; raises ValueError if it still is."""
    message = orjson.dumps(_catalog(catalog, titles=True))
    if len(message) > MAX_CATALOG_BYTES:
        message = orjson.dumps(_catalog(catalog, titles=False))
    if len(message) > MAX_CATALOG_BYTES:
        raise ValueError(f"a catalog of {len(message)} bytes")
    return message


def decode_catalog(message: bytes) -> dict[str, object]:
    """Checked by hand, bounded; raises Malformed. Unknown keys are dropped."""
    document = checked.opened(message, MAX_CATALOG_BYTES)
    return {
        "v": checked.VERSION,
        "gw": checked.name(document.get("gw"), "gw"),
        "area": _maybe(document.get("area"), _area),
        "location": _maybe(document.get("location"), _location),
        "devices": [_device(device) for device in checked.items(document.get("devices"), "devices", MAX_DEVICES)],
    }


# ---- written ----


def _catalog(catalog: Catalog, *, titles: bool) -> dict[str, object]:
    return {
        "v": checked.VERSION,
        "gw": catalog.gateway,
        "area": None if catalog.area is None else _told(catalog.area),
        "location": None if catalog.location is None else _told_location(catalog.location),
        "devices": [
            {
                "name": device.name,
                "bus": device.bus,
                "kind": device.kind,
                "profile": device.profile,
                "title": _told(dict(device.title)),
                "fields": [_written_field(field, title=titles) for field in device.fields],
            }
            for device in catalog.devices
        ],
    }


def _told(texts: dict[str, str]) -> dict[str, str]:
    return {key: checked.cleaned(text) for key, text in texts.items()}


def _told_location(location: dict[str, object]) -> dict[str, object]:
    note: Any = location.get("note", {})
    return {**location, "note": _told(dict(note))}


def _written_field(field: CatalogField, *, title: bool) -> dict[str, object]:
    written: dict[str, object] = {
        "name": field.name,
        "quantity": field.quantity,
        "unit": field.unit,
        "decimals": field.decimals,
        "low": field.low,
        "high": field.high,
        "period_ms": field.period_ms,
    }
    written |= {name: True for name in _MARKS if getattr(field, name)}
    written |= {name: dict(getattr(field, name)) for name in _TABLES if getattr(field, name)}
    written |= {"formula": field.formula} if field.formula else {}
    written |= {"limits": field.limits} if field.limits else {}
    return written | ({"title": _told(dict(field.title))} if title else {})


# ---- read ----


def _maybe(value: object, read: Callable[[object], dict[str, object]]) -> dict[str, object] | None:
    return None if value is None else read(value)


def _area(value: object) -> dict[str, object]:
    area = checked.obj(value, "area")
    return {key: checked.text(area.get(key), key) for key in ("scheme", "code", "name")}


def _location(value: object) -> dict[str, object]:
    location = checked.obj(value, "location")
    return {
        "lat": _number(location.get("lat"), "lat", 90),
        "lon": _number(location.get("lon"), "lon", 180),
        "note": _texts(location.get("note", {}), "note"),
    }


def _texts(value: object, what: str) -> dict[str, str]:
    """Texts by language: {"vi": ..., "en": ...}."""
    texts = checked.obj(value, what)
    checked.items(list(texts), what, MAX_LANGUAGES)
    return {checked.name(key, what): checked.text(text, what) for key, text in texts.items()}


def _number(value: object, what: str, magnitude_max: float | None = None) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Malformed("schema", f"{what}: not a number")
    if magnitude_max is not None and abs(value) > magnitude_max:
        raise Malformed("limit", f"{what}: {value}")
    return float(value)


def _device(value: object) -> dict[str, object]:
    device = checked.obj(value, "device")
    return {
        "name": checked.name(device.get("name"), "device"),
        "bus": checked.name(device.get("bus"), "bus"),
        "kind": checked.name(device.get("kind"), "kind", checked.KIND),
        "profile": checked.name(device.get("profile"), "profile", checked.PROFILE),
        "title": _texts(device.get("title", {}), "title"),
        "fields": [_field(field) for field in checked.items(device.get("fields"), "fields", MAX_FIELDS)],
    }


def _field(value: object) -> dict[str, object]:
    field = checked.obj(value, "field")
    low, high = field.get("low"), field.get("high")
    marks = {name: True for name in _MARKS if checked.boolean(field.get(name, False), name)}
    return (
        marks
        | _more(field)
        | {
            "name": checked.name(field.get("name"), "field", checked.FIELD),
            "quantity": checked.text(field.get("quantity"), "quantity", checked.WORD_BYTES_MAX),
            "unit": checked.text(field.get("unit"), "unit", checked.WORD_BYTES_MAX),
            "decimals": checked.integer(field.get("decimals"), "decimals", 0, _DECIMALS_MAX),
            "low": None if low is None else _number(low, "low"),
            "high": None if high is None else _number(high, "high"),
            "period_ms": checked.integer(field.get("period_ms"), "period_ms", 1),
            "title": _texts(field.get("title", {}), "title"),
        }
    )


def _more(field: dict[str, Any]) -> dict[str, object]:
    """What only some fields have."""
    more: dict[str, object] = {name: _table(field[name], name) for name in _TABLES if name in field}
    if "formula" in field:
        more["formula"] = checked.text(field["formula"], "formula", _FORMULA_BYTES_MAX)
    if "limits" in field:
        more["limits"] = [_limit(limit) for limit in checked.items(field["limits"], "limits", MAX_LIMITS)]
    return more


def _limit(value: object) -> list[object]:
    level, kind, at, clear = checked.items(value, "limit", 4, width=4)
    names = checked.name(level, "level"), checked.name(kind, "kind", checked.WORD)
    return [*names, _number(at, "at"), _number(clear, "clear")]


def _table(value: object, name: str) -> dict[str, object]:
    table = checked.obj(value, name)
    numbers, texts = _TABLES[name]
    read: dict[str, object] = {key: _number(table[key], key) for key in numbers if key in table}
    return read | {key: checked.text(table[key], key) for key in texts if key in table}
