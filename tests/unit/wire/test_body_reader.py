"""`gateway.wire.body_reader`: what is taken of a stranger's body, and what is not."""

import tracemalloc
import zlib
from typing import Any

import orjson
import pytest

from gateway.errors import Malformed
from gateway.wire import body_reader as reader

GROUP: dict[str, Any] = {
    "d": "meter-1",
    "k": "energy_meter",
    "p": "eastron/sdm630@1",
    "f": ["voltage_l1", "on", "text"],
    "t": "fbs",
    "r": [[0, 230.2, True, "x"], [1000, 230, None, "mưa"]],
    "q": [[1, 1, "no_reply"]],
}
EVENT = [-5, "meter-1", "field_refused", "frequency"]
GAP = ["k3v9x2", 3, 9, 420, 1795484000000, 1795484060000, "quota"]


def read(**document: Any) -> reader.Body:
    """A body of these keys, read."""
    return reader.decode("none", orjson.dumps(document))


def why(**document: Any) -> str:
    """The word with which a body is refused."""
    with pytest.raises(Malformed) as refused:
        read(**document)
    return refused.value.why


def test_rows_events_and_gaps_arrive() -> None:
    """W-30 to W-47: numbers as floats, null as None, words as they are."""
    found = read(g=[GROUP], e=[EVENT, [5, "", "clock_set", [1, 2.5, "x"]]], x=[GAP], newer=1)
    assert found.n == 2
    assert found.groups[0].rows == ((0, (230.2, True, "x")), (1000, (230.0, None, "mưa")))
    assert type(found.groups[0].rows[1][1][0]) is float
    assert found.groups[0].quality == ((1, 1, "no_reply"),)
    assert [event.offset_ms for event in found.events] == [-5, 5]
    assert found.events[1].detail == (1, 2.5, "x")
    assert found.gaps[0].rows == 420


def test_what_is_missing_is_empty() -> None:
    """W-30: a body may have any of its parts, or none."""
    assert read() == reader.Body(())


def test_unknown_keys_and_words_do_not_matter() -> None:
    """W-3, W-7: keys are ignored, codes and reasons kept."""
    found = read(g=[GROUP | {"new": 1, "q": [[1, 1, "lightning"]]}], x=[[*GAP[:6], "flood"]])
    assert found.groups[0].quality == ((1, 1, "lightning"),)
    assert found.gaps[0].reason == "flood"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"d": "Meter"}, "schema"),
        ({"d": 5}, "schema"),
        ({"d": None}, "schema"),
        ({"k": "gw_gap"}, "schema"),
        ({"p": "eastron/sdm630"}, "schema"),
        ({"f": ["a", "a", "b"]}, "schema"),
        ({"f": ["a", "b"]}, "schema"),
        ({"f": ["a", ["b"], "c"]}, "schema"),
        ({"f": "abc"}, "schema"),
        ({"f": []}, "schema"),
        ({"f": ["a"] * 257}, "limit"),
        ({"t": "fb"}, "schema"),
        ({"t": "fbi"}, "schema"),
        ({"t": ["f", "b", "s"]}, "schema"),
        ({"r": []}, "schema"),
        ({"r": None}, "schema"),
        ({"r": [[0, 230.2, True]]}, "schema"),
        ({"r": [{"0": 1}]}, "schema"),
        ({"r": [[0.0, 230.2, True, "x"]]}, "schema"),
        ({"r": [[None, 230.2, True, "x"]]}, "schema"),
        ({"r": [[False, 230.2, True, "x"]]}, "schema"),
        ({"r": [[-1, 230.2, True, "x"]]}, "limit"),
        ({"r": [[86_400_001, 230.2, True, "x"]]}, "limit"),
        ({"r": [[1, 230.2, True, "x"], [1, 230.2, True, "x"]]}, "schema"),
        ({"r": [[2, 230.2, True, "x"], [1, 230.2, True, "x"]]}, "schema"),
        ({"r": [[0, "230.2", True, "x"]]}, "schema"),
        ({"r": [[0, True, True, "x"]]}, "schema"),
        ({"r": [[0, 230.2, 1, "x"]]}, "schema"),
        ({"r": [[0, 230.2, True, 5]]}, "schema"),
        ({"r": [[0, 230.2, True, "a\tb"]]}, "schema"),
        ({"r": [[0, 230.2, True, "a" * 256]]}, "limit"),
        ({"r": [[0, [230.2], True, "x"]]}, "schema"),
    ],
)
def test_a_wrong_group_is_refused(changes: dict[str, Any], word: str) -> None:
    """W-32 to W-39: names, letters, widths, times and types, each strictly."""
    assert why(g=[GROUP | {"q": []} | changes]) == word


