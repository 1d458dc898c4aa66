"""Requests and answers on the control socket: JSON lines, bounded, checked by hand (the daemon carries no pydantic).

A request is `{"id":1,"name":"status","arguments":{}}`; each answer `{"id":1,"last":true,"data":…}` or, when the
request can't be answered, `{"id":1,"last":true,"error":"unknown_request"}`. One request may have many answers;
the one with `last` closes it.
"""

from dataclasses import dataclass, field

import orjson

from gateway.errors import Malformed

LINE_BYTES_MAX = 1024 * 1024  # an answer with the rows of hundreds of devices fits
REQUEST_BYTES_MAX = 64 * 1024
NAME_CHARS_MAX = 64


@dataclass(frozen=True, slots=True)
class Request:
    """`name` is one of the handlers' names: status, rows, counters, site."""

    id: int
    name: str
    arguments: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """One of possibly many; `last` closes; `error` is a stable code."""

    id: int
    last: bool
    data: object = None
    error: str = ""


def encode_request(request: Request) -> bytes:
    """One line, newline included."""
    return orjson.dumps({"id": request.id, "name": request.name, "arguments": request.arguments}) + b"\n"


def decode_request(line: bytes) -> Request:
    """Raises Malformed."""
    known = _object(line, REQUEST_BYTES_MAX)
    number, name, arguments = known.get("id"), known.get("name"), known.get("arguments", {})
    if not isinstance(number, int) or not isinstance(name, str) or len(name) > NAME_CHARS_MAX:
        raise Malformed("schema", "a request has an id and a name")
    if not isinstance(arguments, dict):
        raise Malformed("schema", "arguments are an object")
    return Request(number, name, arguments)


def encode_answer(answer: Answer) -> bytes:
    """One line, newline included."""
    content: dict[str, object] = {"id": answer.id, "last": answer.last}
    content |= {"error": answer.error} if answer.error else {"data": answer.data}
    return orjson.dumps(content) + b"\n"


def decode_answer(line: bytes) -> Answer:
    """Raises Malformed."""
    known = _object(line, LINE_BYTES_MAX)
    number, last, error = known.get("id"), known.get("last"), known.get("error", "")
    if not isinstance(number, int) or not isinstance(last, bool) or not isinstance(error, str):
        raise Malformed("schema", "an answer has an id and last")
    return Answer(number, last, known.get("data"), error)


def _object(line: bytes, bytes_max: int) -> dict[str, object]:
    if len(line) > bytes_max:
        raise Malformed("limit", f"a line of {len(line)} bytes")
    try:
        known = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise Malformed("schema", str(error)) from error
    if not isinstance(known, dict):
        raise Malformed("schema", "not an object")
    return known
