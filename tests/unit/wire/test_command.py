"""`gateway.wire.command`: asked and answered."""

from typing import Any

import orjson
import pytest

from gateway.errors import Malformed
from gateway.model import UtcMs
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


@pytest.mark.parametrize("changes", [{"id": None}, {"ok": 1}, {"code": "Not ok"}, {"v": None}])
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
