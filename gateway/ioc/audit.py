"""Asks the store, adds up by `ledger` and `measured`, names every unexplained seq.

Two figures, which are never the same thing, and never stand without their names. Delivery completeness = (stored or
explained) / issued: what gateways appended has arrived, or was given up in so many words. Measurement completeness =
good values / values due: what sensors owed has come to a gateway's disk; of it a gateway tells by events `measured`.
"""

from collections.abc import Iterable, Sequence

from gateway.ioc import ledger
from gateway.ioc.errand import scope
from gateway.ioc.ledger import DAY_MS, Account, Evidence, account
from gateway.ioc.measured import MEASURED, Measured, add_up
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


def ranges_text(seqs: SeqRanges) -> str:
    """`3, 7-9`; the first of many."""
    shown = [str(first) if first == last else f"{first}-{last}" for first, last in seqs.ranges[:RANGES_SHOWN]]
    more = len(seqs.ranges) - len(shown)
    return ", ".join(shown) + (f" and {more} more ranges" if more else "")


async def within(store: Store, accounts: Sequence[Account], from_ms: UtcMs, to_ms: UtcMs) -> list[Account]:
    """The accounts of a time: of the seqs that may be of it, by the ledger points around it; raises StoreBusy."""
    return [
        ledger.within(one, scope(await store.around(one.gateway, one.epoch, from_ms, to_ms), one.highest))
        for one in accounts
    ]


async def measured(store: Store, accounts: Iterable[Account], from_ms: UtcMs, to_ms: UtcMs) -> list[Measured]:
    """What the gateways of these accounts tell of a time; raises StoreBusy."""
    names = sorted({one.gateway for one in accounts})
    return [add_up(name, await store.events(name, MEASURED, from_ms, to_ms)) for name in names]


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
