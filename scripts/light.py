"""What import-linter cannot see: an `__init__` runs when its submodule is imported.

So the walls that matter are checked in fresh processes, and every `__init__` is read: it holds a docstring and
imports nothing.
"""

import ast
import subprocess
import sys
from pathlib import Path

HEAVY = {
    "aiomqtt",
    "influxdb_client",
    "jinja2",
    "numpy",
    "pydantic",
    "pymbusparser",
    "pymodbus",
    "rich",
    "starlette",
    "tomlkit",
    "typer",
    "uvicorn",
}
SELDOM = {  # for the sites that need them, or never
    "argparse",
    "gateway.south.listen",
    "gateway.south.stream",
    "gateway.south.talks",
    "importlib.resources",
}
WAITING = {"asyncio", "paho", "serial", "sqlite3", "ssl"}
PURE = (
    "gateway.wire.batch",
    "gateway.wire.body",
    "gateway.protocols.modbus_frame",
    "gateway.profile.codec",
    "gateway.south.reads.plan",
    "gateway.south.schedule.schedule",
    "gateway.north.window",
    "gateway.pipeline.packer",
)
ROOT = Path(__file__).parent.parent


def loaded(statement: str, unwanted: set[str]) -> set[str]:
    """Which of the unwanted modules a fresh interpreter holds after `statement`."""
    code = f"{statement}\nimport sys\nprint(*({unwanted!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - our own interpreter
    return set(done.stdout.split())


def importing_inits(root: Path) -> list[Path]:
    """Every `__init__` that imports something."""
    return [
        path
        for folder in ("gateway", "simulators")
        for path in sorted((root / folder).rglob("__init__.py"))
        if any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(ast.parse(path.read_text())))
    ]


def main() -> int:
    """Exit status 1 and a line for each breach."""
    breaches = [f"{path}: an __init__ imports nothing" for path in importing_inits(ROOT)]
    breaches += [f"the daemon loads {name}" for name in loaded("import gateway.app.daemon", HEAVY | SELDOM)]
    breaches += [f"a pure room loads {name}" for name in loaded("import " + ", ".join(PURE), HEAVY | WAITING)]
    for breach in breaches:
        print(breach)
    return bool(breaches)


if __name__ == "__main__":
    sys.exit(main())
