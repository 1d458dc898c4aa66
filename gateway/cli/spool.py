"""gateway spool status | verify | export | renew: what the box keeps, for whoever stands in front of it.

Asked of the running gateway, or, where none runs, of the folder itself (`gateway.app.spool_access`).
"""

import asyncio
import re
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, time
from pathlib import Path
from typing import Any, TextIO

import orjson

from gateway.app.export_file import ExportExists, ExportFile
from gateway.app.spool_access import Access, Local, found
from gateway.cli.endpoint import told
from gateway.cli.lasting import lasting
from gateway.cli.progress import bar
from gateway.control.client import NoAccess
from gateway.errors import GatewayError, SpoolInUse
from gateway.model import SeqRanges, UtcMs
from gateway.spool.export import ALL, PARKED, PENDING, Wanted
from gateway.spool.report import EpochReport, Report

FAILED, WRONG_USE, NO_ACCESS, IN_USE = 1, 2, 3, 4
FINDINGS_SHOWN = 20
RANGE = re.compile(r"(\d{1,15})(?:-(\d{1,15}))?")
TEXTS = {
    "en": {
        "alone": "The gateway does not run: its disk is read.",
        "waits": "wait for the centre", "oldest": "oldest", "left": "outage left", "archive": "archive",
        "size": "on disk", "unknown": "not known yet", "none": "none", "ring": "DISK FAILS, readings are in memory",
        "epoch": "epoch", "kept": "kept", "pending": "wait", "parked": "parked", "stranger": "of gateway",
        "rows": "rows looked at", "whole": "Whole: every row is what was written.", "damaged": "damaged",
        "more": "more", "mend": "The gateway names what is lost by a gap.\nReplace the SD card if it comes again.",
        "exported": "batches in", "undated": "without a time yet, left out", "bad": "damaged, left out",
        "unfetched": "still in a damaged file, left out: try again",
        "salvaging": "A damaged file is still being taken over:\nstart the gateway, else its rows are missing here.",
        "died": "lost in memory when the gateway ended while its disk\n"
        "failed or was full: the centre is told at the next start.",
        "still": "They still wait here, and are sent too.", "nothing": "Nothing to export.",
        "exporting": "exporting", "verifying": "verifying",
        "renewed": "New epoch", "before": "before",
        "sure": "Only after an old copy of the card was used,\n"
        "or when the centre asks for it. Begin a new epoch? [y/N] ",
        "yes": "y", "kept_epoch": "Nothing was changed.", "terminal": "No terminal: say --yes.",
        "bad_time": "not a time, as 2026-11-24 or 2026-11-24T08:30", "bad_seqs": "not numbers, as 12 or 12-40,77",
    },
    "vi": {
        "alone": "Gateway không chạy: đọc thẳng từ đĩa.",
        "waits": "lô chờ trung tâm", "oldest": "cũ nhất", "left": "chịu mất mạng thêm", "archive": "lưu trữ",
        "size": "trên đĩa", "unknown": "chưa biết", "none": "không có", "ring": "ĐĨA LỖI, số liệu nằm trong bộ nhớ",
        "epoch": "epoch", "kept": "đang giữ", "pending": "chờ", "parked": "gác lại", "stranger": "của gateway",
        "rows": "số dòng đã kiểm tra", "whole": "Nguyên vẹn: mọi dòng đúng như lúc ghi.", "damaged": "hỏng",
        "more": "dòng nữa", "mend": "Gateway sẽ khai báo phần mất bằng một gap.\nThay thẻ SD nếu còn lặp lại.",
        "exported": "lô trong tệp", "undated": "chưa có giờ, bỏ qua", "bad": "hỏng, bỏ qua",
        "unfetched": "còn trong tệp hỏng, bỏ qua: hãy thử lại",
        "salvaging": "Một tệp hỏng còn đang được chuyển dần sang:\nhãy chạy gateway, nếu không sẽ thiếu dòng ở đây.",
        "died": "lô đã mất trong bộ nhớ khi gateway dừng lúc đĩa lỗi\nhoặc đầy: trung tâm sẽ được báo ở lần chạy tới.",
        "still": "Chúng vẫn chờ ở đây và vẫn sẽ được gửi.", "nothing": "Không có gì để xuất.",
        "exporting": "đang xuất", "verifying": "đang kiểm tra",
        "renewed": "Epoch mới", "before": "trước đó",
        "sure": "Chỉ làm sau khi một bản sao cũ của thẻ bị dùng lại,\nhoặc khi trung tâm yêu cầu. Mở epoch mới? [c/K] ",
        "yes": "c", "kept_epoch": "Chưa thay đổi gì.", "terminal": "Không phải terminal: thêm --yes.",
        "bad_time": "không phải thời gian, ví dụ 2026-11-24 hoặc 2026-11-24T08:30",
        "bad_seqs": "không phải số thứ tự, ví dụ 12 hoặc 12-40,77",
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Where:
    """The running gateway's socket; `folder`: a spool to look at itself, whoever runs."""

    socket: Path
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What of the spool, as it was typed."""

    since: str = ""
    until: str = ""
    epoch: str = ""
    seqs: str = ""
    parked: bool = False
    everything: bool = False


class BadWords(GatewayError):
    """A time or numbers that cannot be read."""

    code = "bad_arguments"


def status(where: Where, lang: str, out: TextIO, *, as_json: bool = False) -> int:
    """What is kept, what waits, how long an outage may last. Exit 0, 3 for no access, 4 for a spool in use."""

    async def act(access: Access) -> int:
        document, report = await access.status(), await access.report()
        _warn_of_the_dead(access, _text(lang))
        if as_json:
            whole = {"status": document or None, "epochs": [asdict(epoch) for epoch in report.epochs]}
            out.write(orjson.dumps(whole, option=orjson.OPT_INDENT_2).decode() + "\n")
        else:
            out.writelines(f"{line}\n" for line in status_lines(document, report, lang))
        return 0

    return _run(where, act, lang)


def verify(where: Where, lang: str, out: TextIO) -> int:
    """Look at every row. Exit 0 when it is whole, 1 when something is damaged, 3 and 4 as `status`."""
    text = _text(lang)

    async def act(access: Access) -> int:
        await _warn(access, text)
        rows = damaged = 0
        after: int | None = 0
        with bar(text["verifying"]) as moved:
            while after is not None:
                page = await access.verify(after)
                rows, after = rows + page.rows, page.after
                shown = page.findings[: max(0, FINDINGS_SHOWN - damaged)]
                out.writelines(f"{text['damaged']}: {' '.join(filter(None, at))}: {what}\n" for *at, what in shown)
                damaged += len(page.findings)
                moved(rows, rows + page.left)
        if damaged > FINDINGS_SHOWN:
            out.write(f"… {damaged - FINDINGS_SHOWN} {text['more']}\n")
        out.write(f"{text['rows']}: {rows}\n")
        out.write(f"{text['damaged']}: {damaged}\n{text['mend']}\n" if damaged else f"{text['whole']}\n")
        return FAILED if damaged else 0

    return _run(where, act, lang)


def export(where: Where, path: Path, asked: Asked, lang: str, out: TextIO) -> int:
    """Into a new file. Exit 0; 1 when it could not be written; 2 for wrong words or a file that is there; 3, 4."""
    text = _text(lang)
    try:
        wanted = wanted_of(asked, text)
    except BadWords as error:
        print(told(error, lang), file=sys.stderr)
        return WRONG_USE

    async def act(access: Access) -> int:
        await _warn(access, text)
        counts: Counter[str] = Counter()
        total = 0
        after: int | None = 0
        with ExportFile(path) as file, bar(text["exporting"]) as moved:
            while after is not None:
                page = await access.export(wanted, after)
                file.add(page.lines)
                counts.update(exported=len(page.lines), undated=page.undated, bad=page.damaged)
                counts.update(unfetched=page.unfetched)
                after, total = page.after, max(total, page.left + 1)
                moved(total - page.left, total)
            if counts["exported"]:
                file.finish()
        out.writelines(f"{line}\n" for line in _exported(path, counts, text))
        return FAILED if counts["bad"] or counts["unfetched"] else 0

    return _run(where, act, lang)


def renew(where: Where, lang: str, out: TextIO, *, sure: bool) -> int:
    """A new epoch. Exit 0; 1 when it was not begun; 2 when nobody was there to be asked; 3, 4."""
    text = _text(lang)
    if not sure and not sys.stdin.isatty():
        print(text["terminal"], file=sys.stderr)
        return WRONG_USE
    if not sure and input(text["sure"]).strip().lower() != text["yes"]:
        out.write(f"{text['kept_epoch']}\n")
        return FAILED

    async def act(access: Access) -> int:
        old, new = await access.renew()
        out.write(f"{text['renewed']}: {new}  ({text['before']}: {old})\n")
        return 0

    return _run(where, act, lang)


def status_lines(status: Mapping[str, Any], report: Report, lang: str) -> Iterator[str]:
    """At most 60 columns; without a running gateway what its disk says."""
    text = _text(lang)
    if not status:
        yield text["alone"]
    elif status["failing"]:
        yield text["ring"]
    ours = [epoch for epoch in report.epochs if epoch.ours]
    gateway = status.get("gw") or next((epoch.gateway for epoch in ours), "")
    pending = status["pending"] if status else sum(epoch.pending for epoch in ours)
    yield f"{gateway}: {pending} {text['waits']}"
    if status:
        for name, key, otherwise in (
            ("oldest", "oldest_age_ms", "none"),
            ("left", "outage_left_ms", "unknown"),
            ("archive", "archive_ms", "none"),
        ):
            ms = status.get(key)
            yield f"{text[name]:<20}{text[otherwise] if ms is None else lasting(ms, lang)}"
        yield f"{text['size']:<20}{status['size_bytes'] / 1e6:.1f} MB"
    for epoch in report.epochs:
        yield from _epoch_lines(epoch, text)


def wanted_of(asked: Asked, text: Mapping[str, str]) -> Wanted:
    """Raises BadWords."""
    kind = PARKED if asked.parked else ALL if asked.everything else PENDING
    since = _moment(asked.since, text, last=False)
    return Wanted(kind, asked.epoch, _seqs(asked.seqs, text), since, _moment(asked.until, text, last=True))


def _moment(written: str, text: Mapping[str, str], *, last: bool) -> UtcMs | None:
    """In the zone of this machine where none is named; a day alone is its first or last moment."""
    if not written:
        return None
    try:
        at = datetime.fromisoformat(written)
        if last and re.fullmatch(r"\d{4}-?\d\d-?\d\d", written):
            at = datetime.combine(at, time.max)
        return UtcMs(int(at.timestamp() * 1000))
    except (ValueError, OverflowError, OSError):
        raise BadWords(f"{written!r}: {text['bad_time']}") from None


def _seqs(written: str, text: Mapping[str, str]) -> SeqRanges:
    pairs = [RANGE.fullmatch(part.strip()) for part in written.split(",")] if written else []
    found = SeqRanges.of((int(pair[1]), int(pair[2] or pair[1])) for pair in pairs if pair)
    if not all(pairs) or (written and not found):
        raise BadWords(f"{written!r}: {text['bad_seqs']}")
    return found


def _exported(path: Path, counts: Mapping[str, int], text: Mapping[str, str]) -> Iterator[str]:
    whole = counts["exported"]
    yield f"{whole} {text['exported']}\n{path}" if whole else text["nothing"]
    yield from (f"{counts[name]} {text[name]}" for name in ("undated", "bad", "unfetched") if counts[name])
    if whole:
        yield text["still"]


def _epoch_lines(epoch: EpochReport, text: Mapping[str, str]) -> Iterator[str]:
    yield f"{text['epoch']} {epoch.epoch}  {epoch.first_kept}-{epoch.last}"
    if not epoch.ours:
        yield f"  {text['stranger']} {epoch.gateway}"
    parked = f"  {text['parked']} {epoch.parked}" if epoch.parked else ""
    yield f"  {text['kept']} {epoch.kept}  {text['pending']} {epoch.pending}{parked}"


async def _warn(access: Access, text: Mapping[str, str]) -> None:
    """That this is not all there is: a disk that fails cannot be read, a salvage is not at its end, a ring died."""
    if (await access.status()).get("failing"):
        print(text["ring"], file=sys.stderr)
    if isinstance(access, Local) and access.visit.salvaging:
        print(text["salvaging"], file=sys.stderr)
    _warn_of_the_dead(access, text)


def _warn_of_the_dead(access: Access, text: Mapping[str, str]) -> None:
    """What memory had when the gateway ended: nobody can see it here any more."""
    if isinstance(access, Local) and access.visit.died:
        print(access.visit.died, text["died"], file=sys.stderr)


def _run(where: Where, act: Callable[[Access], Awaitable[int]], lang: str) -> int:
    async def run() -> int:
        async with found(where.socket, where.folder) as access:
            return await act(access)

    try:
        return asyncio.run(run())
    except GatewayError as error:
        print(told(error, lang), file=sys.stderr)
        if isinstance(error, SpoolInUse):
            return IN_USE
        return NO_ACCESS if isinstance(error, NoAccess) else WRONG_USE if isinstance(error, ExportExists) else FAILED


def _text(lang: str) -> Mapping[str, str]:
    return TEXTS.get(lang, TEXTS["en"])
