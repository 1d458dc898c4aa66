"""SQL files."""

import pytest

from gateway.spool.queries import load, parse


@pytest.mark.parametrize("name", ["connect", "schema", "spool"])
def test_each_statement_has_a_name(name: str) -> None:
    """And is one statement."""
    statements = load(name)
    assert statements
    assert all(text.endswith(";") and text.count(";") == 1 for text in statements.values())


@pytest.mark.parametrize("text", ["SELECT 1;", "-- a: one\nSELECT 1;\n-- a: again\nSELECT 2;"])
def test_a_file_in_another_form_is_an_error(text: str) -> None:
    """A statement without a name, a name twice."""
    with pytest.raises(ValueError, match=r"name|twice"):
        parse(text)


def test_no_statement_reads_the_whole_log() -> None:
    """COUNT-1: no count(*), never lowest and highest in one."""
    for text in load("spool").values():
        assert "count(" not in text.lower()
        assert not ("min(" in text and "max(" in text)
