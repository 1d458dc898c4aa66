"""`gateway.wire.checked`: hand checks, one word for each way to be wrong."""

import math
from collections.abc import Callable

import pytest

from gateway.errors import Malformed
from gateway.wire import checked


@pytest.mark.parametrize(
    ("read", "why"),
    [
        (lambda: checked.opened(b"{" + b" " * checked.MESSAGE_BYTES_MAX), "limit"),
        (lambda: checked.opened(b"[1]"), "schema"),
        (lambda: checked.opened(b"{}"), "schema"),
        (lambda: checked.opened(b'{"v":true}'), "schema"),
        (lambda: checked.opened(b'{"v":1.0}'), "schema"),
        (lambda: checked.opened(b'{"v":2}'), "version"),
        (lambda: checked.opened(b'{"v":0}'), "version"),
        (lambda: checked.opened(b"\xef\xbb\xbf{}"), "schema"),
        (lambda: checked.opened(b'{"v":"\xff"}'), "schema"),
        (lambda: checked.parsed(b"[" * 5000), "schema"),
        (lambda: checked.items({}, "x", 3), "schema"),
        (lambda: checked.items([1, 2], "x", 3, width=3), "schema"),
        (lambda: checked.items([1, 2], "x", 1), "limit"),
        (lambda: checked.integer(True, "x"), "schema"),
        (lambda: checked.integer(1.0, "x"), "schema"),
        (lambda: checked.integer(-1, "x"), "limit"),
        (lambda: checked.integer(2**53, "x"), "limit"),
        (lambda: checked.seq(0), "limit"),
        (lambda: checked.boolean(1, "x"), "schema"),
        (lambda: checked.name("Meter", "x"), "schema"),
        (lambda: checked.name("meter\n", "x"), "schema"),
        (lambda: checked.name(None, "x"), "schema"),
        (lambda: checked.text("a\x00b", "x"), "schema"),
        (lambda: checked.text("a\x85b", "x"), "schema"),
        (lambda: checked.text("đ" * 129, "x"), "limit"),
    ],
)
def test_what_is_wrong_has_its_word(read: Callable[[], object], why: str) -> None:
    """W-1 to W-6: schema for shapes, limit for bounds, version for another v."""
    with pytest.raises(Malformed) as refused:
        read()
    assert refused.value.why == why


def test_what_is_right_comes_back() -> None:
    """The value itself, unchanged."""
    assert checked.opened(b'{"v":1,"new":[1]}') == {"v": 1, "new": [1]}
    assert checked.integer(7, "x", 7, 7) == 7
    assert checked.text("đ" * 128, "x") == "đ" * 128
    assert checked.items([1, 2], "x", 2, width=2) == [1, 2]
    assert checked.boolean(False, "x") is False


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("level", True),
        ("time", False),
        ("gateway", False),
        ("device", False),
        ("profile", False),
        ("clock", False),
        ("qc", False),
        ("times", True),
        ("qc_total", True),
        ("level_min", True),
        ("a" * 64, True),
        ("a" * 64 + "_max", True),
        ("a" * 65, False),
        ("Level", False),
        ("1level", False),
        ("", False),
    ],
)
def test_field_names(name: str, good: bool) -> None:
    """W-6: reserved names are none; the endings of folded rows may stand behind a whole name."""
    assert bool(checked.FIELD.fullmatch(name)) is good


@pytest.mark.parametrize(
    ("kind", "good"), [("water_level", True), ("gw_batch", False), ("gwx", True), ("gw", True), ("Water", False)]
)
def test_kinds_never_start_with_the_ledgers_prefix(kind: str, good: bool) -> None:
    """W-6: `gw_` is the ledger's."""
    assert bool(checked.KIND.fullmatch(kind)) is good


@pytest.mark.parametrize(
    ("profile", "good"),
    [("eastron/sdm630@1", True), ("acme/x.y-z_2@12", True), ("eastron/sdm630", False), ("eastron/sdm630@0", False)],
)
def test_profiles_carry_their_version(profile: str, good: bool) -> None:
    """W-6: vendor/model@version."""
    assert bool(checked.PROFILE.fullmatch(profile)) is good


def test_cleaned_keeps_what_people_can_read() -> None:
    """Control characters become spaces, a cut never splits a character."""
    assert checked.cleaned("port\ngone") == "port gone"
    assert checked.cleaned("mưa" * 100, 8) == "mưamưa"
    assert checked.cleaned("a\udcffb") == "a?b"


@pytest.mark.parametrize(
    ("value", "found"),
    [(1, 1.0), (-0.0, 0.0), (float("nan"), None), (float("inf"), None), (float("-inf"), None), (10**400, None)],
)
def test_finite_knows_what_json_has_no_number_for(value: float, found: float | None) -> None:
    """W-44: None for NaN, infinities and integers beyond all floats."""
    assert checked.finite(value) == found


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ((1.5, 2, -0.0), [1.5, 2.0, -0.0]),
        ((), []),
        ((1.0, None), None),
        ((1.0, True), None),
        ((1.0, "2"), None),
        ((1.0, math.nan), None),
        ((math.inf, -math.inf), None),
        ((1.0, 10**400), None),
    ],
)
def test_all_finite_is_about_all_or_nothing(values: tuple[object, ...], found: list[float] | None) -> None:
    """Numbers as they travel, or None: also for what is a number in Python only, or has no finite float."""
    assert checked.all_finite(values) == found
