"""gateway.sources: what a site is compiled from, told by hashing alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway import sources
from tests.support.written import SITE, write, write_profile


def test_nothing_changed(tmp_path: Path) -> None:
    """The same files hash alike, wherever one stands."""
    path = write(tmp_path / "gateway.toml", SITE)
    write_profile(tmp_path / "profiles")
    before = sources.of(path, [tmp_path / "profiles"])
    assert before == sources.of(path, [tmp_path / "profiles"])
    assert str(path.resolve()) in dict(before)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: write(folder / "gateway.toml", SITE + "\n"),
        lambda folder: (folder / "gateway.toml").unlink(),
        lambda folder: write_profile(folder / "profiles", "# other\n"),
        lambda folder: write_profile(folder / "profiles", vectors="# other\n"),
        lambda folder: write(folder / "profiles" / "acme" / "new.toml", ""),
        lambda folder: (folder / "profiles" / "acme" / "probe.toml").unlink(),
        lambda folder: (folder / "profiles" / "acme" / "probe.toml").rename(folder / "profiles" / "acme" / "x.toml"),
        lambda folder: write(folder / "late" / "a.toml", ""),
    ],
)  # fmt: skip
def test_every_change_is_seen(tmp_path: Path, change: object) -> None:
    """A content, a file that comes, goes or is renamed, a folder that appears."""
    path = write(tmp_path / "gateway.toml", SITE)
    write_profile(tmp_path / "profiles")
    folders = [tmp_path / "profiles", tmp_path / "late"]
    before = sources.of(path, folders)
    change(tmp_path)  # type: ignore[operator]
    assert before != sources.of(path, folders)


def test_another_folder_is_another_site(tmp_path: Path) -> None:
    """A folder given on the command line is a source."""
    path = write(tmp_path / "gateway.toml", SITE)
    assert sources.of(path) != sources.of(path, [tmp_path])


def test_another_version_is_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer gateway may compile the same files differently."""
    path = write(tmp_path / "gateway.toml", SITE)
    before = sources.of(path)
    monkeypatch.setattr(sources, "__version__", "99")
    assert before != sources.of(path)


def test_profiles_are_searched_in_order(tmp_path: Path) -> None:
    """Shipped, then the machine's, then those given."""
    assert sources.search_path([tmp_path]) == (sources.shipped(), Path("/etc/gateway/profiles"), tmp_path)
    assert (sources.shipped() / "eastron" / "sdm630.toml").is_file()


def test_the_daemon_can_do_without_pydantic() -> None:
    """What tells that nothing changed, and the compiled site itself, load no pydantic."""
    code = """import sys
import gateway.site, gateway.sources, gateway.profile.codec, gateway.profile.quantities
print(sorted({"pydantic", "typer", "rich"} & set(sys.modules)))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
