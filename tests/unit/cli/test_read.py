"""gateway read: what people see, through a daemon and without one."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.cli.read import Where, show, with_unit
from gateway.config.compile import compile_simulator_file
from gateway.control.server import Handler
from gateway.text import words
from simulators.serve import serve, signals_of
from tests.support.daemon import daemon, says
from tests.support.modbus_server import ModbusServer
from tests.support.station import REF, answering, write_station
from tests.support.written import SITE, write

LEVEL: dict[str, Any] = {
    "field": "level",
    "value": 1.25,
    "quality": "",
    "unit": "m",
    "letter": "f",
    "limits": "",
    "writable": False,
}
OFFSET = LEVEL | {"field": "zero_offset", "value": None, "quality": "no_reply", "limits": "-5 … 5", "writable": True}


def answer(*fields: dict[str, Any]) -> dict[str, Any]:
    """A good one."""
    return {"code": "ok", "detail": "", "fields": list(fields)}


async def read(
    folder: Path, *names: str, lang: str = "en", as_json: bool = False, device: str = "level-1", site: str = "none.toml"
) -> int:
    """The command's exit status; it has an event loop of its own."""
    where = Where(
        folder / "control.sock", folder / site, [folder / "profiles"] if (folder / "profiles").exists() else []
    )
    return await asyncio.to_thread(lambda: show(where, device, names, lang, as_json=as_json))


async def test_values_with_unit_and_what_may_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line a field."""
    async with daemon(tmp_path / "control.sock", {"read": says({"waiting": True}, answer(LEVEL))}):
        assert await read(tmp_path, "level") == 0
    said = capsys.readouterr().out
    assert "level-1" in said
    assert "1.25 m" in said


@pytest.mark.parametrize("lang", words.LANGUAGES)
async def test_a_bad_value_is_shown_as_its_reason(
    tmp_path: Path, lang: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And is exit 1."""
    async with daemon(tmp_path / "control.sock", {"read": says(answer(LEVEL, OFFSET))}):
        assert await read(tmp_path, lang=lang) == 1
    said = capsys.readouterr().out
    assert words.title("no_reply", lang) in said
    assert "-5 … 5" in said


async def test_the_answer_as_it_is(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """For programs."""
    async with daemon(tmp_path / "control.sock", {"read": says(answer(LEVEL))}):
        assert await read(tmp_path, as_json=True) == 0
    assert orjson.loads(capsysbinary.readouterr().out) == answer(LEVEL)


@pytest.mark.parametrize("lang", words.LANGUAGES)
async def test_what_cannot_be_read_is_said(tmp_path: Path, lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Code, detail, next step."""
    said = {"code": "no_such_field", "detail": "a/b@1: nothing", "fields": []}
    async with daemon(tmp_path / "control.sock", {"read": says(said)}):
        assert await read(tmp_path, "nothing", lang=lang) == 1
    err = capsys.readouterr().err
    assert f"{words.title('no_such_field', lang)}: a/b@1: nothing" in err
    assert words.next_step("no_such_field", lang) in err


@pytest.mark.parametrize("handlers", [{}, {"read": says()}, {"read": says("x")}, {"read": says({"code": 5})}])
async def test_a_daemon_of_another_version_is_exit_1(
    tmp_path: Path, handlers: dict[str, Handler], capsys: pytest.CaptureFixture[str]
) -> None:
    """In a sentence."""
    async with daemon(tmp_path / "control.sock", handlers):
        assert await read(tmp_path) == 1
    assert "control.sock" in capsys.readouterr().err


async def test_without_a_daemon_the_bus_is_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The site file says where the device is; what is read is decoded by its profile."""
    write_station(tmp_path / "profiles")
    async with ModbusServer("tcp") as server:
        server.every = answering({})
        bus = f'[[bus]]\nname = "tcp-1"\nhost = "{server.endpoint}"\n'
        device = f'[[device]]\nname = "station-1"\nbus = "tcp-1"\nunit_id = 1\nprofile = "{REF}"\n'
        write(tmp_path / "site.toml", SITE + bus + device)
        assert await read(tmp_path, "temperature", "frequency", device="station-1", site="site.toml") == 0
    captured = capsys.readouterr()
    assert "21.5 °C" in captured.out
    assert "50 Hz" in captured.out
    assert "pressure" not in captured.out
    assert captured.err.startswith("The gateway does not run")


@pytest.mark.parametrize("ref", ["gill/windsonic-polled@1", "generic/dlt645-2007@1"])
async def test_a_serial_device_is_asked_without_a_daemon(
    tmp_path: Path, ref: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In its own way, declared or by a module, here behind a converter; one that sends by itself is not."""
    text = f'[[device]]\nname = "a-1"\nbus = "b-1"\nprofile = "{ref}"\n'
    host = '[[bus]]\nname = "b-1"\nhost = "{}"\n'
    write(tmp_path / "simulated.toml", SITE + host.format("127.0.0.1:0") + text)
    site = compile_simulator_file(tmp_path / "simulated.toml", ()).site
    told = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(serve(site, signals_of(site, {}, 1), tell=told.set_result), name="simulators")
        write(tmp_path / "site.toml", SITE + host.format((await told)["b-1"]) + text)
        assert await read(tmp_path, device="a-1", site="site.toml", as_json=True) == 0
        assert await read(tmp_path, "nothing", device="a-1", site="site.toml") == 1
        task.cancel()
    captured = capsys.readouterr()
    fields = {one["field"] for one in orjson.loads(captured.out)["fields"]}
    assert fields == {one.name for one in site.buses[0].devices[0].profile.fields}
    assert words.title("no_such_field", "en") in captured.err


@pytest.mark.parametrize(
    ("device", "names", "code"),
    [("other-1", (), "no_such_device"), ("station-1", ("x",), "no_such_field"), ("station-1", (), "link_down")],
)
async def test_without_a_daemon_what_is_wrong_is_said(
    tmp_path: Path, device: str, names: tuple[str, ...], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As with one."""
    write_station(tmp_path / "profiles")
    text = '[[bus]]\nname = "tcp-1"\nhost = "127.0.0.1:1"\n[[device]]\nname = "station-1"\nbus = "tcp-1"\nunit_id = 1\n'
    write(tmp_path / "site.toml", SITE + text + f'profile = "{REF}"\n')
    assert await read(tmp_path, *names, device=device, site="site.toml") == 1
    assert words.title(code, "en") in capsys.readouterr().err


async def test_without_a_daemon_and_without_a_site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, with what is wrong with the file."""
    assert await read(tmp_path) == 2
    assert words.title("file_unreadable", "en") in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(1.25, "m", "1.25 m"), (4.0, "1", "4"), (50.0, "Hz", "50 Hz"), (True, "1", "true"), ("auto", "m", "auto")],
)
def test_a_value_as_people_write_it(value: object, unit: str, text: str) -> None:
    """The unit 1 is none."""
    assert with_unit(value, unit) == text
