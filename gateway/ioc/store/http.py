"""HTTP to a database: one kept-alive connection, blocking, with a deadline on every read. Used in one thread.

Plain `http.client`: measured, it is as cheap as anything (`docs/explanation/decisions`), and its bytes are ours.
"""

import base64
import ssl
from collections.abc import Generator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urlencode, urlsplit

from gateway.errors import StoreBusy

ANSWER_MAX_BYTES = 1 << 20
LINE_MAX_BYTES = 16 << 20  # one chunk of a chunked query
OK = 200


class HttpSession:
    """Requests to one server; every failure is StoreBusy, and the next request opens a new connection.

    Every request of ours may be made twice: questions change nothing, and a write writes the same points again.
    """

    def __init__(self, url: str, *, timeout_s: float, headers: Mapping[str, str], ca: str = "") -> None:
        self._url = urlsplit(url)
        self._timeout_s = timeout_s
        self._headers = dict(headers)
        self._ca = ca
        self._connection: HTTPConnection | None = None

    def post(self, path: str, parameters: Mapping[str, str], body: bytes) -> tuple[int, str]:
        """(status, answer)."""
        answer = self._send(f"{path}?{urlencode(parameters)}", body, {"Content-Type": "text/plain; charset=utf-8"})
        return answer.status, self._read(answer).decode(errors="replace")

    def lines(self, path: str, form: Mapping[str, str]) -> Generator[bytes, None, None]:
        """The lines of an answer, one by one; take all, or `close`."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self._send(path, urlencode(form).encode(), headers)
        if answer.status != OK:
            raise StoreBusy(f"{answer.status}: {self._read(answer)[:300]!r}")
        try:
            while line := answer.readline(LINE_MAX_BYTES + 1):
                if len(line) > LINE_MAX_BYTES:
                    raise StoreBusy("an answer with a line beyond all bounds")
                yield line
            answer.read()  # nothing is left; says so to http.client, which then keeps the connection
        except (OSError, HTTPException) as error:
            raise self._failed(error) from error
        finally:
            if not answer.isclosed():  # not read to its end: the rest must not be taken for the next answer
                self.close()

    def close(self) -> None:
        """Idempotent."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(self, target: str, body: bytes, headers: Mapping[str, str]) -> HTTPResponse:
        kept = self._connection is not None
        try:
            return self._request(target, body, headers)
        except ConnectionError as error:
            failed = self._failed(error)
            if not kept:
                raise failed from error
        except (OSError, HTTPException) as error:
            raise self._failed(error) from error
        return self._send(target, body, headers)  # it had hung up since the last answer: once more, on a new connection

    def _request(self, target: str, body: bytes, headers: Mapping[str, str]) -> HTTPResponse:
        if self._connection is None:
            self._connection = self._connect()
        path = self._url.path.rstrip("/") + target
        self._connection.request("POST", path, body, {**self._headers, **headers})
        return self._connection.getresponse()

    def _read(self, answer: HTTPResponse) -> bytes:
        try:
            body = answer.read(ANSWER_MAX_BYTES + 1)
        except (OSError, HTTPException) as error:
            raise self._failed(error) from error
        if len(body) > ANSWER_MAX_BYTES:
            self.close()
        return body

    def _connect(self) -> HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "https":
            context = ssl.create_default_context(cafile=self._ca or None)
            return HTTPSConnection(host, port, timeout=self._timeout_s, context=context)
        return HTTPConnection(host, port, timeout=self._timeout_s)

    def _failed(self, error: Exception) -> StoreBusy:
        self.close()
        return StoreBusy(f"{self._url.netloc}: {type(error).__name__}: {error}")


def basic(username: str, password: str) -> str:
    """The Authorization header of a user name and a password."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
