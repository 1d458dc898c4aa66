"""scripts.window: the page is what the window does, and every rule that moves a batch is on it."""

from pathlib import Path

import pytest

from gateway.north import window as north_window
from scripts import window


def test_the_page_is_not_stale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m scripts.window` would change nothing; a page changed by hand is named."""
    assert window.main(["--check"]) == 0, capsys.readouterr().out
    changed = tmp_path / "window.md"
    changed.write_text("by hand\n")
    assert window.main(["--check", "--page", str(changed)]) == 1
    assert "is stale" in capsys.readouterr().out


def test_what_is_told_of_a_batch_is_what_the_design_says() -> None:
    """Settled only by `stored` (P2), parked only for refusals or unanswered sends; every place is reached."""
    lines, modes, _ = window.explored()
    assert {what for _, what, _, effects in lines if "Settle" in effects} == {"stored"}
    assert {what for _, what, _, effects in lines if effects == "Park"} == {
        "refused",
        "one first sent after it is answered",
    }
    assert {after for _, _, after, _ in lines} >= set(window.PLACES) - {window.DISK}
    assert {before for before, _, _, _ in modes} == set(window.MODES)
    assert not any(
        "mute" in before and "batch_parked" in effects for before, _, after, effects in modes if "mute" in after
    )


def test_a_rule_that_changes_changes_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never parked: the page loses a line, so the check turns red."""
    monkeypatch.setattr(north_window, "REFUSALS_MAX", 10**9)
    lines, _, _ = window.explored()
    assert ("out", "refused", window.REFUSED, "Park") not in lines
