"""`gateway.wire.catalog`: what people are told of a gateway."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateway.errors import Malformed
from gateway.wire import catalog
from gateway.wire.catalog import Catalog, CatalogDevice, CatalogField

FIELD = CatalogField("level", "water_level", "m", 3, -0.5, 5.0, 10_000, (("vi", "Mực nước"),))
DEVICE = CatalogDevice("level-1", "rs485-1", "water_level", "qdy/qdy30a@1", (("vi", "Cảm biến"),), (FIELD,))
DOCUMENT = {
    "v": 1,
    "gw": "hc-0001",
    "area": None,
    "location": None,
    "devices": [{"name": "a", "bus": "b", "kind": "k", "profile": "v/m@1", "fields": []}],
}


def test_people_write_what_they_like() -> None:
    """W-67: notes and names are cleaned, so that no line break loses the catalog."""
    area = {"scheme": "gso-2025", "code": "20242", "name": "Hải Châu\n"}
    place: dict[str, object] = {"lat": 16.0678, "lon": 108.2208, "note": {"vi": "Trụ 17\tcống"}}
    found: Any = catalog.decode_catalog(catalog.encode_catalog(Catalog("hc-0001", area, place, (DEVICE,))))
    assert found["area"]["name"] == "Hải Châu "
    assert found["location"]["note"] == {"vi": "Trụ 17 cống"}
    assert found["devices"][0]["fields"][0]["title"] == {"vi": "Mực nước"}


def test_what_a_counter_does() -> None:
    """W-67: that it only rises, and whether it begins again, is said of counters alone."""
    counter = replace(FIELD, counter=True, restarts=True)
    device = replace(DEVICE, fields=(FIELD, counter))
    found: Any = catalog.decode_catalog(catalog.encode_catalog(Catalog("hc-0001", None, None, (device,))))
    plain, marked = found["devices"][0]["fields"]
    assert marked == plain | {"counter": True, "restarts": True}
    assert plain.keys().isdisjoint({"counter", "restarts"})


def test_a_big_catalog_gives_up_the_titles_of_fields() -> None:
    """W-68: 5,000 fields still fit; what is measured is told before what it is called."""
    titled = replace(FIELD, title=(("vi", "x" * 150),))
    big = CatalogDevice("level-1", "rs485-1", "water_level", "qdy/qdy30a@1", (), (titled,) * 1000)
    message = catalog.encode_catalog(Catalog("hc-0001", None, None, (big,) * 5))
    assert len(message) <= catalog.MAX_CATALOG_BYTES
    found: Any = catalog.decode_catalog(message)
    assert found["devices"][4]["fields"][999]["title"] == {}


def test_a_catalog_beyond_all_bounds_is_told() -> None:
    """W-68: refused by the one who writes it, not by a broker."""
    big = CatalogDevice("level-1", "rs485-1", "water_level", "qdy/qdy30a@1", (), (FIELD,) * 1000)
    with pytest.raises(ValueError, match="bytes"):
        catalog.encode_catalog(Catalog("hc-0001", None, None, (big,) * 20))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"gw": None}, "schema"),
        ({"area": {"scheme": "a", "code": 5, "name": "b"}}, "schema"),
        ({"area": []}, "schema"),
        ({"location": {"lat": 91, "lon": 1}}, "limit"),
        ({"location": {"lat": "16", "lon": 1}}, "schema"),
        ({"location": {"lat": 16.0, "lon": 1, "note": {"Vi": "x"}}}, "schema"),
        ({"location": {"lat": 16.0, "lon": 1, "note": {f"l{n}": "x" for n in range(9)}}}, "limit"),
        ({"devices": None}, "schema"),
        ({"devices": [{}]}, "schema"),
        ({"devices": [{"name": "a", "bus": "b", "kind": "gw_x", "profile": "v/m@1", "fields": []}]}, "schema"),
        ({"devices": DOCUMENT["devices"] * 1025}, "limit"),  # type: ignore[operator]
    ],
)
def test_a_wrong_catalog_is_refused(changes: dict[str, Any], why: str) -> None:
    """W-67: what the board shows is checked before."""
    with pytest.raises(Malformed) as refused:
        catalog.decode_catalog(orjson.dumps(DOCUMENT | changes))
    assert refused.value.why == why


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": "time"}, "schema"),
        ({"unit": None}, "schema"),
        ({"decimals": 16}, "limit"),
        ({"low": "0"}, "schema"),
        ({"high": True}, "schema"),
        ({"period_ms": 0}, "limit"),
        ({"title": "x"}, "schema"),
    ],
)
def test_a_wrong_field_is_refused(changes: dict[str, Any], why: str) -> None:
    """W-67: each value of a field."""
    document = orjson.loads(catalog.encode_catalog(Catalog("hc-0001", None, None, (DEVICE,))))
    document["devices"][0]["fields"][0] |= changes
    with pytest.raises(Malformed) as refused:
        catalog.decode_catalog(orjson.dumps(document))
    assert refused.value.why == why


def test_what_becomes_of_values_is_told() -> None:
    """W-67: report policy, correction and formula, only where there is one; unknown keys in them are dropped."""
    field = CatalogField(
        "flow", "water_flow", "m3/h", 1, None, None, 1000,
        report=(("every_ms", 60_000), ("fold", "mean"), ("change", 0.5), ("at_least_ms", 600_000)),
        correct=(("slope", 1.0), ("offset", -0.5), ("datum", 0.0), ("by", "LVH")), formula="level * 2",
    )  # fmt: skip
    plain = CatalogField("level", "water_level", "m", 3, None, None, 1000)
    message = catalog.encode_catalog(Catalog("hc-0001", None, None, (replace(DEVICE, fields=(field, plain)),)))
    found: Any = catalog.decode_catalog(message.replace(b'"fold":', b'"new":1,"fold":'))
    flow, level = found["devices"][0]["fields"]
    assert flow["report"] == {"every_ms": 60_000, "fold": "mean", "change": 0.5, "at_least_ms": 600_000}
    assert flow["correct"] == {"slope": 1.0, "offset": -0.5, "datum": 0.0, "by": "LVH"}
    assert flow["formula"] == "level * 2"
    assert not {"report", "correct", "formula"} & level.keys()


@pytest.mark.parametrize("bad", [b'"report":[]', b'"report":{"every_ms":"1m"}', b'"correct":{"by":1}', b'"formula":3'])
def test_what_becomes_of_values_is_checked(bad: bytes) -> None:
    """A stranger's catalog."""
    plain = CatalogField("level", "water_level", "m", 3, None, None, 1000)
    message = catalog.encode_catalog(Catalog("hc-0001", None, None, (replace(DEVICE, fields=(plain,)),)))
    with pytest.raises(Malformed):
        catalog.decode_catalog(message.replace(b'"quantity"', bad + b',"quantity"'))
