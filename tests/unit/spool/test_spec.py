"""docs/specs/spool.md and the tests hold each other."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
CLAUSE = re.compile(
    r"\b(?:LOCK|FILE|MARK|HEAD|COUNT|VER|CRC|SEQ|EPOCH|READ|PARK|WAIT|STAT|SET|TIME|ROOM|FULL|GAP|DMG|RING|UPL)-\d+\b"
)


def test_every_clause_is_pinned_and_every_cited_clause_exists() -> None:
    """A clause without a test is a wish; a test of no clause is a surprise."""
    spec = (ROOT / "docs/specs/spool.md").read_text("utf-8")
    defined = set(re.findall(r"\*\*([A-Z]+-\d+)\*\*", spec))
    cited: set[str] = set()
    for test in (ROOT / "tests/unit/spool").glob("test_*.py"):
        cited |= set(CLAUSE.findall(test.read_text("utf-8")))
    assert defined == cited
