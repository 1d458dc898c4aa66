"""docs/specs/spool.md and the tests hold each other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
SPEC = (ROOT / "docs/specs/spool.md").read_text("utf-8")
CLAUSES = re.findall(r"\*\*([A-Z]+-\d+)\*\*", SPEC)
KINDS = "|".join(sorted({clause.partition("-")[0] for clause in CLAUSES}))
ROOMS = ("unit", "property", "crash", "sim", "integration", "contract")
NO_CLAUSES = {"CRC-16", "CRC-32"}  # checksums
PREAMBLE = "MUST and MUST NOT are meant"


def cited() -> Iterator[str]:
    """Clauses in the docstrings of tests: what each says it pins."""
    for path in (path for room in ROOMS for path in (ROOT / "tests" / room).rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield from re.findall(rf"\b(?:{KINDS})-\d+\b", ast.get_docstring(node) or "")


def test_every_clause_is_pinned_and_every_cited_clause_exists() -> None:
    """A clause without a test is a wish; a test of no clause is a surprise."""
    assert sorted(CLAUSES) == sorted(set(CLAUSES))
    assert set(CLAUSES) == set(cited()) - NO_CLAUSES


def test_every_must_has_a_clause() -> None:
    """What has no id cannot be cited."""
    lines = [line for line in SPEC.splitlines() if "MUST" in line and not line.startswith(PREAMBLE)]
    assert [line for line in lines if not re.search(r"\*\*[A-Z]+-\d+\*\*", line)] == []
