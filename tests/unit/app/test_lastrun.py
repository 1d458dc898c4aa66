"""gateway.app.lastrun: what a start knows of the run before it."""

from pathlib import Path

import pytest

from gateway.app import lastrun


def test_after_a_stop_in_order_nothing_is_owed(tmp_path: Path) -> None:
    """Nor at the very first start."""
    assert not lastrun.begin(tmp_path, "b00t")
    lastrun.end(tmp_path)
    assert not lastrun.begin(tmp_path, "b00t")


def test_after_a_kill_replies_may_be_owed(tmp_path: Path) -> None:
    """As often as it happens; not after a boot, which takes longer than any reply."""
    lastrun.begin(tmp_path, "b00t")
    assert lastrun.begin(tmp_path, "b00t")
    assert lastrun.begin(tmp_path, "b00t")
    assert not lastrun.begin(tmp_path, "another")


def test_in_doubt_they_are(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that cannot be read, or replaced, is told and keeps nothing from starting or stopping."""
    (tmp_path / lastrun.FILE).mkdir()
    assert lastrun.begin(tmp_path, "b00t")
    lastrun.end(tmp_path)
    assert [record.message.split()[0] for record in caplog.records] == [
        "last_run_unknown",
        "last_run_not_noted",
        "last_run_not_ended",
    ]
