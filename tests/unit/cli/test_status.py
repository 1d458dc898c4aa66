"""gateway status: what the technician sees."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console

from gateway.cli.status import health, show, values
from gateway.control.server import Handler
from gateway.text import words
from tests.support.daemon import daemon, says

STATUS: dict[str, Any] = {
    "gw": "hc-0001",
    "version": "1.0.0",
    "alarms": [],
    "buses_down": [],
    "devices_down": [],
    "online": False,
    "refusal": "",
    "server": "ioc.example:8883",
    "clock": "ntp",
    "oldest_age_ms": None,
    "pending": 0,
}


def shown(**different: object) -> str:
    """As it stands on a wide screen, in English."""
    console = Console(width=200)
    with console.capture() as said:
        console.print(health(STATUS | different, "en"))
    return said.get()


def test_why_the_uplink_is_refused() -> None:
    """The cause, and by which server; brackets in it are text."""
    said = shown(refusal="certificate: revoked [not ours] (23)")
    assert "ioc.example:8883: certificate: revoked [not ours] (23)" in said
    assert "ioc.example" not in shown()


def test_whose_status_it_is() -> None:
    """Gateway and version stand above it."""
    assert "hc-0001  1.0.0" in shown()


def test_alarms_and_what_is_down_come_first() -> None:
    """In words, with the names of buses and devices."""
    lines = shown(alarms=["site_file_broken"], buses_down=["rs485-1"], devices_down=["level-1"]).splitlines()
    told = [words.title("site_file_broken", "en"), f"rs485-1: {words.title('bus_down', 'en')}"]
    told.append(f"level-1: {words.title('device_down', 'en')}")
    places = [next(at for at, line in enumerate(lines) if text in line) for text in told]
    assert places == sorted(places)
    assert places[-1] < next(at for at, line in enumerate(lines) if "IOC" in line)


def test_what_rows_have_set_off_is_told() -> None:
    """The level that is reached, who works on what (brackets in a name are text), which device is hurried."""
    said = shown(
        alarms_on=[["level-1", "level", "bd1"]],
        maintenance=[["rain-1", "calibration", "LVH [1]", 1]],
        fast=["tide-1"],
    )
    assert f"level-1 level: bd1, {words.title('alarm_on', 'en')}" in said
    assert f"{words.title('calibration', 'en')} (LVH [1])" in said
    (line,) = [line for line in said.splitlines() if "tide-1" in line]
    assert words.title("fast_on", "en") in line


def test_a_silent_bus_is_not_told_as_gone() -> None:
    """It is open: the cable behind it is what to look at."""
    said = shown(buses_down=["rs485-1", "tcp-1"], buses_silent=["tcp-1"])
    assert f"rs485-1: {words.title('bus_down', 'en')}" in said
    assert f"tcp-1: {words.title('bus_silent', 'en')}" in said
    assert f"tcp-1: {words.title('bus_down', 'en')}" not in said


def test_what_waits_and_for_how_long() -> None:
    """Batches without a receipt, and the age of the oldest."""
    assert "7  (90 s)" in shown(pending=7, oldest_age_ms=90_000)
    assert words.title("online", "en") in shown(online=True)


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_how_long_an_outage_may_last(lang: str) -> None:
    """In days, and how far back the archive reaches; nothing is said where nothing is known."""
    console = Console(width=60)
    with console.capture() as said:
        console.print(health(STATUS | {"outage_left_ms": 41 * 86_400_000, "archive_ms": 0}, lang))
    assert f"41 {'days' if lang == 'en' else 'ngày'}" in said.get()
    assert words.title("archive", lang) in said.get()
    assert words.title("outage_left", "en") not in shown()


def table_of(row: dict[str, Any], lang: str = "en") -> str:
    """The values of one row, as they are printed."""
    console = Console(width=200)
    with console.capture() as said:
        console.print(values([row], lang))
    return said.get()


ROW: dict[str, Any] = {
    "device": "level-1",
    "kind": "water_level",
    "age_ms": 1500,
    "values": {"level": 1.25, "note": "[/] [red]x", "battery": None},
    "quality": {"battery": "no_reply"},
}


def test_a_value_its_age_and_why_there_is_none() -> None:
    """A text of a device may hold anything: it is shown as it is, and never read as markup."""
    said = table_of(ROW)
    assert "1.25" in said
    assert "1.5 s" in said
    assert "[/] [red]x" in said
    assert f"- {words.title('no_reply', 'en')}" in said
    assert f"- {words.title('no_reply', 'vi')}" in table_of(ROW, "vi")


async def asked(path: Path, lang: str = "en", *, as_json: bool = False) -> int:
    """The command's exit status; it has an event loop of its own."""
    return await asyncio.to_thread(lambda: show(path, lang, as_json=as_json))


