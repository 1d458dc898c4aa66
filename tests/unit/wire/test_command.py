"""`gateway.wire.command`: asked and answered."""

from typing import Any

import orjson
import pytest

from gateway.errors import Malformed
from gateway.model import SeqRanges, UtcMs, Value
from gateway.wire import command

DOCUMENT = {"v": 1, "id": "c-1", "expires": 1_795_484_690_000, "name": "recall", "arguments": {"from": 1}}


def test_a_command_arrives() -> None:
    """W-80: arguments as they were sent, none is an empty object."""
    assert command.decode(orjson.dumps(DOCUMENT)).arguments == {"from": 1}
    del (bare := dict(DOCUMENT))["arguments"]
    assert command.decode(orjson.dumps(bare)) == command.Command("c-1", UtcMs(1_795_484_690_000), "recall", {})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"v": 2}, "version"),
        ({"id": ""}, "schema"),
        ({"id": "x" * 65}, "schema"),
        ({"id": "a b"}, "schema"),
        ({"id": 5}, "schema"),
        ({"expires": None}, "schema"),
        ({"expires": -1}, "limit"),
        ({"name": "Recall"}, "schema"),
        ({"arguments": []}, "schema"),
        ({"arguments": {str(number): 1 for number in range(65)}}, "limit"),
        ({"arguments": {"x": "y" * 17_000}}, "limit"),
    ],
)
def test_a_wrong_command_is_refused(changes: dict[str, Any], why: str) -> None:
    """W-80: id, expiry, name, and a bound on it all."""
    with pytest.raises(Malformed) as refused:
        command.decode(orjson.dumps(DOCUMENT | changes))
    assert refused.value.why == why


@pytest.mark.parametrize(
    "changes",
    [
        {"id": None},
        {"ok": 1},
        {"code": "Not ok"},
        {"v": None},
        {"detail": 5},
        {"detail": "\x00"},
        {"value": []},
        {"was": ""},
    ],
)
def test_a_wrong_outcome_is_refused(changes: dict[str, Any]) -> None:
    """W-82: the IOC's side is as strict."""
    document = orjson.loads(command.encode(command.Outcome("c-1", ok=True, code="done"))) | changes
    with pytest.raises(Malformed) as refused:
        command.decode_outcome(orjson.dumps(document))
    assert refused.value.why == "schema"


def test_a_command_that_nobody_would_read_is_not_sent() -> None:
    """W-80: 16 KiB."""
    with pytest.raises(ValueError, match="bytes"):
        command.encode_command(command.Command("c-1", UtcMs(1), "recall", {"x": "y" * 17_000}))


@pytest.mark.parametrize(("value", "read"), [(1, 1.0), (0.25, 0.25), (True, True), ("auto", "auto")])
def test_the_arguments_of_a_write(value: object, read: Value) -> None:
    """W-87: device, field, value; a number is a float, true is none; what else stands there is a later version's."""
    asked = DOCUMENT | {"arguments": {"device": "level-1", "field": "mode", "value": value, "later": 1}}
    found = command.write_arguments(command.decode(orjson.dumps(asked)).arguments)
    assert found == command.WriteArguments("level-1", "mode", read)
    assert type(found.value) is type(read)


@pytest.mark.parametrize(
    "changes",
    [
        {"device": None},
        {"device": "Level 1"},
        {"field": "time"},
        {"value": None},
        {"value": [1]},
        {"value": "x" * 256},
        {"value": 10**400},
        {"value": 2**53 + 1},
    ],
)
def test_wrong_arguments_of_a_write(changes: dict[str, Any]) -> None:
    """W-87: all three, each of its kind."""
    arguments = {"device": "level-1", "field": "mode", "value": 1} | changes
    with pytest.raises(Malformed):
        command.write_arguments(arguments)


def test_an_outcome_says_no_more_than_there_is() -> None:
    """W-83: a detail is cut to what a reader takes; false and 0 are values."""
    said = command.encode(command.Outcome("c-1", ok=False, code="no_reply", detail="x" * 300 + "\n", value=False))
    assert command.decode_outcome(said) == command.Outcome(
        "c-1", ok=False, code="no_reply", detail="x" * 256, value=False
    )
    assert command.encode(command.Outcome("c-1", ok=True, code="ok")) == b'{"v":1,"id":"c-1","ok":true,"code":"ok"}'


def test_resend_names_ranges() -> None:
    """W-92: joined and sorted."""
    asked = command.resend_arguments({"epoch": "k3v9x2", "ranges": [[4, 6], [1, 3]], "later": 1})
    assert asked == command.ResendArguments("k3v9x2", SeqRanges(((1, 6),)))


def test_an_outcome_of_resend_goes_there_and_back() -> None:
    """W-95: also the largest one, within W-1."""
    many = SeqRanges.of((2**53 - 1 - 4 * n, 2**53 - 2 - 4 * n + 1) for n in range(1, command.NOT_KEPT_MAX + 1))
    for resent in (command.Resent(3, many, len(many)), command.Resent(0, SeqRanges(), 0)):
        outcome = command.Outcome("c-1", ok=True, code="ok", resent=resent)
        said = command.encode(outcome)
        assert len(said) <= command.MAX_BYTES
        assert command.decode_outcome(said) == outcome


@pytest.mark.parametrize("changes", [{"kept": -1}, {"kept": 1.0}, {"not_kept": [[2, 1]]}, {"not_kept": [[1, 1]] * 257}])
def test_a_wrong_outcome_of_resend_is_refused(changes: dict[str, object]) -> None:
    """By its parts."""
    document = {"v": 1, "id": "c-1", "ok": True, "code": "ok", "kept": 3, "not_kept": [[1, 2]], "not_kept_n": 2}
    with pytest.raises(Malformed):
        command.decode_outcome(orjson.dumps(document | changes))
