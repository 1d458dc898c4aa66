"""gateway probe: registers in every type and order, on a phone's terminal."""

import struct
from collections.abc import Mapping
from pathlib import Path

import orjson
import pytest

from gateway.cli import endpoint
from gateway.cli.probe import EXIT_INTERRUPTED, Wanted, show, stretch
from gateway.protocols.modbus_pdu import Table
from gateway.south.jobs.ways import Way
from gateway.text import words
from tests.support.cable import Cable, JumpingClock, Slave

NINE = Way("rtu")
WORDS = struct.unpack(">8H", struct.pack(">ffff", 230.2, 50.02, -1.5, 1000.0))
METER = Slave({Table.INPUT: dict(enumerate(WORDS)), Table.COIL: {0: 1, 1: 0}}, texts=((0, b"Acme"), (1, b"X[1]")))


@pytest.fixture(autouse=True)
def _phone(monkeypatch: pytest.MonkeyPatch) -> None:
    """80 columns."""
    monkeypatch.setenv("COLUMNS", "80")


def hang(monkeypatch: pytest.MonkeyPatch, slaves: Mapping[int, Slave]) -> Cable:
    """Put a cable to every port."""
    cable = Cable(JumpingClock(), {NINE: slaves})
    monkeypatch.setattr(endpoint, "Lone", lambda _address, way, _clock: cable.opens(way))
    return cable


def wanted(tmp_path: Path, stretch_: str = "0-7", /, **options: object) -> Wanted:
    """Input registers of unit_id 1."""
    given = {"target": "/dev/cable", "unit_id": 1, "stretch": stretch_, "table": "input", "socket": tmp_path / "none"}
    return Wanted(**(given | options))  # type: ignore[arg-type]


def test_which_registers() -> None:
    """One or a range, in hex too."""
    assert stretch("0x46") == (0x46, 0x46)
    assert stretch("0x5B00-0x5B40") == (0x5B00, 0x5B40)
    for wrong in ("", "a", "5-4", "0-0x10000", "-1", "1-2-3"):
        with pytest.raises(ValueError, match=r"as in|0xFFFF"):
            stretch(wrong)


@pytest.mark.parametrize(
    ("lang", "said"),
    [
        ("en", ("Most sense: f32 ABCD, from even registers on", "It says of itself: Acme, X[1]")),
        ("vi", ("Hợp lý nhất: f32 ABCD, bắt đầu ở thanh ghi chẵn", "Thiết bị tự xưng: Acme, X[1]")),
    ],
)
def test_floats(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    lang: str,
    said: tuple[str, str],
) -> None:
    """Marked where they stand, every type in every order beside them, and within 80 columns."""
    hang(monkeypatch, {1: METER})
    assert show(wanted(tmp_path), lang, as_json=False) == 0
    out = capsys.readouterr().out
    for text in ("*230.2", "*50.02", "*-1.5", "*1000", "0x0007", "4366", *said):
        assert text in out
    for type_ in ("f32", "u32", "i32"):
        assert f"{type_} ABCD" in out
    assert all(order in out for order in ("CDAB", "BADC", "DCBA"))
    assert max(map(len, out.splitlines())) <= 80


def test_a_wide_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """All types in one table."""
    monkeypatch.setenv("COLUMNS", "180")
    hang(monkeypatch, {1: METER})
    show(wanted(tmp_path), "en", as_json=False)
    (head,) = [line for line in capsys.readouterr().out.splitlines() if "u32 DCBA" in line]
    assert "f32 ABCD" in head
    assert "i32 BADC" in head


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_a_phone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lang: str
) -> None:
    """60 columns: no number is cut."""
    monkeypatch.setenv("COLUMNS", "60")
    hang(monkeypatch, {1: METER})
    assert show(wanted(tmp_path), lang, as_json=False) == 0
    out = capsys.readouterr().out
    assert "…" not in out
    assert out.count("0x0007") == 4  # what each register is alone, then f32, u32, i32
    assert max(map(len, out.splitlines())) <= 60


def test_a_table_that_is_refused_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said once, with what to try; no columns without a number."""
    hang(monkeypatch, {1: METER})
    assert show(wanted(tmp_path, "0-1", table="holding"), "en", as_json=False) == 1
    out = capsys.readouterr().out
    assert "All refused: try --table coil or discrete or input." in out
    assert out.count("exc. 2") == 2
    assert "f32" not in out


def test_bits_are_not_read_as_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two coils make no u32 that makes sense."""
    hang(monkeypatch, {1: METER})
    show(wanted(tmp_path, "0-1", table="coil"), "en", as_json=False)
    assert "Most sense" not in capsys.readouterr().out


def test_holes_and_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What is refused stands in its place."""
    hang(monkeypatch, {1: METER})
    assert show(wanted(tmp_path, "6-9"), "en", as_json=False) == 0
    assert capsys.readouterr().out.count("exc. 2") == 2 * 3  # in each of the three tables
    assert show(wanted(tmp_path, "0-2", table="coil"), "en", as_json=False) == 0
    out = capsys.readouterr().out
    for text in ("on", "off", "refused: exception 2"):
        assert text in out


def test_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """The registers as they came."""
    hang(monkeypatch, {1: METER})
    assert show(wanted(tmp_path, "6-8"), "en", as_json=True) == 0
    told = orjson.loads(capsysbinary.readouterr().out)
    assert told["words"] == {"6": WORDS[6], "7": WORDS[7]}
    assert told["refused"] == {"8": 2}
    assert told["says"] == [[0, "Acme"], [1, "X[1]"]]
    assert told["ended"] is None


def test_nobody_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1, with the reason."""
    hang(monkeypatch, {})
    assert show(wanted(tmp_path), "vi", as_json=False) == 1
    assert words.title("no_reply", "vi") in capsys.readouterr().out


@pytest.mark.parametrize("options", [{"stretch": "x"}, {"line": "fast"}])
def test_wrong_arguments(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: dict[str, object]) -> None:
    """Exit 2."""
    assert show(wanted(tmp_path, "0-7", **options), "en", as_json=False) == 2
    assert capsys.readouterr().err


def test_a_port_that_cannot_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 1, with the cause."""
    hang(monkeypatch, {}).cannot = lambda _: "in use"
    assert show(wanted(tmp_path), "en", as_json=False) == 1
    assert "in use" in capsys.readouterr().err


def test_stopped_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C: exit 130, the port closed."""

    def interrupt(_: bytes) -> bytes:
        raise KeyboardInterrupt

    slave = Slave()
    slave.answer = interrupt  # type: ignore[method-assign, assignment]
    cable = hang(monkeypatch, {1: slave})
    assert show(wanted(tmp_path), "en", as_json=False) == EXIT_INTERRUPTED
    assert all(stream.closed for stream in cable.streams)
