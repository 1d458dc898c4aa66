"""What all of the contract suite shares."""

import pytest

from tests.contract.bench import LATE_NS


@pytest.fixture(autouse=True)
def short_late_max(monkeypatch: pytest.MonkeyPatch) -> None:
    """2 s in the field; the rule is the same."""
    monkeypatch.setattr("gateway.south.links.late.LATE_MIN_NS", LATE_NS)
