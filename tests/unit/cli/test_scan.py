"""gateway scan: what a technician sees, and the exit status."""

import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import orjson
import pytest
from rich.prompt import Confirm

from gateway import sources
from gateway.cli import endpoint
from gateway.cli.scan import EXIT_INTERRUPTED, Wanted, show, unit_ids
from gateway.control.client import SocketClient
from gateway.errors import LinkDown
from gateway.profile.profile import Line
from gateway.protocols.modbus_pdu import Table
from gateway.south.jobs.ways import Way
from gateway.text import words
from tests.support.cable import Cable, JumpingClock, Slave
from tests.support.written import PROFILE, write_profile
from tests.unit.app.test_jobs import FakeAsks
from tests.unit.cli.test_endpoint import Daemon

NINE = Way("rtu")
CLIMATE = Slave({Table.INPUT: {0: 5, 1: 305}})  # of tests.support.written: temperature at 1, in tenths


@pytest.fixture(autouse=True)
def _library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One profile, acme/probe@1; no daemon; a terminal of a phone's width."""
    write_profile(tmp_path / "profiles", PROFILE.replace("scale = 0.1", "scale = 0.1, range = [-40, 80]"))
    monkeypatch.setattr(sources, "search_path", lambda extra=(): (tmp_path / "profiles", *extra))
    monkeypatch.setenv("COLUMNS", "80")


def hang(monkeypatch: pytest.MonkeyPatch, ways: Mapping[Way, Mapping[int, Slave]]) -> Cable:
    """Put a cable to every port."""
    cable = Cable(JumpingClock(), ways)
    monkeypatch.setattr(endpoint, "Lone", lambda _address, way, _clock: cable.opens(way))
    return cable


def wanted(tmp_path: Path, **options: object) -> Wanted:
    """/dev/cable at 9600 8N1."""
    return Wanted(**({"target": "/dev/cable", "socket": tmp_path / "none", "line": "9600 8N1"} | options))  # type: ignore[arg-type]


def test_which_unit_ids() -> None:
    """Numbers and ranges, each once."""
    assert unit_ids("1-3,200, 2") == (1, 2, 3, 200)
    for wrong in ("", "a", "1-", "1-b", "256", "1-300", "-1"):
        with pytest.raises(ValueError, match=r"as in|from 0"):
            unit_ids(wrong)


@pytest.mark.parametrize(
    ("lang", "said"),
    [("en", ("may be", "plausible values", "unknown device", "answers function 3", "For gateway.toml:")),
     ("vi", ("có thể là", "giá trị hợp lý", "thiết bị lạ", "trả lời hàm 3", "Chép vào gateway.toml:"))],
)  # fmt: skip
def test_what_was_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    lang: str,
    said: tuple[str, ...],
) -> None:
    """Each device with its profile, why, and a value; then the lines for the site file; nothing wider than a phone."""
    hang(monkeypatch, {NINE: {3: CLIMATE, 20: Slave({Table.HOLDING: {0: 1}})}})
    assert show(wanted(tmp_path), lang, as_json=False) == 0
    out = capsys.readouterr().out
    for text in (
        *said,
        "acme/probe@1",
        "temperature 30.5 °C",
        'port = "/dev/cable"',
        'line = "9600 8N1"',
        "unit_id = 3",
    ):
        assert text in out
    assert max(map(len, out.splitlines())) <= 80


def test_the_lines_can_be_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are TOML; a device of another line, or without a profile, is a remark there."""
    import tomllib

    other = Way("rtu", Line(4800))
    hang(monkeypatch, {NINE: {3: CLIMATE, 4: CLIMATE, 20: Slave()}, other: {1: CLIMATE}})
    assert show(wanted(tmp_path, line=""), "en", as_json=False) == 0
    lines = capsys.readouterr().out.partition("For gateway.toml:")[2]
    site = tomllib.loads(lines)
    assert site["bus"] == [{"name": "rs485-1", "port": "/dev/cable", "line": "9600 8N1"}]
    assert [(one["name"], one["unit_id"]) for one in site["device"]] == [("probe-1", 3), ("probe-2", 4)]
    assert "# unit_id 1 answers at 4800 8N1: set it to 9600 8N1 first" in lines
    assert "# unit_id 20: no profile fits" in lines


def test_json_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """One for each finding, as it comes; nothing else on stdout."""
    hang(monkeypatch, {NINE: {3: CLIMATE}})
    assert show(wanted(tmp_path), "en", as_json=True) == 0
    (found,) = map(orjson.loads, capsysbinary.readouterr().out.splitlines())
    assert (found["found"], found["line"], found["functions"]) == (3, "9600 8N1", [4])
    (match,) = found["matches"]
    assert (match["profile"], match["sureness"], match["values"]) == ("acme/probe@1", "may_be", {"temperature": 30.5})


def test_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1, and how to go on; --all goes on by itself."""
    hang(monkeypatch, {NINE: {200: CLIMATE}})
    assert show(wanted(tmp_path), "en", as_json=False) == 1
    err = capsys.readouterr().err
    assert "Nobody answers." in err
    assert "--all" in err
    assert show(wanted(tmp_path, everything=True), "en", as_json=False) == 0