@pytest.mark.parametrize(
    "quality",
    [
        [],
        [[1, 1, "no_reply"], [1, 1, "no_reply"]],
        [[1, 1, "no_reply"], [0, 0, "no_reply"]],
        [[0, 1, "no_reply"]],
        [[1, 1, "No reply"]],
        [[1, 1]],
        [[1, True, "no_reply"]],
        {"1": 1},
    ],
)
def test_a_null_has_exactly_one_code(quality: Any) -> None:
    """W-40: no null without a word, no word without a null."""
    assert why(g=[GROUP | {"q": quality}]) == "schema"


def test_a_row_has_a_good_value() -> None:
    """W-42: a row that says nothing is an event."""
    nothing = {"r": [[0, None, None, None]], "q": [[0, 0, "a"], [0, 1, "a"], [0, 2, "a"]]}
    assert why(g=[GROUP | nothing]) == "schema"


def test_a_group_comes_once() -> None:
    """W-33: two lists of one group would not have one order."""
    assert why(g=[GROUP, GROUP]) == "schema"
    assert read(g=[GROUP, GROUP | {"d": "meter-2"}]).n == 4


@pytest.mark.parametrize(
    ("event", "word"),
    [
        ([1, "a", "code"], "schema"),
        ([1.5, "a", "code", ""], "schema"),
        ([10**13, "a", "code", ""], "limit"),
        ([1, "a" * 65, "code", ""], "limit"),
        ([1, "a\n", "code", ""], "schema"),
        ([1, "a", "Code", ""], "schema"),
        ([1, "a", "code", None], "schema"),
        ([1, "a", "code", [None]], "schema"),
        ([1, "a", "code", [True]], "schema"),
        ([1, "a", "code", [[1]]], "schema"),
        ([1, "a", "code", [1] * 17], "limit"),
        ([1, "a", "code", "x" * 257], "limit"),
        ("event", "schema"),
    ],
)
def test_a_wrong_event_is_refused(event: Any, word: str) -> None:
    """W-43, W-45."""
    assert why(e=[event]) == word


@pytest.mark.parametrize(
    ("at", "value", "word"),
    [
        (0, "K", "schema"),
        (1, 0, "limit"),
        (2, 2, "schema"),
        (3, -1, "limit"),
        (3, 1.5, "schema"),
        (4, -1, "limit"),
        (5, "x", "schema"),
        (6, "Quota", "schema"),
    ],
)
def test_a_wrong_gap_is_refused(at: int, value: Any, word: str) -> None:
    """W-46: seven values, each bounded."""
    assert why(x=[[*GAP[:at], value, *GAP[at + 1 :]]]) == word


@pytest.mark.parametrize(
    ("document", "word"),
    [
        ({"g": {}}, "schema"),
        ({"g": [5]}, "schema"),
        ({"e": [EVENT] * 4097}, "limit"),
        ({"x": [GAP] * 401}, "limit"),
        ({"g": [GROUP | {"f": ["a"], "t": "f", "q": [], "r": [[i, 1.5] for i in range(65_536)]}]}, "limit"),
    ],
)
def test_lists_are_bounded(document: dict[str, Any], word: str) -> None:
    """W-34, W-43, W-48: how many there can be."""
    assert why(**document) == word


@pytest.mark.parametrize(
    ("enc", "data", "word"),
    [
        ("none", b"", "schema"),
        ("none", b"[]", "schema"),
        ("none", b'{"g":[NaN]}', "schema"),
        ("none", b'{"e":[[1e999,"","x",""]]}', "schema"),
        ("none", b" " * (1024 * 1024) + b"{}", "limit"),
        ("zlib", b"{}", "schema"),
        ("zlib", b"", "schema"),
        ("zlib", zlib.compress(b"{}")[:-1], "schema"),
        ("zlib", zlib.compress(b"{}") + b"x", "schema"),
        ("zlib", zlib.compress(b" " * (1024 * 1024 - 1) + b"{}"), "limit"),
        ("zstd", b"{}", "schema"),
    ],
)
def test_a_wrong_encoding_is_refused(enc: str, data: bytes, word: str) -> None:
    """W-31: exactly one whole zlib stream, of at most 1 MiB."""
    with pytest.raises(Malformed) as refused:
        reader.decode(enc, data)
    assert refused.value.why == word


def test_the_last_byte_that_may_be_inflated() -> None:
    """W-31: 1 MiB is in."""
    assert reader.decode("zlib", zlib.compress(b" " * (1024 * 1024 - 2) + b"{}")).n == 0


def test_a_bomb_is_never_inflated() -> None:
    """W-31: 256 MiB in a quarter of a megabyte cost no more than the bound and a little."""
    bomb = zlib.compress(bytes(256 << 20), 9)
    tracemalloc.start()
    try:
        with pytest.raises(Malformed) as refused:
            reader.decode("zlib", bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused.value.why == "limit"
    assert peak < 8 << 20
