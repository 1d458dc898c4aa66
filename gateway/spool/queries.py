"""The SQL of `sql/`, by name: Python never puts a statement together.

A file is a row of `-- name: what it is for`, each followed by its statement. Read once at each open.
"""

import re
from pathlib import Path

_HEAD = re.compile(r"^-- ([a-z_0-9]+): (.+)$")


def load(name: str) -> dict[str, str]:
    """The statements of `sql/NAME.sql` in their order; raises ValueError for a file that is not in the form above."""
    return parse((Path(__file__).parent / "sql" / f"{name}.sql").read_text("utf-8"))


def parse(text: str) -> dict[str, str]:
    """Statements by name; a name twice, or a line before the first name, is an error."""
    statements: dict[str, list[str]] = {}
    lines: list[str] | None = None
    for line in text.splitlines():
        head = _HEAD.match(line)
        if head:
            if head[1] in statements:
                raise ValueError(f"{head[1]} stands there twice")
            lines = statements[head[1]] = []
        elif line.strip():
            if lines is None:
                raise ValueError(f"{line!r} has no name")
            lines.append(line)
    return {name: "\n".join(lines).strip() for name, lines in statements.items()}