def test_nobody_and_somebody_to_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a terminal it offers to go on; a yes asks only what was not asked."""
    cable = hang(monkeypatch, {NINE: {200: CLIMATE}})
    monkeypatch.setattr(sys, "stdin", type("Tty", (), {"isatty": lambda _: True})())
    monkeypatch.setenv("FORCE_COLOR", "1")
    asked: list[str] = []

    def agree(text: str, **_: object) -> bool:
        asked.append(text)
        return True

    monkeypatch.setattr(Confirm, "ask", agree)
    assert show(wanted(tmp_path), "en", as_json=False) == 0
    assert asked == ["Nobody answers. Ask every unit_id on every line (1 min)?"]
    assert [unit_id for _, unit_id in cable.asked].count(1) == 2
    assert "acme/probe@1" in capsys.readouterr().out


def test_a_port_that_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The cause and the next step; exit 1."""
    hang(monkeypatch, {}).cannot = lambda _: "serial port /dev/cable cannot be opened: in use [Errno 11]"
    assert show(wanted(tmp_path), "vi", as_json=False) == 1
    err = " ".join(capsys.readouterr().err.split())
    assert "in use [Errno 11]" in err
    assert words.next_step(LinkDown(), "vi") in err


def test_stopped_in_the_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C: what was found so far is shown, the port is closed, exit 130."""
    cable = hang(monkeypatch, {NINE: {3: CLIMATE}})

    def interrupt(unit_id: int) -> Slave:
        if unit_id == 50:
            raise KeyboardInterrupt
        return {3: CLIMATE}.get(unit_id)  # type: ignore[return-value]

    cable._ways = {NINE: type("Ways", (), {"get": staticmethod(interrupt)})()}
    assert show(wanted(tmp_path), "en", as_json=False) == EXIT_INTERRUPTED
    told = capsys.readouterr()
    assert "Stopped" in told.err
    assert "acme/probe@1" in told.out
    assert all(stream.closed for stream in cable.streams)


@pytest.mark.parametrize("last", [False, True])
def test_stopped_whatever_becomes_of_the_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, last: bool
) -> None:
    """Ctrl-C in a question that then fails, or that is the last one: exit 130 all the same, not 1 or 0."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    cable = hang(monkeypatch, {NINE: {3: CLIMATE}})

    def interrupt(unit_id: int) -> Slave | None:
        if unit_id == 50:
            signal.raise_signal(signal.SIGINT)
            if not last:
                raise LinkDown("unplugged")
        return {3: CLIMATE}.get(unit_id)

    cable._ways = {NINE: type("Ways", (), {"get": staticmethod(interrupt)})()}
    asked = wanted(tmp_path, unit_ids="3,50") if last else wanted(tmp_path)
    try:
        assert show(asked, "en", as_json=False) == EXIT_INTERRUPTED
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert "Stopped" in capsys.readouterr().err


@pytest.mark.parametrize("options", [{"line": "9600"}, {"unit_ids": "0-999"}, {"profiles": ("broken",)}])
def test_wrong_arguments(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: dict[str, object]) -> None:
    """Exit 2, and nothing is opened."""
    if "profiles" in options:
        options = {"profiles": (write_profile(tmp_path / "broken", PROFILE.replace("type =", "typo =")).parent.parent,)}
    assert show(wanted(tmp_path, **options), "en", as_json=False) == 2
    assert capsys.readouterr().err


def test_beside_a_running_gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through it: on its line only; known devices are named, only new ones are to be copied."""
    daemon = Daemon(FakeAsks(bytes(2)))
    monkeypatch.setattr(SocketClient, "ask", lambda _, name, **arguments: daemon.ask(name, **arguments))
    assert show(wanted(tmp_path, target="bus-1", line="", unit_ids="7,8"), "en", as_json=False) == 0
    told = capsys.readouterr()
    assert "Through the running gateway, bus bus-1" in told.err
    assert "known as meter-1" in told.out
    assert "[[bus]]" not in told.out
    assert "unit_id 7:" not in told.out
    assert show(wanted(tmp_path, target="bus-1", line="4800 8N1"), "en", as_json=False) == 1
    assert words.title("line_in_use", "en") in capsys.readouterr().err
