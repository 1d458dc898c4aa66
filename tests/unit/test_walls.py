"""The walls hold, and each turns red when it is breached: planted in a copy of the tree."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import light

ROOT = Path(__file__).parent.parent.parent
PLANTS = [  # (file, line to add, contract that must break)
    ("gateway/south/bus.py", "from gateway.north import uplink as _x", "rooms"),
    ("gateway/spool/spool.py", "from gateway.config import gateway as _x", "rooms"),
    ("gateway/newroom.py", "", "rooms"),
    ("gateway/south/reads/plan.py", "from gateway.south.jobs import scan as _x", "floors of south"),
    ("gateway/south/newfloor.py", "", "floors of south"),
    ("gateway/app/ingest.py", "from gateway.app import daemon as _x", "processes do not share roots"),
    ("gateway/wire/batch.py", "import asyncio as _x", "pure rooms and modules"),
    ("gateway/south/schedule/schedule.py", "import time as _x", "pure rooms and modules"),
    ("gateway/south/schedule/schedule.py", "from gateway.south.links import ports as _x", "pure rooms and modules"),
    ("gateway/north/uplink.py", "import pydantic as _x", "pydantic only"),
    ("gateway/site.py", "from gateway.profile import schema as _x", "pydantic only"),
    ("gateway/ioc/ingest.py", "import paho as _x", "one owner: paho"),
    ("gateway/south/bus.py", "import pymodbus as _x", "one owner: pymodbus"),
    ("gateway/south/bus.py", "from gateway.south.links import pymodbus_link as _x", "the daemon stays light"),
    ("gateway/south/links/guard.py", "import serial as _x", "one owner: pyserial"),
    ("gateway/app/daemon.py", "import rich as _x", "the daemon stays light"),
    ("gateway/app/daemon.py", "from gateway.profile import load as _x", "the daemon stays light"),
    ("gateway/ioc/check.py", "from gateway.profile import codec as _x", "the centre knows"),
    ("gateway/app/demo.py", "from gateway.testing import clock as _x", "no test code"),
    ("simulators/device.py", "from gateway.south.links import link as _x", "simulators share"),
    ("gateway/app/demo.py", "import simulators.serve as _x", "the gateway never imports"),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree without its caches."""
    to = tmp_path_factory.mktemp("walls")
    for name in ("gateway", "simulators"):
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", to)
    return to


def broken(tree: Path) -> str:
    """The names of the contracts that import-linter finds broken."""
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    return "\n".join(line for line in done.stdout.splitlines() if " BROKEN" in line)


def test_no_wall_is_breached(copy: Path) -> None:
    """The tree as it is keeps every contract."""
    assert broken(copy) == ""


@pytest.mark.parametrize(("path", "line", "contract"), PLANTS)
def test_a_planted_import_turns_its_wall_red(copy: Path, path: str, line: str, contract: str) -> None:
    """Each contract notices what it forbids."""
    target = copy / path
    before = target.read_text() if target.exists() else None
    target.write_text(f"{before or ''}\n{line}\n")
    try:
        assert contract in broken(copy)
    finally:
        if before is None:
            target.unlink()
        else:
            target.write_text(before)


def test_the_daemon_and_the_pure_rooms_stay_light() -> None:
    """A fresh interpreter that imports them holds nothing heavy or seldom used, the pure ones nothing that waits."""
    assert light.loaded("import gateway.app.daemon", light.HEAVY | light.SELDOM) == set()
    assert light.loaded("import " + ", ".join(light.PURE), light.HEAVY | light.WAITING) == set()


def test_a_heavy_import_is_seen_by_the_light_check() -> None:
    """The check itself can fail."""
    assert light.loaded("import gateway.app.daemon, rich", light.HEAVY) == {"rich"}


def test_an_init_that_imports_is_seen(tmp_path: Path) -> None:
    """import-linter does not see what an `__init__` runs: this does."""
    for name in ("gateway", "simulators"):
        (tmp_path / name).mkdir()
    (tmp_path / "gateway" / "__init__.py").write_text('"""Fine."""\n')
    (tmp_path / "simulators" / "__init__.py").write_text('"""Not fine."""\nimport os\n')
    assert light.importing_inits(tmp_path) == [tmp_path / "simulators" / "__init__.py"]
    assert light.importing_inits(ROOT) == []
