"""What an audit shows: each epoch, then of each gateway both completenesses, each by its name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Final

import orjson

from gateway.cli.lasting import lasting
from gateway.ioc.audit import ranges_text
from gateway.ioc.ledger import Account
from gateway.ioc.measured import Measured
from gateway.model import SeqRanges, UtcMs

DEVICES_SHOWN: Final = 10
CLASSES: Final = ("stored", "explained", "pending", "expired", "unexplained")
TEXTS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "nothing": "nothing stored: no gateway is known", "unknown": "nothing is known of {}",
        "issued": "issued", "stored": "stored", "explained": "explained", "pending": "pending", "expired": "expired",
        "unexplained": "unexplained",
        "newest": "newest status", "no_status": "none names this epoch",
        "given_up": "explained: gap records give up {} rows", "old": "pending for more than a day",
        "alarm": "ALARM", "recall": "what a gateway may still have comes back by: gateway ioc recall --missing",
        "delivery": "delivery completeness {} % ({} of {} batches stored or explained)",
        "measurement": "measurement completeness {} % ({} of {} values due were good); told: {}, until {}",
        "not_told": "measurement completeness: not told",
        "short": "  values missing: {}: {} of {}", "more": "  values missing: {} more devices",
        "all": "all gateways", "bad": "UNEXPLAINED {}", "good": "nothing unexplained", "partly": " (told by {} of {})",
    },
    "vi": {
        "nothing": "chưa lưu gì: chưa biết gateway nào", "unknown": "không có thông tin nào về {}",
        "issued": "đã phát", "stored": "đã lưu", "explained": "có giải thích", "pending": "đang chờ",
        "expired": "hết hạn lưu", "unexplained": "không giải thích được",
        "newest": "trạng thái mới nhất", "no_status": "không trạng thái nào nêu epoch này",
        "given_up": "có giải thích: các bản ghi gap khai bỏ {} dòng", "old": "chờ hơn một ngày",
        "alarm": "CẢNH BÁO", "recall": "lấy lại những gì gateway còn giữ bằng: gateway ioc recall --missing",
        "delivery": "độ đầy đủ truyền {} % ({} trên {} lô đã lưu hoặc có giải thích)",
        "measurement": "độ đầy đủ đo {} % ({} trên {} giá trị phải có là tốt); đã báo: {}, đến {}",
        "not_told": "độ đầy đủ đo: gateway không báo",
        "short": "  thiếu giá trị: {}: có {} trên {}", "more": "  thiếu giá trị: thêm {} thiết bị",
        "all": "mọi gateway", "bad": "KHÔNG GIẢI THÍCH ĐƯỢC {}", "good": "mọi lô đều có lời giải thích",
        "partly": " ({} trên {} gateway có báo)",
    },
}  # fmt: skip


def text_of(lang: str) -> Mapping[str, str]:
    """The sentences of this screen."""
    return TEXTS.get(lang, TEXTS["en"])


def text(accounts: Sequence[Account], measured: Sequence[Measured], lang: str) -> str:
    """One paragraph an epoch, one a gateway, and the sum of all as the last line."""
    words = text_of(lang)
    if not accounts:
        return words["nothing"]
    lines = [line for one in accounts for line in _epoch(one, words)]
    if any(one.unexplained for one in accounts):
        lines.append(words["recall"])
    for one in measured:
        own = [account for account in accounts if account.gateway == one.gateway]
        lines += [f"{one.gateway}: {_delivery(own, words)}", f"{one.gateway}: {_measurement(one, words, lang)}"]
        lines += _short(one, words)
    return "\n".join([*lines, *_sum(accounts, measured, words)])


def document(accounts: Sequence[Account], measured: Sequence[Measured]) -> bytes:
    """The same for programs: shares from 0 to 1, null where nothing was told or due."""
    gateways = []
    for one in measured:
        own = [account for account in accounts if account.gateway == one.gateway]
        known, issued = _known(own)
        gateways.append(
            {
                "gateway": one.gateway,
                "delivery_completeness": known / issued if issued else None,
                "batches_known": known,
                "batches_issued": issued,
                "measurement_completeness": one.good / one.due if one.due else None,
                "values_good": one.good,
                "values_due": one.due,
                "told_ms": one.told_ms,
                "told_until_ms": one.until_ms,
                "devices_short": [{"device": name, "due": due, "good": good} for name, due, good in one.short],
                "epochs": [_plain(account) for account in own],
            }
        )
    return orjson.dumps({"gateways": gateways}, option=orjson.OPT_INDENT_2)


def _plain(one: Account) -> dict[str, object]:
    """An account with its sets as ranges."""
    values = {field.name: getattr(one, field.name) for field in fields(one)}
    told = {name: value.ranges if isinstance(value, SeqRanges) else value for name, value in values.items()}
    return told | {"reasons": {why: seqs.ranges for why, seqs in one.reasons}, "issued": one.issued}


def _epoch(one: Account, words: Mapping[str, str]) -> Iterator[str]:
    counts = ", ".join(f"{words[name]} {len(getattr(one, name))}" for name in CLASSES)
    yield f"{one.gateway} {one.epoch}: {words['issued']} {one.issued}: {counts}"
    when = words["no_status"] if one.status_at_ms is None else _when(one.status_at_ms)
    yield f"  {words['newest']}: {when}"
    for reason, seqs in one.reasons:
        yield f"  {words['explained']}, {reason}: {ranges_text(seqs)}"
    if one.rows_given_up:
        yield f"  {words['given_up'].format(one.rows_given_up)}"
    if one.pending_old:
        yield f"  {words['old']}: {ranges_text(one.pending_old)}"
    if one.unexplained:
        yield f"  {words['alarm']} {words['unexplained']}: {ranges_text(one.unexplained)}"
    if one.used_twice:
        yield f"  {words['alarm']} seq_used_twice: {ranges_text(one.used_twice)}"


def _when(at_ms: UtcMs) -> str:
    """What is not stored by now can only be known from a status: an old one proves nothing of the time since."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _delivery(accounts: Sequence[Account], words: Mapping[str, str]) -> str:
    known, issued = _known(accounts)
    return words["delivery"].format(_share(known, issued), known, issued)


