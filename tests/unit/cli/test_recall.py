"""gateway ioc recall: exit statuses and what is said, with real files and store, and a gateway that is played."""

import asyncio
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path
from threading import Thread

import pytest

from gateway.cli import recall as recalls
from gateway.errors import ConnectionLost
from gateway.ioc.errand import Errand
from gateway.ioc.recaller import Recaller
from gateway.ioc.store.sqlite import SqliteStore
from gateway.model import BootMs, SeqRanges, UtcMs
from gateway.text import words
from gateway.wire import line_protocol
from gateway.wire.command import Outcome, Resent
from tests.support.cabinet import ioc_text
from tests.support.ioc import EPOCH, GATEWAY, T0, make_batch
from tests.support.written import write

Played = Callable[[Errand, BootMs], None]
NOTHING = SeqRanges()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """ioc.toml with the embedded store; of batches 1 to 10, 4 to 7 are missing."""
    store(tmp_path, 1, 2, 3, 8, 9, 10)
    return write(tmp_path / "ioc.toml", ioc_text(1883, tmp_path))


def store(folder: Path, *seqs: int) -> None:
    """Ledger points, a minute apart."""

    async def put() -> None:
        made = SqliteStore(folder / "store.db")
        batches = [make_batch(seq, t0=T0 + 60_000 * seq) for seq in seqs]
        await made.write([line_protocol.batch_point(batch, 0) for batch in batches], "ns")
        await made.close()

    asyncio.run(put())


def run(path: Path, lang: str = "en", **options: object) -> tuple[int, str]:
    """Exit status and what was printed."""
    out = StringIO()
    named = {"gateway": None, "from_": "", "to": "", "lasts_s": 60, "missing": False} | options
    return recalls.recall(path, recalls.Wanted(**named), out, lang), out.getvalue()  # type: ignore[arg-type]


def play(monkeypatch: pytest.MonkeyPatch, gateway: Played) -> list[Errand]:
    """Every recall is answered so; the errands that were run."""
    ran: list[Errand] = []

    async def played(self: Recaller, errands: Sequence[Errand], until: BootMs, expires: UtcMs) -> None:
        assert until < expires
        for errand in errands:
            ran.append(errand)
            errand.said(BootMs(0), online=True, recalling=0)
            gateway(errand, BootMs(0))
        self._tell(errands)

    monkeypatch.setattr(Recaller, "run", played)
    return ran


def test_all_comes_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 0; the plan and the result are said."""

    def gateway(errand: Errand, now: BootMs) -> None:
        store(path.parent, 4, 5, 6, 7)
        errand.due("a", now)
        errand.answered(Outcome("a", ok=True, code="ok", resent=Resent(4, NOTHING, 0)), now)
        errand.stored(EPOCH, SeqRanges(((1, 10),)), now)

    ran = play(monkeypatch, lambda errand, now: _in_thread(gateway, errand, now))
    code, said = run(path, missing=True)
    assert code == 0, said
    assert ran[0].wanted == {EPOCH: SeqRanges(((4, 7),))}
    assert f"{GATEWAY}: 4 batches asked for, 4 of them missing in the store: {EPOCH} 4-7" in said
    assert "back 4 of 4 missing, no longer kept 0, still out 0 (online)" in said
    assert said.endswith("Back in the store: 4.\n")


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_what_stays_away_is_exit_1(path: Path, lang: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named, as far as a page goes."""

    def gateway(errand: Errand, now: BootMs) -> None:
        errand.due("a", now)
        errand.answered(Outcome("a", ok=False, code="unknown_command"), now)

    play(monkeypatch, gateway)
    code, said = run(path, lang, missing=True)
    assert code == 1
    assert recalls.TEXTS[lang]["left"].format(4) in said
    assert f"  {GATEWAY} {EPOCH}: 4-7\n" in said
    assert "unknown_command" in said


