"""gateway ioc ingest | audit | command: exit statuses and what is said, with real files and the embedded store."""

import asyncio
from io import StringIO
from pathlib import Path

import orjson
import pytest

from gateway.app import ingest as worker
from gateway.cli import ioc
from gateway.config.ioc import IocSettings
from gateway.errors import ConnectionLost, GatewayError, Refused
from gateway.ioc import commander
from gateway.ioc.commander import GatewayOffline, NoOutcome
from gateway.ioc.store.sqlite import SqliteStore
from gateway.model import UtcMs
from gateway.seams import Broker
from gateway.text import words
from gateway.wire import line_protocol
from gateway.wire.command import Command, Outcome
from gateway.wire.topic import Topics
from tests.support.cabinet import ioc_text
from tests.support.ioc import EPOCH, GATEWAY, make_batch
from tests.support.servers import free_port
from tests.support.written import line_of, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """ioc.toml with the embedded store."""
    return write(tmp_path / "ioc.toml", ioc_text(1883, tmp_path))


def stored(folder: Path, *seqs: int) -> None:
    """Ledger points of these batches."""

    async def put() -> None:
        store = SqliteStore(folder / "store.db")
        await store.write([line_protocol.batch_point(make_batch(seq), 0) for seq in seqs], "ns")
        await store.close()

    asyncio.run(put())


def audited(path: Path, gateway: str | None = None, lang: str = "en") -> tuple[int, str]:
    """Exit status and what was printed."""
    out = StringIO()
    return ioc.audit(path, ioc.Look(gateway), out, lang), out.getvalue()


def test_all_is_stored(path: Path) -> None:
    """Exit 0, and the proof."""
    stored(path.parent, 1, 2, 3)
    code, said = audited(path)
    assert code == 0
    assert f"{GATEWAY} {EPOCH}: issued 3: stored 3" in said
    assert audited(path, GATEWAY) == (0, said)


def test_a_hole_is_exit_1(path: Path) -> None:
    """Named."""
    stored(path.parent, 1, 3)
    code, said = audited(path)
    assert code == 1
    assert "ALARM unexplained: 2" in said


