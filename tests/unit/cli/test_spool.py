"""gateway spool status | verify | export | renew, and gateway ioc import: what is said, exit statuses, width."""

import asyncio
import sqlite3
import sys
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

import orjson
import pytest

from gateway.app import spool_requests
from gateway.cli import ioc, lasting, spool
from gateway.cli.spool import Asked, BadWords, Where, wanted_of
from gateway.control.server import Handler
from gateway.model import BatchId, SeqRanges
from gateway.spool.export import ALL, PARKED, PENDING
from gateway.spool.lock import Lock
from gateway.spool.migrate import word_of
from gateway.text import words
from gateway.wire.documents import NorthStatus, SouthStatus, Status, encode_status
from tests.support.cabinet import ioc_text
from tests.support.daemon import daemon, says
from tests.support.failing_disk import FailingDisk
from tests.support.spools import GATEWAY, Box
from tests.support.written import write

COLUMNS = 60


@pytest.fixture
async def box(tmp_path: Path) -> Box:
    """Six batches: two have their receipt, one is parked; still open."""
    box = Box(tmp_path / "spool")
    opened = await box.start()
    for level in range(5):
        await box.measure(level)
    opened.settle(opened.epoch, SeqRanges.of([(2, 3)]))
    await opened.park(BatchId(GATEWAY, opened.epoch, 5), "schema")
    await opened.tick()
    return box


@pytest.fixture
async def closed(box: Box) -> Box:
    """The same, its daemon stopped."""
    await box.spool.close()
    return box


def alone(box: Box) -> Where:
    """Nobody answers: the folder."""
    return Where(box.folder / "nothing.sock", box.folder)


def answers(box: Box) -> Mapping[str, Handler]:
    """A gateway with this spool."""
    status = Status(
        GATEWAY, "1.0.0", box.boot, box.clock.utc_ms(), "ntp", online=False, south=SouthStatus(),
        spool=box.spool.status, north=NorthStatus(False, "x:1", 0, 0, None, "receipt"),
    )  # fmt: skip
    return {**spool_requests.handlers(box.spool), "status": says(orjson.loads(encode_status(status)))}


def fits(said: str) -> bool:
    """On a phone beside a cabinet."""
    return all(len(line) <= COLUMNS for line in said.splitlines())


@pytest.mark.parametrize("lang", words.LANGUAGES)
async def test_the_status_of_a_box_that_runs(box: Box, tmp_path: Path, lang: str) -> None:
    """What waits and since when, how long an outage may last, how far back the archive reaches."""
    out = StringIO()
    async with daemon(tmp_path / "control.sock", answers(box)):
        assert await asyncio.to_thread(spool.status, Where(tmp_path / "control.sock"), lang, out) == 0
    said, text = out.getvalue(), spool.TEXTS[lang]
    assert fits(said)
    assert f"{GATEWAY}: 4 {text['waits']}" in said
    assert f"{text['epoch']} epoch1  1-6" in said
    assert f"{text['pending']} 4  {text['parked']} 1" in said
    left_ms = box.spool.status.outage_left_ms
    assert left_ms is not None
    assert lasting.lasting(left_ms, lang) in said
    await box.spool.close()


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_the_status_of_one_that_does_not(closed: Box, lang: str) -> None:
    """What its disk says, and that it was the disk that said it."""
    out = StringIO()
    assert spool.status(alone(closed), lang, out) == 0
    assert out.getvalue().startswith(spool.TEXTS[lang]["alone"])
    assert f"{GATEWAY}: 4 {spool.TEXTS[lang]['waits']}" in out.getvalue()
    assert fits(out.getvalue())


