"""gateway trace: what a technician sees of a bus, and what a recording keeps."""

import asyncio
from pathlib import Path

import orjson
import pytest

from gateway.cli.trace import Wanted, show
from gateway.control.server import Handler
from gateway.protocols.modbus_frame import Frame, encode_rtu
from gateway.text import words
from tests.support.daemon import daemon, says
from tests.support.wires import reply

MS = 1_000_000
ASK = encode_rtu(Frame(1, b"\x03\0\x10\0\2"))
HEAD = {"v": 1, "bus": "b", "transport": "rtu", "mode": "poll", "line": "9600 8N1", "utc_ms": 0, "boot_ns": 0}
CHUNKS = [
    (1000 * MS, "out", ASK.hex()),
    (1020 * MS, "in", reply(2, 7).hex()),
    (2000 * MS, "out", ASK.hex()),
]
ANSWER = {"missed": 0, "chunks": CHUNKS}


async def shown(
    tmp_path: Path,
    *answers: object,
    bus: str = "b",
    last: int = 20,
    record: Path | None = None,
    lang: str = "en",
    as_json: bool = False,
    name: str = "trace",
) -> int:
    """The exit status, of a daemon that answers so."""
    handlers: dict[str, Handler] = {name: says(*answers)}
    path = tmp_path / "control.sock"
    async with daemon(path, handlers):
        wanted = Wanted(last, follow=False, record=record, as_json=as_json, lang=lang)
        return await asyncio.to_thread(lambda: show(path, bus, wanted))


async def test_frames_in_eighty_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When, how long after, which way, what, its bytes."""
    monkeypatch.setenv("COLUMNS", "80")
    assert await shown(tmp_path, HEAD, ANSWER) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "b  rtu  9600 8N1"
    assert lines[1].endswith("→ unit_id 1: read 2 holding registers from 0x0010")
    assert lines[2].strip() == ASK.hex(" ")
    assert lines[3].endswith("+20.0 ms  ← unit_id 1: 2 registers: 7 7")
    assert "+980.0 ms" in lines[5]
    assert max(map(len, lines)) <= 80


async def test_a_phone(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """60 columns: bytes stand under bytes, also of a long frame."""
    monkeypatch.setenv("COLUMNS", "60")
    long = encode_rtu(Frame(1, bytes((3, 20, *range(20)))))
    assert await shown(tmp_path, HEAD, {"missed": 0, "chunks": [(0, "out", ASK.hex()), (MS, "in", long.hex())]}) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"{'':27}{long[:8].hex(' ')}" in lines
    assert max(map(len, lines)) <= 60


async def test_a_bus_without_a_line_shows_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """TCP has no baud."""
    await shown(tmp_path, HEAD | {"transport": "tcp"}, {"missed": 0, "chunks": []})
    assert capsys.readouterr().out.splitlines()[0] == "b  tcp"


async def test_the_last_frames_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So many as are asked for."""
    assert await shown(tmp_path, HEAD, ANSWER, last=1) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if "unit" in line] != []
    assert await shown(tmp_path, HEAD, ANSWER, last=0, as_json=True) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


async def test_what_goes_by_meanwhile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Further answers are further frames; an empty one ends what is torn; what was missed is told."""
    torn = {"missed": 3, "chunks": [[2020 * MS, "in", "0103"]]}
    assert await shown(tmp_path, HEAD, {"missed": 0, "chunks": CHUNKS[2:]}, torn, {"missed": 0, "chunks": []}) == 0
    out = capsys.readouterr().out
    assert "torn" in out or words.title("trace_noise", "en").format(count=2) in out
    assert words.title("trace_missed", "en").format(count=3) in out


async def test_in_vietnamese(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An exception by its name, too."""
    refused = [[0, "out", ASK.hex()], [1, "in", encode_rtu(Frame(1, b"\x83\x02")).hex()]]
    assert await shown(tmp_path, HEAD, {"missed": 0, "chunks": refused}, lang="vi") == 0
    out = capsys.readouterr().out
    assert "đọc 2 thanh ghi holding từ 0x0010" in out
    assert "ngoại lệ 2: sai địa chỉ" in out