def test_a_gateway_that_nobody_knows_is_no_proof(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A slip in `--gateway` must not look like success."""
    stored(path.parent, 1)
    assert audited(path, "hc-9999") == (2, "")
    assert capsys.readouterr().err == "nothing is known of hc-9999\n"


@pytest.mark.parametrize("lang", words.LANGUAGES)
@pytest.mark.parametrize("away", ["file", "influx"])
def test_a_store_that_is_away_is_exit_3(
    tmp_path: Path, away: str, lang: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what to do, and no file made by asking."""
    store = "" if away == "file" else f'url = "http://127.0.0.1:{free_port()}"'
    path = write(tmp_path / "ioc.toml", ioc_text(1883, tmp_path, store))
    assert audited(path, lang=lang) == (3, "")
    said = capsys.readouterr().err
    assert said.startswith(words.title("store_busy", lang))
    assert words.next_step("store_busy", lang) in said
    assert [file.name for file in tmp_path.iterdir()] == ["ioc.toml"]


def test_a_store_that_is_no_database_is_exit_3(path: Path) -> None:
    """Garbage where the store should be."""
    (path.parent / "store.db").write_bytes(b"garbage" * 1000)
    assert audited(path) == (3, "")


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_a_wrong_file_is_exit_2_for_both(tmp_path: Path, lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every problem with its place and next step; no worker is started."""
    text = 'colour = 1\nroot = "A B"\n' + ioc_text(1883, tmp_path).replace("mqtt://", "http://")
    path = write(tmp_path / "ioc.toml", text)
    path.write_text(text.replace("colour = 1\n", ""))
    assert audited(path, lang=lang) == (2, "")
    said = capsys.readouterr().err
    text = path.read_text()
    assert f"{path}:{line_of(text, 'root')}: root\n" in said
    assert f"{path}:{line_of(text, 'http')}: broker.url\n" in said
    assert said.count(f"-> {words.next_step('bad_value', lang)}") == 2
    assert ioc.ingest(path, "ingest-1", lang) == 2
    assert capsys.readouterr().err == said


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same, at its first line."""
    assert ioc.ingest(tmp_path / "none.toml", "ingest-1") == 2
    assert capsys.readouterr().err.startswith(f"{tmp_path}/none.toml:1:\n")


def test_a_good_file_starts_the_worker(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its settings and its name; its exit status is ours."""
    started: list[tuple[str, str]] = []

    def run(settings: IocSettings, name: str) -> int:
        started.append((settings.store.url, name))
        return 0

    monkeypatch.setattr(worker, "main", run)
    assert ioc.ingest(path, "ingest-7") == 0
    assert started == [(f"sqlite:{path.parent}/store.db", "ingest-7")]


# --- command ----------------------------------------------------------------------------------------------------------


def order(*arguments: str, gateway: str = "hc-0001", name: str = "write", command_id: str = "") -> ioc.Order:
    """As it was typed."""
    return ioc.Order(gateway, name, arguments, command_id)


def sent(path: Path, asked: ioc.Order, lang: str = "en") -> tuple[int, str]:
    """Exit status and what was printed."""
    out = StringIO()
    return ioc.command(path, asked, out, lang), out.getvalue()


def answered(monkeypatch: pytest.MonkeyPatch, outcome: Outcome | GatewayError) -> list[Command]:
    """A gateway that answers so; what it was sent."""
    commands: list[Command] = []

    async def send(_connect: object, broker: Broker, topics: Topics, command: Command, patience_s: float) -> Outcome:
        assert broker.client_id.startswith("operator-")
        assert (topics.command, patience_s) == ("city/hc-0001/down/command", 90.0)
        commands.append(command)
        if isinstance(outcome, GatewayError):
            raise outcome
        return outcome

    monkeypatch.setattr(commander, "send", send)
    return commands


def test_a_command_goes_out_and_its_outcome_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers as numbers, words as words; an id, an expiry; what was read back."""
    commands = answered(monkeypatch, Outcome("c-1", ok=True, code="ok", value=0.25))
    assert sent(path, order("device=level-1", "field=mode", "value=0.25")) == (0, "c-1: Done, = 0.25\n")
    (command,) = commands
    assert command.arguments == {"device": "level-1", "field": "mode", "value": 0.25}
    assert command.id.startswith("c-")
    assert command.expires > UtcMs(1_700_000_000_000)


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_an_outcome_that_is_not_ok_is_exit_1(path: Path, lang: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Why, and what it was the first time."""
    answered(monkeypatch, Outcome("c-1", ok=False, code="repeated", detail="x", value=True, was="not_confirmed"))
    code, said = sent(path, order(command_id="c-1"), lang)
    assert code == 1
    assert words.title("repeated", lang) in said
    assert words.title("not_confirmed", lang) in said
    assert "= true" in said
    assert words.next_step("repeated", lang) in said


@pytest.mark.parametrize("lang", words.LANGUAGES)
@pytest.mark.parametrize("error", [GatewayOffline("hc-0001"), NoOutcome("x"), ConnectionLost("x"), Refused(135, "x")])
def test_no_outcome_is_exit_3(
    path: Path, lang: str, error: GatewayError, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the id, by which what became of it can be asked."""
    answered(monkeypatch, error)
    assert sent(path, order(command_id="c-7"), lang) == (3, "")
    err = capsys.readouterr().err
    assert err.startswith("c-7: ")
    assert words.title(error.code, lang) in err


@pytest.mark.parametrize(
    "asked",
    [
        order(gateway="HC 1"),
        order(name="Write"),
        order("device"),
        order("=1"),
        order(command_id="a b"),
        order("value=" + "x" * 17_000),
    ],
)
def test_what_no_gateway_would_read_is_not_sent(path: Path, asked: ioc.Order) -> None:
    """Exit 2."""
    assert sent(path, asked) == (2, "")


def test_a_command_needs_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, with its problems."""
    assert sent(tmp_path / "none.toml", order()) == (2, "")
    assert words.title("file_unreadable", "en") in capsys.readouterr().err


def test_an_audit_for_programs_and_of_a_time(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both completenesses by their names; null is not told; a time that is none is exit 2."""
    stored(path.parent, 1, 3)
    out = StringIO()
    assert ioc.audit(path, ioc.Look(json=True), out) == 1
    (one,) = orjson.loads(out.getvalue())["gateways"]
    assert (one["gateway"], one["measurement_completeness"], one["told_ms"]) == (GATEWAY, None, 0)
    assert (one["delivery_completeness"], one["batches_known"], one["batches_issued"]) == (2 / 3, 2, 3)
    assert one["epochs"][0]["unexplained"] == [[2, 2]]
    assert ioc.audit(path, ioc.Look(from_="yesterday"), StringIO(), "vi") == 2
    assert "không phải thời gian" in capsys.readouterr().err


def test_an_audit_in_vietnamese(path: Path) -> None:
    """Every sentence of it."""
    stored(path.parent, 1, 3)
    code, said = audited(path, lang="vi")
    assert code == 1
    assert "đã phát 3: đã lưu 2" in said
    assert "CẢNH BÁO không giải thích được: 2" in said
    assert "KHÔNG GIẢI THÍCH ĐƯỢC 1" in said