def _measurement(one: Measured, words: Mapping[str, str], lang: str) -> str:
    if not one.due or one.until_ms is None:
        return words["not_told"]
    told, until = lasting(one.told_ms, lang), _when(one.until_ms)
    return words["measurement"].format(_share(one.good, one.due), one.good, one.due, told, until)


def _short(one: Measured, words: Mapping[str, str]) -> Iterator[str]:
    yield from (words["short"].format(name, good, due) for name, due, good in one.short[:DEVICES_SHOWN])
    if len(one.short) > DEVICES_SHOWN:
        yield words["more"].format(len(one.short) - DEVICES_SHOWN)


def _sum(accounts: Sequence[Account], measured: Sequence[Measured], words: Mapping[str, str]) -> Iterator[str]:
    told = [one for one in measured if one.due]
    due, good = sum(one.due for one in told), sum(one.good for one in told)
    if told and len(measured) > 1:
        share = words["measurement"].partition(";")[0].format(_share(good, due), good, due)
        yield f"{words['all']}: {share}{words['partly'].format(len(told), len(measured))}"
    unexplained = sum(len(one.unexplained) for one in accounts)
    verdict = words["bad"].format(unexplained) if unexplained else words["good"]
    yield f"{words['all']}: {_delivery(accounts, words)}; {verdict}"


def _known(accounts: Sequence[Account]) -> tuple[int, int]:
    return sum(len(one.stored) + len(one.explained) for one in accounts), sum(one.issued for one in accounts)


def _share(part: int, whole: int) -> str:
    """In per cent with three decimals, never rounded up to a whole that it is not."""
    share = 100 * part / whole if whole else 100.0
    return f"{int(share * 1000) / 1000:.3f}"
