"""What is shipped is what was tested: the wheel holds its data files and works without the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gateway.app.demo_site import site_text

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel, opened into a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def test_data_files_are_in_it(unpacked: Path) -> None:
    """SQL, words, quantities, profiles with vectors, typing marker."""
    for name in (
        "gateway/spool/sql/schema.sql",
        "gateway/text/vi.toml",
        "gateway/profile/quantities.toml",
        "gateway/profile/library/eastron/sdm630.toml",
        "gateway/profile/library/eastron/sdm630.vectors.toml",
        "gateway/py.typed",
        "simulators/serve.py",
    ):
        assert (unpacked / name).is_file(), name


def test_it_checks_a_site_with_its_own_profiles(unpacked: Path, tmp_path: Path) -> None:
    """`gateway check` from the wheel alone, away from the checkout."""
    (tmp_path / "site.toml").write_text(site_text(tmp_path, 1883, (5020, 5021)))
    code = f"import sys; sys.path.insert(0, {str(unpacked)!r})\n"
    code += "import gateway.__main__ as command; print(command.__file__); sys.exit(command.main())"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, "check", "site.toml"],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(unpacked) in done.stdout
