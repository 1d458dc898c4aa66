"""What is encoded reads back: by a reader of the grammar written here, and by the embedded store's own."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ioc.store.point import parse
from gateway.wire.line_protocol import point

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\\"), min_size=1, max_size=20)
MEASUREMENTS = NAMES.filter(lambda name: "=" not in name)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VALUES = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.booleans(), TEXTS)
POINTS = st.tuples(
    MEASUREMENTS,
    st.dictionaries(NAMES, NAMES, max_size=4),
    st.dictionaries(NAMES, VALUES, min_size=1, max_size=6),
    st.integers(-(2**62), 2**62),
)


@settings(max_examples=300)
@given(POINTS)
def test_an_independent_reader(parts: tuple[str, dict[str, str], dict[str, float | bool | str], int]) -> None:
    """Every name, tag, value and time comes back as it was."""
    measurement, tags, fields, time = parts
    assert read(point(measurement, tags, fields, time).decode()) == (measurement, tags, fields, time)


@settings(max_examples=300)
@given(POINTS)
def test_the_stores_reader(parts: tuple[str, dict[str, str], dict[str, float | bool | str], int]) -> None:
    """The embedded store reads the same."""
    measurement, tags, fields, time = parts
    found = parse(point(measurement, tags, fields, time), "ns")
    assert (found.measurement, dict(found.tags), found.fields, found.time_ns) == (measurement, tags, fields, time)
    assert list(found.tags) == sorted(tags.items())


@settings(max_examples=300)
@given(st.binary(max_size=60))
def test_garbage_is_a_value_error(line: bytes) -> None:
    """Nothing else leaves the store's reader."""
    try:
        parse(line, "ms")
    except ValueError:
        return


def read(line: str) -> tuple[str, dict[str, str], dict[str, float | bool | str], int]:
    """One line, character by character, as the line protocol reference describes it."""
    reader = _Reader(line)
    measurement = reader.word(", ")
    tags: dict[str, str] = {}
    while reader.take(","):
        name = reader.word("=")
        reader.expect("=")
        tags[name] = reader.word(", ")
    reader.expect(" ")
    fields: dict[str, float | bool | str] = {}
    while True:
        name = reader.word("=")
        reader.expect("=")
        fields[name] = reader.quoted() if reader.take('"') else reader.bare()
        if not reader.take(","):
            break
    reader.expect(" ")
    return measurement, tags, fields, int(reader.rest())


class _Reader:
    def __init__(self, line: str) -> None:
        self.line, self.at = line, 0

    def take(self, char: str) -> bool:
        found = self.line[self.at] == char
        self.at += found
        return found

    def expect(self, char: str) -> None:
        assert self.take(char), f"{char!r} at {self.at} of {self.line!r}"

    def word(self, ends: str) -> str:
        out = ""
        while self.line[self.at] not in ends:
            if self.line[self.at] == "\\" and self.line[self.at + 1] in ",= ":
                self.at += 1
            out += self.line[self.at]
            self.at += 1
        return out

    def quoted(self) -> str:
        out = ""
        while not self.take('"'):
            if self.line[self.at] == "\\" and self.line[self.at + 1] in '"\\':
                self.at += 1
            out += self.line[self.at]
            self.at += 1
        return out

    def bare(self) -> float | bool:
        out = ""
        while self.line[self.at] not in ", ":
            out += self.line[self.at]
            self.at += 1
        return {"true": True, "false": False}[out] if out in {"true", "false"} else float(out)

    def rest(self) -> str:
        return self.line[self.at :]
