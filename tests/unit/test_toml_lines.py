"""gateway.toml_lines: where everything stands, in every shape that TOML has."""

from pathlib import Path

import pytest

from gateway import toml_file, toml_lines
from tests.support.written import line_of

HARD = '''# a comment with [brackets] = and "quotes"
plain = 1
"quoted.key" = 2
'single' = 3
a.b.c = 4
a . "d e" = 5
text = """
[not.a.table]
x = 1 \\""" still
""""
literal = \'\'\'
# not a comment
[[nor.this]]\'\'\'
when = 1979-05-27 07:32:00
inline = { x = 1, y = { z = [1, 2] }, "q]" = "}" } # after
array = [
    1, # one
    [2, "]"],

    { k = 3 },
]
[table."x.y"]
key = 6
[[fruit]]
name = "apple"
[fruit.physical]
colour = "red"
[[fruit.variety]]
name = "red delicious"
[[fruit.variety]]
name = "granny smith"
[[fruit]]
name = "banana"
[[fruit.variety]]
name = "plantain"
'''


@pytest.mark.parametrize(
    ("steps", "part"),
    [
        (("plain",), "plain ="),
        (("quoted.key",), '"quoted.key"'),
        (("single",), "'single'"),
        (("a",), "a.b.c"),
        (("a", "b", "c"), "a.b.c"),
        (("a", "d e"), 'a . "d e"'),
        (("text",), "text ="),
        (("literal",), "literal ="),
        (("when",), "when ="),
        (("inline", "y", "z", 1), "inline ="),
        (("inline", "q]"), "inline ="),
        (("array", 0), "1, # one"),
        (("array", 1), '[2, "]"]'),
        (("array", 2, "k"), "{ k = 3 }"),
        (("table", "x.y"), '[table."x.y"]'),
        (("table", "x.y", "key"), "key = 6"),
        (("fruit", 0), "[[fruit]]"),
        (("fruit", 0, "physical", "colour"), 'colour = "red"'),
        (("fruit", 0, "variety", 1, "name"), 'name = "granny smith"'),
        (("fruit", 1, "name"), 'name = "banana"'),
        (("fruit", 1, "variety", 0, "name"), 'name = "plantain"'),
        (("fruit", 1, "nothing", "here"), '[[fruit]]\nname = "banana"'),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_value_knows_its_line(tmp_path: Path, steps: toml_lines.Steps, part: str, newline: str) -> None:
    """Dotted and quoted keys, multi-line strings, inline tables, arrays over lines, nested arrays of tables."""
    path = tmp_path / "hard.toml"
    path.write_bytes(HARD.replace("\n", newline).encode())
    _, places = toml_file._parse(path)
    assert places.line(steps) == line_of(HARD, part)