def test_the_status_for_programs(closed: Box) -> None:
    """JSON: the document where one runs, and the epochs."""
    out = StringIO()
    assert spool.status(alone(closed), "en", out, as_json=True) == 0
    said = orjson.loads(out.getvalue())
    assert said["status"] is None
    assert [(epoch["epoch"], epoch["kept"], epoch["pending"]) for epoch in said["epochs"]] == [("epoch1", 6, 4)]


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_one_that_is_held_is_exit_4(closed: Box, lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By whom, and what to do; nothing is touched."""
    lock = Lock(closed.folder)
    for act in (spool.status, spool.verify):
        assert act(alone(closed), lang, StringIO()) == 4
    assert spool.export(alone(closed), closed.folder / "x.jsonl", Asked(), lang, StringIO()) == 4
    assert spool.renew(alone(closed), lang, StringIO(), sure=True) == 4
    err = capsys.readouterr().err
    assert err.count(words.next_step("spool_in_use", lang)) == 4
    assert not (closed.folder / "x.jsonl").exists()
    lock.release()


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_where_there_is_none_it_is_said(tmp_path: Path, lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1, with the option to name another folder."""
    assert spool.status(Where(tmp_path / "s", tmp_path), lang, StringIO()) == 1
    assert "--spool" in capsys.readouterr().err


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_one_of_a_newer_version_is_told_as_such(closed: Box, lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    """VER-1: what to install, and that nothing was changed."""
    db = sqlite3.connect(closed.folder / "spool.db")
    db.execute(f"PRAGMA user_version = {word_of(9)}")
    db.close()
    assert spool.verify(alone(closed), lang, StringIO()) == 1
    assert words.next_step("spool_newer_version", lang) in capsys.readouterr().err


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_a_whole_spool_is_exit_0(closed: Box, lang: str) -> None:
    """How many rows were looked at, and that they are whole."""
    out = StringIO()
    assert spool.verify(alone(closed), lang, out) == 0
    assert out.getvalue() == f"{spool.TEXTS[lang]['rows']}: 6\n{spool.TEXTS[lang]['whole']}\n"
    assert fits(out.getvalue())


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_a_damaged_one_is_exit_1(closed: Box, lang: str) -> None:
    """Which rows, and what becomes of them."""
    db = sqlite3.connect(closed.folder / "spool.db", isolation_level=None)
    db.execute("UPDATE batch SET body = x'00' WHERE seq IN (4, 6)")
    db.close()
    out = StringIO()
    assert spool.verify(alone(closed), lang, out) == 1
    text = spool.TEXTS[lang]
    assert f"{text['damaged']}: batch epoch1 4: row_crc\n" in out.getvalue()
    assert f"{text['damaged']}: 2\n" in out.getvalue()
    assert text["mend"] in out.getvalue()
    assert fits(out.getvalue())


@pytest.mark.parametrize("lang", words.LANGUAGES)
async def test_export_from_a_running_box_and_import_at_the_centre(box: Box, tmp_path: Path, lang: str) -> None:
    """EXP-1, IMP-1, IMP-2: the whole way by hand; the box goes on and still sends it; again is harmless."""
    out, stick = StringIO(), tmp_path / "usb" / "batches.jsonl"
    stick.parent.mkdir()
    async with daemon(tmp_path / "control.sock", answers(box)):
        where = Where(tmp_path / "control.sock")
        assert await asyncio.to_thread(spool.export, where, stick, Asked(), lang, out) == 0
        text = spool.TEXTS[lang]
        assert out.getvalue() == f"4 {text['exported']}\n{stick}\n{text['still']}\n"
        assert await asyncio.to_thread(spool.export, where, stick, Asked(), lang, StringIO()) == 2
    assert box.spool.status.pending == 4
    centre = write(tmp_path / "ioc.toml", ioc_text(1883, tmp_path))
    for told in (("new 4", "known 0"), ("new 0", "known 4")):
        out = StringIO()
        assert await asyncio.to_thread(ioc.import_files, centre, [stick], out, "en") == 0
        assert f"batches.jsonl: {told[0]}, {told[1]}, refused 0" in out.getvalue()
        assert fits(out.getvalue())
    await box.spool.close()


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_what_is_left_out_is_told(closed: Box, tmp_path: Path, lang: str) -> None:
    """Exit 1 when something that waits could not be read."""
    db = sqlite3.connect(closed.folder / "spool.db", isolation_level=None)
    db.execute("UPDATE batch SET body = x'00' WHERE seq = 4")
    db.close()
    out = StringIO()
    assert spool.export(alone(closed), tmp_path / "x.jsonl", Asked(), lang, out) == 1
    assert f"1 {spool.TEXTS[lang]['bad']}" in out.getvalue()
    assert len((tmp_path / "x.jsonl").read_bytes().splitlines()) == 3


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_rows_that_are_still_in_a_damaged_file(closed: Box, lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a daemon nothing fetches them: said, before anything else."""
    (closed.folder / "salvaging.db").touch()
    assert spool.verify(alone(closed), lang, StringIO()) == 0
    assert capsys.readouterr().err == spool.TEXTS[lang]["salvaging"] + "\n"
    assert all(fits(text) for text in spool.TEXTS[lang].values())


@pytest.mark.parametrize("lang", words.LANGUAGES)
async def test_what_a_ring_took_with_it(
    box: Box, tmp_path: Path, lang: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """RING-7: said at every look until the daemon has named it; a look leaves the note as it is, renewing too."""
    disk = FailingDisk()
    with disk.patched():
        disk.failing = True
        await box.measure()
        await box.spool.close()
    note = (box.folder / "spool.ring").read_bytes()
    said = f"2 {spool.TEXTS[lang]['died']}\n"
    for look in (
        lambda: spool.status(alone(box), lang, StringIO()),
        lambda: spool.verify(alone(box), lang, StringIO()),
        lambda: spool.export(alone(box), tmp_path / "x.jsonl", Asked(), lang, StringIO()),
    ):
        assert await asyncio.to_thread(look) == 0
        assert capsys.readouterr().err == said
    assert await asyncio.to_thread(spool.renew, alone(box), lang, StringIO(), sure=True) == 0
    assert (box.folder / "spool.ring").read_bytes() == note
    capsys.readouterr()
    await box.start()
    await box.spool.tick()
    await box.spool.close()
    assert await asyncio.to_thread(spool.status, alone(box), lang, StringIO()) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("lang", words.LANGUAGES)
async def test_what_a_failing_disk_holds_is_not_here(
    tmp_path: Path, lang: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ring is exported, and it is said that this is not all."""
    (tmp_path / "spool").write_text("no folder")
    box = Box(tmp_path / "spool")
    await box.start()
    await box.measure()
    async with daemon(tmp_path / "control.sock", answers(box)):
        where = Where(tmp_path / "control.sock")
        assert await asyncio.to_thread(spool.export, where, tmp_path / "x.jsonl", Asked(), lang, StringIO()) == 0
        assert await asyncio.to_thread(spool.renew, where, lang, StringIO(), sure=True) == 1
    err = capsys.readouterr().err
    assert err.startswith(spool.TEXTS[lang]["ring"] + "\n")
    assert words.next_step("spool_failed", lang) in err
    await box.spool.close()


def test_nothing_to_export_makes_no_file(closed: Box, tmp_path: Path) -> None:
    """Exit 0, and words."""
    out = StringIO()
    assert spool.export(alone(closed), tmp_path / "x.jsonl", Asked(epoch="other"), "en", out) == 0
    assert out.getvalue() == "Nothing to export.\n"
    assert not (tmp_path / "x.jsonl").exists()


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_a_stick_that_is_not_there(closed: Box, tmp_path: Path, lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1, and what to look at."""
    assert spool.export(alone(closed), tmp_path / "usb" / "x.jsonl", Asked(), lang, StringIO()) == 1
    assert words.next_step("export_failed", lang) in capsys.readouterr().err


@pytest.mark.parametrize(
    "asked",
    [Asked(since="yesterday"), Asked(until="2026-13-01"), Asked(seqs="a"), Asked(seqs="9-3"), Asked(seqs="1,,2")],
)
@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_words_that_cannot_be_read_are_exit_2(closed: Box, asked: Asked, lang: str, tmp_path: Path) -> None:
    """Before anything is opened."""
    assert spool.export(alone(closed), tmp_path / "x.jsonl", asked, lang, StringIO()) == 2
    with pytest.raises(BadWords):
        wanted_of(asked, spool.TEXTS[lang])


def test_what_was_typed_is_what_is_wanted() -> None:
    """A day alone is all of that day; a zone may be named; ranges are closed."""
    text = spool.TEXTS["en"]
    wanted = wanted_of(Asked("2026-11-24T00:00:00+07:00", "2026-11-24T08:30:00Z", "k3v9x2", "12-40, 77"), text)
    assert (wanted.from_ms, wanted.to_ms) == (1_795_453_200_000, 1_795_509_000_000)
    assert (wanted.kind, wanted.epoch, wanted.seqs) == (PENDING, "k3v9x2", SeqRanges.of([(12, 40), (77, 77)]))
    day = wanted_of(Asked("2026-11-24", "2026-11-24", parked=True), text)
    assert day.from_ms is not None
    assert day.to_ms is not None
    assert day.to_ms - day.from_ms == 86_399_999
    assert day.kind == PARKED
    assert wanted_of(Asked(everything=True), text).kind == ALL


def test_renew_says_both_epochs(closed: Box) -> None:
    """Exit 0."""
    out = StringIO()
    assert spool.renew(alone(closed), "en", out, sure=True) == 0
    assert out.getvalue().startswith("New epoch: ")
    assert out.getvalue().endswith("(before: epoch1)\n")


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_renew_asks_first(closed: Box, lang: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal; anything but yes leaves all as it was; without a terminal nothing is done."""
    text = spool.TEXTS[lang]
    assert fits(text["sure"])
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    assert spool.renew(alone(closed), lang, StringIO(), sure=False) == 2
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    for answer, code in (("", 1), ("x", 1), (text["yes"].upper(), 0)):
        monkeypatch.setattr("builtins.input", lambda _, answer=answer: answer)
        assert spool.renew(alone(closed), lang, StringIO(), sure=False) == code


@pytest.mark.parametrize(
    ("ms", "en"),
    [(0, "0 seconds"), (119_999, "119 seconds"), (120_000, "2 minutes"), (7_199_999, "119 minutes"),
     (172_799_999, "47 hours"), (172_800_000, "2 days"), (41.7 * 86_400_000, "41 days")],
)  # fmt: skip
def test_lengths_of_time(ms: float, en: str) -> None:
    """Rounded down, in the largest unit of which there are two."""
    assert lasting.lasting(ms, "en") == en
    assert lasting.lasting(2 * 86_400_000, "vi") == "2 ngày"


def test_both_languages_say_all() -> None:
    """The same entries."""
    assert spool.TEXTS["en"].keys() == spool.TEXTS["vi"].keys()


# --- import -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_what_an_import_refuses_is_exit_1(
    closed: Box, tmp_path: Path, lang: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """IMP-3: by file and line, with what to do; a file that cannot be read stops no other."""
    stick = tmp_path / "stick.jsonl"
    spool.export(alone(closed), stick, Asked(), "en", StringIO())
    stick.write_bytes(stick.read_bytes() + b"garbage\n")
    centre = write(tmp_path / "ioc.toml", ioc_text(1883, tmp_path))
    out = StringIO()
    assert ioc.import_files(centre, [tmp_path / "none.jsonl", stick], out, lang) == 1
    assert words.next_step("import_damaged", lang) in out.getvalue()
    assert " 5: " in out.getvalue()
    assert words.next_step("import_unreadable", lang) in capsys.readouterr().err


def test_an_import_without_a_store_is_exit_3(tmp_path: Path) -> None:
    """Nothing was decided."""
    centre = write(tmp_path / "ioc.toml", ioc_text(1883, tmp_path, 'url = "http://127.0.0.1:9"'))
    assert ioc.import_files(centre, [tmp_path / "none.jsonl"], StringIO(), "en") == 3


def test_an_import_with_a_wrong_file_is_exit_2(tmp_path: Path) -> None:
    """Its problems are told."""
    assert ioc.import_files(tmp_path / "none.toml", [], StringIO(), "en") == 2
