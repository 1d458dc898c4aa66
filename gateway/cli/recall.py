"""gateway ioc recall: what the store has lost comes back from the gateways, as far as they still keep it."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Final, TextIO

from gateway.app.stores import open_store
from gateway.cli.check import WRONG_FILE, paragraph
from gateway.cli.read import said
from gateway.clock.kernel import SystemClock
from gateway.config.ioc import IocSettings, OperatorSettings, read_ioc, read_operator
from gateway.errors import GatewayError, Invalid
from gateway.ioc import audit as audits
from gateway.ioc.errand import Errand, scope
from gateway.ioc.ledger import Account
from gateway.ioc.recaller import Recaller
from gateway.ioc.store.base import Store
from gateway.model import BootMs, SeqRanges, UtcMs
from gateway.mqtt.connection import PahoConnect

STILL_MISSING, WRONG_USE, AWAY, INTERRUPTED = 1, 2, 3, 130
TEXTS: Final = {
    "en": {
        "use": "Say either --missing, or --gateway with --from and --to.",
        "time": "no time: {}. As 2026-11-24T10:00, or 2026-11-24T03:00Z",
        "unknown": "nothing is known of {}",
        "nothing": "Nothing to recall: no batch is unexplained.",
        "plan": "{}: {} batches asked for, {} of them missing in the store: {}",
        "progress": "{}  {}: back {} of {} missing, no longer kept {}, still out {} ({})",
        "away": "away, waiting for it",
        "sending": "sending, {} to go",
        "online": "online",
        "failed": "{}: not carried out",
        "back": "Back in the store: {}.",
        "lost": "No longer kept on the boxes: {}. Recorded; the audit explains them as not_kept.",
        "left": "Still missing: {}. The boxes go on with what they were asked; run this again later.",
        "left_line": "  {} {}: {}",
        "stopped": "Stopped. The boxes go on with what they were asked; run this again to see what is missing.",
    },
    "vi": {
        "use": "Chọn --missing, hoặc --gateway cùng với --from và --to.",
        "time": "không phải thời gian: {}. Viết như 2026-11-24T10:00 hoặc 2026-11-24T03:00Z",
        "unknown": "không có thông tin nào về {}",
        "nothing": "Không có gì để gọi lại: mọi lô đều có lời giải thích.",
        "plan": "{}: yêu cầu {} lô, trong đó cơ sở dữ liệu thiếu {}: {}",
        "progress": "{}  {}: đã về {} trên {} lô thiếu, không còn lưu {}, còn chờ {} ({})",
        "away": "đang ngoại tuyến, chờ kết nối",
        "sending": "đang gửi, còn {}",
        "online": "trực tuyến",
        "failed": "{}: không thực hiện",
        "back": "Đã về cơ sở dữ liệu: {}.",
        "lost": "Gateway không còn lưu: {}. Đã ghi lại; audit giải thích là not_kept.",
        "left": "Vẫn còn thiếu: {}. Gateway tiếp tục gửi những gì đã được yêu cầu; hãy chạy lại lệnh này sau.",
        "left_line": "  {} {}: {}",
        "stopped": "Đã dừng. Gateway tiếp tục gửi những gì đã được yêu cầu; chạy lại để xem còn thiếu gì.",
    },
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """As it was typed."""

    gateway: str | None
    from_: str
    to: str
    lasts_s: int
    missing: bool


@dataclass(frozen=True, slots=True)
class _Span:
    """Of time, both ends included."""

    from_ms: UtcMs
    to_ms: UtcMs


def recall(path: Path, wanted: Wanted, out: TextIO, lang: str = "en") -> int:
    """Exit 0 when all that is still kept is back, 1 when some is missing, 2 for wrong words, 3 for broker or store.

    130 on Ctrl-C.
    """
    texts = _texts(lang)
    try:
        span = _span(wanted)
    except ValueError as error:
        print(texts["time"].format(error), file=sys.stderr)
        return WRONG_USE
    if wanted.missing == (span is not None) or (span is not None and wanted.gateway is None):
        print(texts["use"], file=sys.stderr)
        return WRONG_USE
    try:
        settings, operator = read_ioc(path), read_operator(path)
    except Invalid as invalid:
        sys.stderr.writelines(paragraph(problem, lang) for problem in invalid.problems)
        return WRONG_FILE
    try:
        return asyncio.run(_Recall(settings, operator, wanted, span, out, texts).run())
    except GatewayError as error:
        print(said(error.code, str(error), lang), file=sys.stderr)
        return AWAY
    except KeyboardInterrupt:
        print(texts["stopped"], file=sys.stderr)
        return INTERRUPTED


def times(text: str) -> UtcMs:
    """ISO 8601; local where it says no zone. Raises ValueError."""
    return UtcMs(round(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000))


def _span(wanted: Wanted) -> _Span | None:
    if not wanted.from_ and not wanted.to:
        return None
    ends = []
    for text in (wanted.from_, wanted.to):
        try:
            ends.append(times(text))
        except (ValueError, OverflowError, OSError):
            raise ValueError(repr(text)) from None
    if ends[0] > ends[1]:
        raise ValueError(f"{wanted.from_} > {wanted.to}")
    return _Span(*ends)


class _Recall:
    """One run of the command."""

    def __init__(
        self,
        settings: IocSettings,
        operator: OperatorSettings,
        wanted: Wanted,
        span: _Span | None,
        out: TextIO,
        texts: Mapping[str, str],
    ) -> None:
        self._settings, self._operator, self._wanted, self._span = settings, operator, wanted, span
        self._out, self._texts = out, texts
        self._clock = SystemClock("system")
        self._shown: dict[str, str] = {}
        self._errands: list[Errand] = []  # of all rounds

    async def run(self) -> int:
        """Round after round, until an audit finds nothing new that is missing."""
        until = BootMs(self._clock.boot_ms() + self._wanted.lasts_s * 1000)
        reader = open_store(self._settings.store, self._clock, writable=False)  # it never makes a store by asking
        try:
            accounts = await self._accounts(reader)
        finally:
            await reader.close()
        if self._wanted.gateway is not None and not accounts:  # a slip in a name is no proof
            self._say("unknown", self._wanted.gateway)
            return WRONG_USE
        store = open_store(self._settings.store, self._clock)
        try:
            errands = await self._plan(store, accounts)
            while errands and self._clock.boot_ms() < until:
                self._errands += errands
                await self._recaller(store).run(
                    errands, until, UtcMs(self._clock.utc_ms() + self._wanted.lasts_s * 1000)
                )
                accounts = await self._accounts(store)
                failed = {errand.gateway for errand in self._errands if errand.failed}
                again = [] if self._span else [one for one in accounts if one.gateway not in failed]
                errands = await self._plan(store, again)
        finally:
            await store.close()
        return self._end(errands)

    async def _accounts(self, store: Store) -> list[Account]:
        return await audits.audit(store, self._wanted.gateway, self._clock.utc_ms(), self._settings.retention_days)

    async def _plan(self, store: Store, accounts: Sequence[Account]) -> list[Errand]:
        """One errand for each gateway of which anything is wanted."""
        wanted: dict[str, dict[str, SeqRanges]] = {}
        missing: dict[str, dict[str, SeqRanges]] = {}
        for one in accounts:
            seqs = one.unexplained
            if self._span is not None:
                around = await store.around(one.gateway, one.epoch, self._span.from_ms, self._span.to_ms)
                # also what is called pending: the status is a minute old, and it may be settled and lost since
                seqs = scope(around, one.highest)
            if seqs:
                wanted.setdefault(one.gateway, {})[one.epoch] = seqs
                missing.setdefault(one.gateway, {})[one.epoch] = seqs.minus(one.stored).minus(one.explained)
        errands = [Errand(gateway, wanted[gateway], missing[gateway]) for gateway in sorted(wanted)]
        for errand in errands:
            named = "; ".join(f"{epoch} {audits.ranges_text(seqs)}" for epoch, seqs in errand.wanted.items())
            self._say("plan", errand.gateway, errand.asked, errand.left, named)
        return errands

    def _recaller(self, store: Store) -> Recaller:
        connect = PahoConnect(lambda: (self._clock.utc_ms(), UtcMs(0)))
        broker = replace(self._operator.broker, client_id=f"operator-{token_hex(4)}")
        return Recaller(connect, broker, self._operator.root, store, self._clock, self._new_id, self._progress)

    def _new_id(self) -> str:
        return f"recall-{self._clock.utc_ms()}-{token_hex(4)}"

    def _progress(self, errands: Sequence[Errand]) -> None:
        """A line for each gateway where anything changed."""
        now = datetime.now().astimezone().strftime("%H:%M:%S")
        for errand in errands:
            state = self._state(errand)
            line = (errand.gateway, errand.back, errand.missed, errand.lost, errand.left, state)
            if self._shown.get(errand.gateway) != repr(line):
                self._shown[errand.gateway] = repr(line)
                self._say("progress", now, *line)

    def _state(self, errand: Errand) -> str:
        if errand.failed:
            return self._texts["failed"].format(errand.failed)
        if not errand.online:
            return self._texts["away"]
        return self._texts["sending"].format(errand.recalling) if errand.recalling else self._texts["online"]

    def _end(self, errands: Sequence[Errand]) -> int:
        """What came of all; `errands` had no time any more."""
        if not self._errands:
            self._say("nothing")
            return 0
        open_ = [*errands, *(errand for errand in self._errands if errand.left)]
        self._say("back", sum(errand.back for errand in self._errands))
        if lost := sum(errand.lost for errand in self._errands):
            self._say("lost", lost)
        if not open_:
            return 0
        left = {(errand.gateway, epoch): seqs for errand in open_ for epoch, seqs in errand.missing.items()}
        self._say("left", sum(map(len, left.values())))
        for (gateway, epoch), seqs in left.items():
            self._say("left_line", gateway, epoch, audits.ranges_text(seqs))
        return STILL_MISSING

    def _say(self, text: str, *values: object) -> None:
        print(self._texts[text].format(*values), file=self._out, flush=True)


def _texts(lang: str) -> Mapping[str, str]:
    return TEXTS.get(lang, TEXTS["en"])
