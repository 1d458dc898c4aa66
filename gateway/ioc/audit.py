"""Asks the store, adds up by `ledger`, names every unexplained seq.

Delivery completeness = (stored or explained) / issued. It says that what gateways appended has arrived or was given up
in so many words; it says nothing of readings that a device never answered. That would be measurement completeness, good
values / values due: what was due is not in the store (a report policy drops whole rows, and a gateway does not tell how
many polls it made), so it is not computed, and the screen says so.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from gateway.ioc.ledger import DAY_MS, Account, Evidence, account
from gateway.ioc.store.base import EpochStatusRow, Issued, Store
from gateway.model import Seq, SeqRanges, UtcMs

STATUSES_MAX = 1500  # a day, at one a minute: how far back a falling `last` is seen
RANGES_SHOWN = 20


async def audit(store: Store, gateway: str | None, now_ms: UtcMs, retention_days: int | None) -> list[Account]:
    """One account for each epoch that a batch, a gap or a status names, of one gateway or of all; raises StoreBusy."""
    known: dict[str, set[str]] = {}
    for name, epoch in await store.gateways():
        if gateway in {None, name}:
            known.setdefault(name, set()).add(epoch)
    accounts = []
    for name, stored in sorted(known.items()):
        history = await store.statuses(name, STATUSES_MAX)
        issued = await store.issued(name)  # of an epoch that is lost with its box nothing else may be left
        for epoch in sorted(stored | issued.keys()):
            seen = await _evidence(store, name, epoch, history, issued.get(epoch), now_ms)
            accounts.append(account(name, epoch, seen, now_ms, retention_days))
    return accounts


def exit_code(accounts: Iterable[Account]) -> int:
    """1 when a seq is unexplained, else 0."""
    return int(any(account.unexplained for account in accounts))


def text(accounts: Sequence[Account]) -> str:
    """What `gateway ioc audit` prints: one paragraph an epoch, one line in all."""
    if not accounts:
        return "nothing stored: no gateway is known"
    lines = [line for one in accounts for line in _paragraph(one)]
    if any(one.unexplained for one in accounts):
        lines.append("what a gateway may still have comes back by: gateway ioc recall --missing")
    lines.append("measurement completeness (good values of all that were due): not known to the store")
    return "\n".join([*lines, _sum(accounts)])


def ranges_text(seqs: SeqRanges) -> str:
    """`3, 7-9`; the first of many."""
    shown = [str(first) if first == last else f"{first}-{last}" for first, last in seqs.ranges[:RANGES_SHOWN]]
    more = len(seqs.ranges) - len(shown)
    return ", ".join(shown) + (f" and {more} more ranges" if more else "")


async def _evidence(
    store: Store,
    gateway: str,
    epoch: str,
    history: Sequence[Sequence[EpochStatusRow]],
    issued: Issued | None,
    now_ms: UtcMs,
) -> Evidence:
    newest = history[-1] if history else ()
    lasts: list[Seq] = [row.last for status in history for row in status if row.epoch == epoch and not row.replayed]
    return Evidence(
        stored=await store.ledger(gateway, epoch),
        gaps=await store.gaps(gateway, epoch),
        status=next((row for row in newest if row.epoch == epoch), None),
        day_old=_day_old(epoch, history, now_ms),
        lasts=lasts,
        issued=issued,
    )


def _day_old(epoch: str, history: Sequence[Sequence[EpochStatusRow]], now_ms: UtcMs) -> Seq | None:
    """How far the epoch was issued a day ago; None when no status at hand is that old."""
    told = [
        status for status in history if status and status[0].at_ms is not None and status[0].at_ms <= now_ms - DAY_MS
    ]
    lasts = [row.last for status in told for row in status if row.epoch == epoch and not row.replayed]
    return max(lasts, default=0) if told else None


def _paragraph(one: Account) -> Iterable[str]:
    counts = (
        f"{name} {len(seqs)}"
        for name, seqs in (
            ("stored", one.stored),
            ("explained", one.explained),
            ("pending", one.pending),
            ("expired", one.expired),
            ("unexplained", one.unexplained),
        )
    )
    yield f"{one.gateway} {one.epoch}: issued {one.highest}: {', '.join(counts)}"
    yield f"  newest status: {_when(one.status_at_ms)}"
    for reason, seqs in one.reasons:
        yield f"  explained, {reason}: {ranges_text(seqs)}"
    if one.rows_given_up:
        yield f"  explained: gap records give up {one.rows_given_up} rows"
    if one.pending_old:
        yield f"  pending for more than a day: {ranges_text(one.pending_old)}"
    if one.unexplained:
        yield f"  ALARM unexplained: {ranges_text(one.unexplained)}"
    if one.used_twice:
        yield f"  ALARM seq_used_twice: {ranges_text(one.used_twice)}"


def _when(at_ms: UtcMs | None) -> str:
    """What is not stored by now can only be known from a status: an old one proves nothing of the time since."""
    if at_ms is None:
        return "none names this epoch"
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _sum(accounts: Sequence[Account]) -> str:
    issued = sum(one.highest for one in accounts)
    known = sum(len(one.stored) + len(one.explained) for one in accounts)
    share = 100 * known / issued if issued else 100.0
    unexplained = sum(len(one.unexplained) for one in accounts)
    verdict = f"UNEXPLAINED {unexplained}" if unexplained else "nothing unexplained"
    return f"delivery completeness {_floored(share)} % ({known} of {issued} batches stored or explained); {verdict}"


def _floored(share: float) -> str:
    """Three decimals, never rounded up to a whole that it is not."""
    return f"{int(share * 1000) / 1000:.3f}"