def test_by_time_what_is_stored_is_asked_for_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger may stand where the rows are gone."""

    def gateway(errand: Errand, now: BootMs) -> None:
        errand.due("a", now)
        errand.answered(Outcome("a", ok=True, code="ok", resent=Resent(1, SeqRanges(((4, 7),)), 4)), now)

    ran = play(monkeypatch, gateway)
    code, said = run(path, gateway=GATEWAY, from_="2026-11-24T12:02:30Z", to="2026-11-24T12:08:30Z")
    assert ran[0].wanted == {EPOCH: SeqRanges(((2, 9),))}
    assert ran[0].missed == 4
    assert code == 0
    assert "No longer kept on the boxes: 4" in said


def test_by_time_what_an_old_status_calls_pending_is_asked_for_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have been settled since and then lost: nothing else would bring it back, and exit 0 would be untrue."""
    epochs = [{"epoch": EPOCH, "first_kept": 1, "last": 10, "pending": [[5, 5]], "parked": []}]
    line = line_protocol.status_point(GATEWAY, {"online": True, "epochs": epochs}, T0)

    async def put() -> None:
        made = SqliteStore(path.parent / "store.db")
        await made.write([line], "ns")
        await made.close()

    asyncio.run(put())
    ran = play(monkeypatch, lambda _errand, _now: None)
    code, _ = run(path, gateway=GATEWAY, from_="2026-11-24T12:02:30Z", to="2026-11-24T12:08:30Z")
    assert [errand.wanted for errand in ran] == [{EPOCH: SeqRanges(((2, 9),))}]
    assert ran[0].missed == 4
    assert code == 1


def test_nothing_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 0, and nobody is asked."""
    store(tmp_path, 1, 2, 3)
    path = write(tmp_path / "ioc.toml", ioc_text(1883, tmp_path))
    ran = play(monkeypatch, lambda _errand, _now: None)
    assert run(path, missing=True) == (0, "Nothing to recall: no batch is unexplained.\n")
    assert ran == []


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"gateway": GATEWAY},
        {"gateway": GATEWAY, "from_": "2026-11-24"},
        {"from_": "2026-11-24", "to": "2026-11-25"},
        {"missing": True, "gateway": GATEWAY, "from_": "2026-11-24", "to": "2026-11-25"},
        {"gateway": GATEWAY, "from_": "yesterday", "to": "2026-11-25"},
        {"gateway": GATEWAY, "from_": "2026-11-25", "to": "2026-11-24"},
        {"missing": True, "gateway": "hc-9999"},
    ],
)
def test_wrong_words_are_exit_2(path: Path, options: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a question is none; a slip in a name is no proof that nothing is missing."""
    ran = play(monkeypatch, lambda _errand, _now: None)
    assert run(path, "en", **options)[0] == 2
    assert ran == []


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_broker_or_store_away_is_exit_3(
    path: Path, lang: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what to do, and no store made by asking."""

    async def away(*_: object) -> None:
        raise ConnectionLost("connection refused")

    monkeypatch.setattr(Recaller, "run", away)
    assert run(path, lang, missing=True)[0] == 3
    assert words.title("connection_lost", lang) in capsys.readouterr().err
    (path.parent / "store.db").unlink()
    assert run(path, lang, missing=True)[0] == 3
    assert not (path.parent / "store.db").exists()


def test_ctrl_c_says_that_the_boxes_go_on(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 130."""

    async def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Recaller, "run", stopped)
    assert run(path, missing=True)[0] == 130
    assert "go on" in capsys.readouterr().err


def test_a_wrong_file_is_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its problems."""
    assert run(tmp_path / "none.toml", missing=True) == (2, "")
    assert words.title("file_unreadable", "en") in capsys.readouterr().err


def _in_thread(step: Played, errand: Errand, now: BootMs) -> None:
    """A step that runs a loop of its own, from within one."""
    thread = Thread(target=step, args=(errand, now))
    thread.start()
    thread.join()
