"""HTTP by hand: one connection, kept alive, never left in the middle of an answer."""

import socket
import threading
from collections.abc import Iterator

import pytest

from gateway.errors import StoreBusy
from gateway.ioc.store.http import HttpSession, basic


class Scripted:
    """Answers each request with the next piece of bytes; b"" hangs up without a word."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with peer:
                self._talk(peer)

    def _talk(self, peer: socket.socket) -> None:
        data = b""
        while more := peer.recv(65536):
            data += more
            if b"\r\n\r\n" in data and data.endswith(b"END"):
                self.requests.append(data)
                data = b""
                answer = self.answers.pop(0)
                if not answer:
                    return
                peer.sendall(answer)


@pytest.fixture
def server() -> Iterator[Scripted]:
    """A server that follows a script."""
    made = Scripted()
    yield made
    made.close()


@pytest.fixture
def session(server: Scripted) -> Iterator[HttpSession]:
    """To it."""
    made = HttpSession(server.url, timeout_s=0.2, headers={"Authorization": basic("ann", "pw")})
    yield made
    made.close()


NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


def ok(body: bytes) -> bytes:
    """A whole answer."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def test_one_connection(server: Scripted, session: HttpSession) -> None:
    """Is kept for all requests, with the credentials on each."""
    server.answers = [NO_CONTENT, NO_CONTENT]
    for _ in range(2):
        assert session.post("/write", {"db": "a b"}, b"END") == (204, "")
    assert server.connections == 1
    assert server.requests[1].startswith(b"POST /write?db=a+b HTTP/1.1\r\n")
    assert b"Authorization: Basic YW5uOnB3\r\n" in server.requests[1]


def test_hung_up(server: Scripted, session: HttpSession) -> None:
    """Is busy, and the next request comes on a new connection."""
    server.answers = [b"", NO_CONTENT]
    with pytest.raises(StoreBusy):
        session.post("/write", {}, b"END")
    assert session.post("/write", {}, b"END") == (204, "")
    assert server.connections == 2


def test_hung_up_between_two_requests(server: Scripted, session: HttpSession) -> None:
    """A server that was restarted is not away: the request is made again, once, on a new connection."""
    server.answers = [NO_CONTENT, b"", NO_CONTENT]
    for _ in range(2):
        assert session.post("/write", {}, b"END") == (204, "")
    assert server.connections == 2
    server.answers = [b"", b""]
    with pytest.raises(StoreBusy):
        session.post("/write", {}, b"END")
    assert server.answers == []


@pytest.mark.parametrize(
    "answer", [b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"HTTP/1.1 200 OK\r\n"]
)
def test_half_an_answer(server: Scripted, session: HttpSession, answer: bytes) -> None:
    """Is none."""
    server.answers = [answer]
    with pytest.raises(StoreBusy):
        session.post("/write", {}, b"END")


def test_lines(server: Scripted, session: HttpSession) -> None:
    """Come one by one, and leave the connection fit for the next question."""
    server.answers = [ok(b"one\ntwo\n"), ok(b"three")]
    assert list(session.lines("/query", {"q": "END"})) == [b"one\n", b"two\n"]
    assert list(session.lines("/query", {"q": "END"})) == [b"three"]
    assert server.connections == 1


def test_lines_not_read_to_their_end(server: Scripted, session: HttpSession) -> None:
    """The rest is never taken for the next answer."""
    server.answers = [ok(b"one\ntwo\n"), ok(b"three")]
    lines = session.lines("/query", {"q": "END"})
    assert next(lines) == b"one\n"
    lines.close()
    assert list(session.lines("/query", {"q": "END"})) == [b"three"]
    assert server.connections == 2


def test_a_question_refused(server: Scripted, session: HttpSession) -> None:
    """Is busy, with what the server said."""
    server.answers = [b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno"]
    with pytest.raises(StoreBusy, match="401"):
        list(session.lines("/query", {"q": "END"}))
