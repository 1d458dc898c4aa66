"""Questions are quoted, answers are read."""

import pytest

from gateway.errors import StoreBusy
from gateway.ioc.store import influxql
from gateway.ioc.store.influxql import Record


def test_texts_are_quoted() -> None:
    """A name cannot end its own quotes."""
    assert influxql.epochs("gw_batch", "a'b\\").endswith("\"gateway\" = 'a\\'b\\\\'")
    assert 'FROM "a\\"b" ' in influxql.rows('a"b', "g", "d", 5, 10)


def test_records() -> None:
    """Rows of all series of all statements; nulls are left out."""
    answer = b"""{"results":[{"series":[{"name":"m","columns":["time","a","b"],"values":[[1,2.5,null],[2,null,"x"]]}]},
    {"series":[{"columns":["key","value"],"values":[["epoch","e1"]]}]},{}]}"""
    expected = [Record(1, {"a": 2.5}), Record(2, {"b": "x"}), Record(0, {"key": "epoch", "value": "e1"})]
    assert list(influxql.records(answer)) == expected


@pytest.mark.parametrize(
    "answer",
    [
        b'{"results":[{"statement_id":0,"error":"database not found: city"}]}',
        b'{"error":"error parsing query"}',
        b"not json",
        b"[]",
        b"null",
        b'{"results":[{"series":[{"columns":["time"]}]}]}',
        b'{"results":[{"series":[{"columns":["time","a"],"values":[[1]]}]}]}',
        b'{"results":[{"series":[{"columns":["time"],"values":[["2026-11-24T00:00:00Z"]]}]}]}',
    ],
)
def test_an_error_is_never_an_empty_answer(answer: bytes) -> None:
    """An audit that cannot ask must not say that nothing is missing."""
    with pytest.raises(StoreBusy):
        list(influxql.records(answer))
