"""`gateway.wire.status_reader`: what a stranger says of itself is checked by hand."""

from typing import Any, Final

import orjson
import pytest

from gateway.errors import Malformed
from gateway.wire import status_reader

WHOLE: Final[dict[str, Any]] = {
    "v": 1,
    "gw": "hc-0001",
    "time": 1_795_484_390_240,
    "clock": "ntp",
    "online": True,
    "boot": "5f0c2e7a",
    "version": "1.0.0",
    "epochs": [{"epoch": "a", "first_kept": 1, "last": 20_000, "pending": [[3, 4]], "parked": []}],
}


def test_a_whole_one_is_read() -> None:
    """W-60: it comes back as it was said."""
    assert status_reader.decode_status(orjson.dumps(WHOLE)) == WHOLE


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"v": 2}, "version"),
        ({"online": None}, "schema"),
        ({"time": -1}, "limit"),
        ({"clock": 5}, "schema"),
        ({"boot": "x" * 65}, "limit"),
        ({"epochs": {}}, "schema"),
        ({"epochs": [{"epoch": "a", "first_kept": 1, "last": 2}]}, "schema"),
        ({"epochs": [{"epoch": "a", "first_kept": 1, "last": 2, "pending": [[2, 1]]}]}, "schema"),
        ({"epochs": [{"epoch": "a", "first_kept": 1, "last": 2, "pending": [[0, 1]]}]}, "limit"),
        ({"epochs": [{"epoch": "a", "first_kept": 1, "last": 2, "pending": [[1, 2, 3]]}]}, "schema"),
        ({"devices_down": ["A"]}, "schema"),
        ({"pending": "3"}, "schema"),
        ({"last_receipt_ms": 1.5}, "schema"),
        ({"alarms": [5]}, "schema"),
        ({"gw": "HC"}, "schema"),
    ],
)
def test_a_wrong_status_is_refused(changes: dict[str, Any], why: str) -> None:
    """W-60, W-62: the values it has are checked."""
    document = dict(WHOLE) | changes
    with pytest.raises(Malformed) as refused:
        status_reader.decode_status(orjson.dumps(document))
    assert refused.value.why == why


@pytest.mark.parametrize("key", ["time", "clock", "online", "boot", "version"])
def test_a_status_without_its_values_is_refused(key: str) -> None:
    """W-60: the six values that every status has."""
    document = dict(WHOLE)
    del document[key]
    with pytest.raises(Malformed) as refused:
        status_reader.decode_status(orjson.dumps(document))
    assert refused.value.why == "schema"


@pytest.mark.parametrize("wrong", [1, [1], [{}], [{"name": "a b"}], [{"name": "a", "format": "json"}]])
def test_uplinks_of_a_stranger_are_checked(wrong: object) -> None:
    """W-2: what is no list of uplinks is refused, not stored."""
    message = WHOLE | {"uplinks": wrong}
    with pytest.raises(Malformed):
        status_reader.decode_status(orjson.dumps(message))
