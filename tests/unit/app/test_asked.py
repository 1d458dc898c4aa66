"""What `gateway run` takes from its command line."""

from pathlib import Path

import pytest

from gateway.app.asked import SITE_DEFAULT, Asked, asked_of


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ([], Asked(SITE_DEFAULT, ())),
        (["a.toml"], Asked(Path("a.toml"), ())),
        (["a.toml", "--profiles", "p", "--profiles=q"], Asked(Path("a.toml"), (Path("p"), Path("q")))),
        (["--profiles", "p"], Asked(SITE_DEFAULT, (Path("p"),))),
    ],
)
def test_site_and_folders_in_their_order(arguments: list[str], asked: Asked) -> None:
    """One site file or the one of a box; each `--profiles`, joined by = or not."""
    assert asked_of(arguments) == asked


@pytest.mark.parametrize("arguments", [["a", "b"], ["--profiles"], ["--profiles="], ["-v"], ["--profile=p"], [""]])
def test_anything_else_is_not_guessed(arguments: list[str]) -> None:
    """Two sites, a folder without a name, an option that there is not: None."""
    assert asked_of(arguments) is None