async def test_a_running_daemon(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """Exit 0: tables for people, the document for programs."""
    path = tmp_path / "control.sock"
    async with daemon(path, {"status": says(STATUS), "rows": says(ROW)}):
        assert await asked(path) == 0
        assert b"hc-0001" in capsysbinary.readouterr().out
        assert await asked(path, as_json=True) == 0
    assert orjson.loads(capsysbinary.readouterr().out) == STATUS


@pytest.mark.parametrize("lang", words.LANGUAGES)
@pytest.mark.parametrize("left", ["nothing", "a socket", "a file"])
async def test_no_daemon_is_exit_3(tmp_path: Path, lang: str, left: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With what to do; also where a killed daemon left its socket behind."""
    path = tmp_path / "control.sock"
    if left == "a socket":
        (await asyncio.start_unix_server(lambda *_: None, path)).close()
    elif left == "a file":
        path.touch()
    assert await asked(path, lang) == 3
    err = capsys.readouterr().err
    assert str(path) in err
    assert words.next_step("not_running", lang) in err


@pytest.mark.parametrize(
    "handlers",
    [
        dict,
        lambda: {"status": says(), "rows": says()},
        lambda: {"status": says("text"), "rows": says()},
        lambda: {"status": says(STATUS)},
    ],
)
async def test_who_answers_otherwise_is_exit_1(
    tmp_path: Path, handlers: Callable[[], dict[str, Handler]], capsys: pytest.CaptureFixture[str]
) -> None:
    """A daemon of another version: told in a sentence, not by a traceback."""
    path = tmp_path / "control.sock"
    async with daemon(path, handlers()):
        assert await asked(path) == 1
    assert words.title("request_refused", "en") in capsys.readouterr().err


async def test_garbage_on_the_socket_is_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody else's socket."""

    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"220 mail.example ESMTP\n")
        writer.close()

    path = tmp_path / "control.sock"
    async with await asyncio.start_unix_server(garbage, path):
        assert await asked(path) == 1
    assert words.title("malformed", "en") in capsys.readouterr().err


def uplink(**different: object) -> dict[str, Any]:
    """One of a status."""
    said = {"name": "telegraf", "format": "json", "settle": "puback", "connected": True}
    return said | {"pending": 3, "settled": 120, "parked": 1, "refusal": "", "alarms": []} | different


def test_each_uplink_has_its_line() -> None:
    """What waits there, what is through, and that nobody's receipt stands behind it where that is so."""
    said = shown(uplinks=[uplink(name="ioc", format="batch", settle="receipt"), uplink()])
    first, second = (next(line for line in said.splitlines() if name in line) for name in ("batch", "json"))
    assert "ioc" in first
    assert words.title("by_puback", "en") not in first
    for text in ("telegraf", "pending 3", "has it 120", "kept back 1", words.title("by_puback", "en")):
        assert text in second


def test_what_is_wrong_with_a_second_uplink() -> None:
    """Its alarms in words, and why it was refused; brackets in it are text."""
    said = shown(uplinks=[uplink(connected=False, refusal="not [you]", alarms=["nobody_subscribes"])])
    assert "! not [you]" in said
    assert f"! {words.title('nobody_subscribes', 'en')}" in said
    assert words.title("offline", "en") in said
