"""A strict fake of the v2 write API: what a real InfluxDB 2 would say, and whatever a test wants it to say instead.

    with FakeInflux() as influx:
        ...                          # influx.url
        influx.answer_next(503)      # for one request; `answer_all(503)` until `answer_all(None)`
        influx.hang()                # take requests, answer none

It keeps points (merged by field, as InfluxDB does) and refuses what InfluxDB refuses: other paths (404), no bucket or a
wrong one, a wrong precision, another encoding, a wrong token (401), a field of another type (422, the others stored),
a line it cannot read (400, the others stored). It reads lines with a reader of its own. `/query` answers the one
question of a probe, because a probe must read back what it wrote.
"""

import json
import re
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, urlsplit

NOW = 1  # the time of a point that came without one
FACTORS = {"ms": 1_000_000, "us": 1000, "ns": 1, "s": 1_000_000_000}
Value = float | bool | str
_PROBE = re.compile(r'SELECT "number" FROM "gw_probe" WHERE "number" = (\d+) AND time > now\(\) - 1h LIMIT 1')
_WORDS = {"true": True, "false": False}


class FakeInflux:
    """One bucket on 127.0.0.1, in threads of its own."""

    def __init__(self, *, bucket: str = "city", org: str = "danang", token: str = "secret") -> None:
        self.bucket, self.org, self.token = bucket, org, token
        self.points: dict[tuple[str, int], dict[str, Value]] = {}  # (measurement and tags as sent, ns) -> fields
        self.requests: list[tuple[str, str]] = []  # (path, precision)
        self._types: dict[tuple[str, str], type] = {}
        self._next: deque[int] = deque()
        self._all: int | None = None
        self._hang = False
        self._over = threading.Event()
        self._lock = threading.Lock()
        fake = self

        class Handler(_Handler):
            influx = fake

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="fake-influx")

    @property
    def url(self) -> str:
        """Without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer_next(self, *statuses: int) -> None:
        """What the next writes get, instead of being looked at."""
        self._next.extend(statuses)

    def answer_all(self, status: int | None) -> None:
        """What every write gets; None = as InfluxDB."""
        self._all = status

    def hang(self) -> None:
        """Never answer a write again."""
        self._hang = True

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def write(self, query: dict[str, list[str]], headers: dict[str, str], body: bytes) -> tuple[int, str]:
        """(status, message) of one write."""
        if self._hang:
            self._over.wait()
        if self._next or self._all is not None:
            return (self._next.popleft() if self._next else self._all or 0), "as told"
        if headers.get("authorization") != f"Token {self.token}":
            return 401, "unauthorized access"
        if query.get("org") != [self.org] or query.get("bucket") != [self.bucket]:
            return 404, f'bucket "{query.get("bucket")}" not found'
        if query.get("precision", [""])[0] not in FACTORS:
            return 400, "precision is not valid"
        if headers.get("content-encoding", "identity") != "identity":
            return 415, "an encoding that was not asked for"
        with self._lock:
            return self._store(body.decode(), FACTORS[query["precision"][0]])

    def probed(self, statement: str) -> list[list[int]] | None:
        """The answer to the question of a probe; None for any other question."""
        asked = _PROBE.fullmatch(statement)
        if asked is None:
            return None
        return [[0, int(asked[1])] for fields in self.points.values() if fields.get("number") == float(asked[1])]

    def _store(self, text: str, factor: int) -> tuple[int, str]:
        unread, conflict, dropped = "", "", 0
        for line in _split(text, "\n"):
            try:
                key, fields, at = _read(line)
            except ValueError as error:
                unread = f"unable to parse '{line[:60]}': {error}"
                continue
            wrong = self._conflict(key, fields)
            if wrong:
                conflict, dropped = conflict or wrong, dropped + 1
            else:
                self.points.setdefault((key, at * factor), {}).update(fields)
        if unread:
            return 400, f"partial write: {unread} dropped=0"
        if conflict:
            return 422, f"failure writing points to database: partial write: {conflict} dropped={dropped}"
        return 204, ""

    def _conflict(self, key: str, fields: dict[str, Value]) -> str:
        measurement = key.partition(",")[0]
        for name, value in fields.items():
            known = self._types.get((measurement, name), type(value))
            if known is not type(value):
                return f'field type conflict: input field "{name}" on measurement "{measurement}" is another type'
        for name, value in fields.items():
            self._types[measurement, name] = type(value)
        return ""


def _split(text: str, separator: str) -> list[str]:
    """Outside quotes, and not after a backslash."""
    parts, part, quoted, at = [], "", False, 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            part += text[at : at + 2]
            at += 2
            continue
        quoted ^= char == '"'
        if char == separator and not quoted:
            parts.append(part)
            part = ""
        else:
            part += char
        at += 1
    return [one for one in [*parts, part] if one]


def _read(line: str) -> tuple[str, dict[str, Value], int]:
    key, pairs, *at = _split(line, " ")
    fields: dict[str, Value] = {}
    for pair in _split(pairs, ","):
        name, _, word = pair.partition("=")
        if word in _WORDS:
            fields[name] = _WORDS[word]
        elif word.startswith('"') and word.endswith('"'):
            fields[name] = word[1:-1].replace('\\"', '"').replace("\\\\", "\\")
        else:
            fields[name] = float(word)
    return key, fields, int(at[0]) if at else NOW


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    influx: ClassVar[FakeInflux]

    def do_POST(self) -> None:
        """One request."""
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        query = parse_qs(url.query)
        self.influx.requests.append((url.path, query.get("precision", [""])[0]))
        if url.path == "/api/v2/write":
            status, message = self.influx.write(query, {k.lower(): v for k, v in self.headers.items()}, body)
            self._say(status, {"code": "as the status says", "message": message} if status >= 400 else None)
        elif url.path == "/query" and (rows := self.influx.probed(parse_qs(body.decode())["q"][0])) is not None:
            series = [{"name": "gw_probe", "columns": ["time", "number"], "values": rows}] if rows else []
            self._say(200, {"results": [{"statement_id": 0, "series": series}]})
        else:
            self._say(404, {"code": "not found", "message": "path not found"})

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def _say(self, status: int, document: object) -> None:
        body = b"" if document is None else json.dumps(document).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)
        except OSError:  # who asked is gone: after a hang, that is the point
            self.close_connection = True