async def test_nothing_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence, not an empty screen."""
    assert await shown(tmp_path, HEAD, {"missed": 0, "chunks": []}) == 0
    assert words.title("trace_nothing", "en") in capsys.readouterr().out


async def test_json_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For programs."""
    assert await shown(tmp_path, HEAD, ANSWER, as_json=True) == 0
    first, second, _ = map(orjson.loads, capsys.readouterr().out.splitlines())
    assert (first["way"], first["code"], first["bytes"]) == ("out", "trace_read_holding", ASK.hex())
    assert (second["way"], second["gap_ns"], second["unit_id"]) == ("in", 20 * MS, 1)


async def test_a_recording_and_the_way_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for the bus, one for each chunk, times from 0; it is shown as the bus was, in seconds."""
    path = tmp_path / "rec.jsonl"
    assert await shown(tmp_path, HEAD, ANSWER, record=path) == 0
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    assert lines[0] == {"v": 1, "bus": "b", "transport": "rtu", "line": "9600 8N1"}
    assert lines[1:] == [{"t_ns": at - 1000 * MS, "way": way, "bytes": data} for at, way, data in CHUNKS]
    capsys.readouterr()
    wanted = Wanted(20, follow=False, record=None, as_json=False, lang="en")
    assert await asyncio.to_thread(lambda: show(tmp_path / "none", str(path), wanted)) == 0
    out = capsys.readouterr().out
    assert "read 2 holding registers" in out
    assert " 1.000 " in out


async def test_a_recording_of_a_bus_that_listens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing in it was sent: both sides came in."""
    path = tmp_path / "rec.jsonl"
    chunks = [[0, "in", ASK.hex()], [20 * MS, "in", reply(2, 7).hex()]]
    assert await shown(tmp_path, HEAD | {"mode": "listen"}, {"missed": 0, "chunks": chunks}, record=path) == 0
    wanted = Wanted(20, follow=False, record=None, as_json=False, lang="en")
    assert await asyncio.to_thread(lambda: show(tmp_path / "none", str(path), wanted)) == 0
    assert capsys.readouterr().out.count("← unit_id 1: 2 registers: 7 7") == 2


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (None, 1),
        ("", 1),
        ("text", 1),
        ("[]", 1),
        ('{"v":2}', 1),
        ('{"v":1,"bus":"b","transport":"rtu","line":"x"}\n7', 1),
        ('{"v":1,"bus":"b\\u001b]0;","transport":"rtu","line":"x"}', 1),
        ('{"v":1,"bus":["b"],"transport":"rtu","line":"x"}', 1),
        ('{"v":1,"bus":"b","transport":"rtu","line":"x"}\n{"t_ns":1e300,"way":"in","bytes":"00"}', 1),
        ('{"v":1,"bus":"b","transport":"rtu","line":"x"}\n{"t_ns":0,"way":"in","bytes":"' + "00" * 40_000 + '"}', 1),
    ],
)
async def test_a_file_that_is_no_recording(
    tmp_path: Path, text: str | None, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Told in a sentence, with its name."""
    path = tmp_path / "rec.jsonl"
    if text is not None:
        path.write_text(text)
    wanted = Wanted(20, follow=False, record=None, as_json=False, lang="en")
    assert await asyncio.to_thread(lambda: show(tmp_path / "none", str(path), wanted)) == status
    assert "rec.jsonl" in capsys.readouterr().err


async def test_no_such_bus_and_no_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1 with what to do; 3 when nobody answers; 1 for a daemon that knows no trace."""
    wanted = Wanted(20, follow=False, record=None, as_json=False, lang="en")
    assert await asyncio.to_thread(lambda: show(tmp_path / "none", "b", wanted)) == 3
    assert words.next_step("not_running", "en") in capsys.readouterr().err
    assert await shown(tmp_path, HEAD, name="status") == 1
    assert words.title("unknown_request", "en") in capsys.readouterr().err
