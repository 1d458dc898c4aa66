"""gateway.toml_file: lines, paths, codes, and all problems at once."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Field

from gateway import toml_file
from gateway.errors import Invalid, Problem
from gateway.toml_file import Strict
from tests.support.written import found, write


class Item(Strict):
    """An item."""

    not_built: ClassVar[frozenset[str]] = frozenset({"later"})

    name: str = ""
    count: Annotated[int, Field(ge=1)] = 1
    range: tuple[float, float] | None = None


class Document(Strict):
    """A document with every shape of TOML."""

    version: Literal[1] = 1
    table: Item = Item()
    item: tuple[Item, ...] = ()
    named: dict[str, Item] = Field(default_factory=dict)
    needed: str = "x"


class Needs(Strict):
    """A document with keys that must be there."""

    needed: str
    item: Annotated[tuple[Item, ...], Field(min_length=1)]


def problems(path: Path, text: str, model: type[Strict] = Document) -> tuple[Problem, ...]:
    """What reading this text finds."""
    with pytest.raises(Invalid) as caught:
        toml_file.read(write(path, text), model)
    return caught.value.problems


def test_reads_a_valid_file(tmp_path: Path) -> None:
    """Values come typed, arrays as tuples, the model frozen."""
    path = write(tmp_path / "a.toml", 'item = [{ name = "a", range = [0, 1.5] }]\n[table]\ncount = 3\n')
    read = toml_file.read(path, Document)
    assert read.table.count == 3
    assert read.item == (Item(name="a", range=(0, 1.5)),)


def test_all_problems_at_once(tmp_path: Path) -> None:
    """Every problem of a file comes with its own line, path and code."""
    text = 'version = 2\n[table]\nnmae = "x"\ncount = "3"\n[[item]]\ncount = 0\n[[item]]\nlater = 1\n'
    got = problems(tmp_path / "a.toml", text)
    assert {(p.line, p.path, p.code) for p in got} == {
        (1, "version", "not_one_of"),
        (3, "table.nmae", "unknown_key"),
        (4, "table.count", "wrong_type"),
        (6, "item[0].count", "out_of_bounds"),
        (8, "item[1].later", "not_built_yet"),
    }


def test_an_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    """A slip of the pen is answered with the key that was meant."""
    (problem,) = problems(tmp_path / "a.toml", '[named.x]\nnmae = "x"\n')
    assert problem.detail.endswith("the nearest is name")


def test_a_missing_key_points_at_its_table(tmp_path: Path) -> None:
    """What is not there has the line of what should hold it."""
    got = problems(tmp_path / "a.toml", "# nothing\n", Needs)
    assert {(p.code, p.path, p.line) for p in got} == {("missing_key", "needed", 1), ("missing_key", "item", 1)}


def test_refused_items_are_not_also_called_too_few(tmp_path: Path) -> None:
    """An array whose only item is wrong is one problem, not two."""
    got = problems(tmp_path / "a.toml", 'needed = "x"\n[[item]]\ncount = 0\n', Needs)
    assert [p.code for p in got] == ["out_of_bounds"]


def test_examine_goes_on_without_unknown_keys(tmp_path: Path) -> None:
    """Unknown keys are problems, yet what is left can be checked as a whole."""
    path = write(
        tmp_path / "a.toml", 'item = [{ name = "a", wrong = 1 }, { name = "b" }]\n[table]\nlater = 2\ncount = 4\n'
    )
    examined = toml_file.examine(path, Document)
    assert [p.code for p in examined.problems] == ["not_built_yet", "unknown_key"]
    assert examined.value is not None
    assert [item.name for item in examined.value.item] == ["a", "b"]
    assert examined.value.table.count == 4


def test_examine_gives_up_on_wrong_values(tmp_path: Path) -> None:
    """No value is made up for one that is wrong."""
    examined = toml_file.examine(write(tmp_path / "a.toml", "version = 2\nwrong = 1\n"), Document)
    assert examined.value is None
    assert len(examined.problems) == 2


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b"a = 1\nb = \n", "toml_syntax", 2),
        (b"a = 1\nb = 'x", "toml_syntax", 2),
        (b"a = 1\n\xff = 2\n", "toml_syntax", 2),
        (b"[a]\n[a]\n", "toml_syntax", 2),
        (b"a = " + b"[" * 5000, "toml_syntax", 1),
        (b"#" * (toml_file.FILE_MAX_BYTES + 1), "file_too_big", 1),
    ],
)
def test_what_is_no_toml_says_where(tmp_path: Path, content: bytes, code: str, line: int) -> None:
    """A broken file is one problem, with the line where it breaks."""
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(Invalid) as caught:
        toml_file.read(path, Document)
    assert [(p.code, p.line, p.file) for p in caught.value.problems] == [(code, line, str(path))]


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    """No foreign exception leaves for a file that is not there."""
    with pytest.raises(Invalid) as caught:
        toml_file.read(tmp_path / "none.toml", Document)
    assert found(caught.value) == [("file_unreadable", "")]


def test_path_text() -> None:
    """A path reads as people write it."""
    assert toml_file.path_text(("device", 2, "unit_id")) == "device[2].unit_id"
    assert toml_file.path_text((0, "x")) == "[0].x"


class Filled(Strict):
    """A document with a text that must say something, and a table."""

    text: Annotated[str, Field(min_length=1)] = "x"
    table: Item = Item()


def test_what_is_empty_is_called_empty(tmp_path: Path) -> None:
    """Not "at least 1 character": who fills in a skeleton looks for what is left."""
    with pytest.raises(Invalid) as caught:
        toml_file.read(write(tmp_path / "a.toml", 'text = ""\n'), Filled)
    assert [(p.code, p.path, p.detail) for p in caught.value.problems] == [("empty", "text", "")]


def test_a_text_in_the_place_of_a_table_is_told_what_the_table_holds(tmp_path: Path) -> None:
    """In words of the file, not of the library that reads it."""
    with pytest.raises(Invalid) as caught:
        toml_file.read(write(tmp_path / "a.toml", 'table = "HMP4"\n'), Filled)
    (problem,) = caught.value.problems
    assert (problem.code, problem.path) == ("wrong_type", "table")
    assert problem.detail == "a table is needed here, { name = ..., count = ..., range = ... }, not 'HMP4'"
