"""Every answer that was measured, and what it means."""

import pytest

from gateway.errors import StoreBusy, StoreRefused
from gateway.ioc.store.answer import judge


def test_taken() -> None:
    """204 (and 200, which some proxies make of it)."""
    judge(204, "")
    judge(200, "")


@pytest.mark.parametrize(
    ("status", "text", "reason", "dropped"),
    [
        (
            400,
            '{"error":"partial write: field type conflict: input field \\"f\\" is string, not float dropped=1"}',
            "field type conflict",
            0,
        ),
        (400, '{"error":"partial write: unable to parse \'m f=NaN\': invalid number dropped=0"}', "unable to parse", 0),
        (400, '{"error":"unable to parse \'x\': missing fields"}', "unable to parse", 0),
        (400, '{"error":"partial write: points beyond retention policy dropped=12"}', "beyond retention policy", 12),
        (
            422,
            '{"message":"failure writing points to database: partial write: field type conflict: \\"f\\" dropped=3"}',
            "field type conflict",
            0,
        ),
    ],
)
def test_some_row_is_guilty(status: int, text: str, reason: str, dropped: int) -> None:
    """The three texts that may cost a row, of both versions; only the retention's count names its rows alone."""
    with pytest.raises(StoreRefused) as refused:
        judge(status, text)
    assert (refused.value.reason, refused.value.dropped) == (reason, dropped)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (400, '{"error":"partial write: max-series-per-database limit exceeded: (1) dropped=5"}'),
        (400, '{"error":"partial write: max-values-per-tag limit exceeded dropped=5"}'),
        (400, ""),
        (401, '{"code":"unauthorized"}'),
        (404, '{"error":"database not found: \\"city\\""}'),
        (404, "field type conflict"),
        (413, "request too large"),
        (422, '{"message":"who knows"}'),
        (429, "slow down"),
        (500, '{"error":"engine: field type conflict"}'),
        (503, ""),
        (0, "no answer"),
        (302, "elsewhere"),
    ],
)
def test_the_database_is_in_trouble(status: int, text: str) -> None:
    """Everything else is tried again: no row is thrown away for a wrong setting."""
    with pytest.raises(StoreBusy):
        judge(status, text)
