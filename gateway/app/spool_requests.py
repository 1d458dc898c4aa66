"""The spool on the control socket: what it keeps, a page of it, a look at every row, a new epoch.

    spool         {}                                        {"epochs": [[gateway, epoch, first_kept, last, kept,
                                                             pending, parked, ours], ...]}
    spool_export  {"after": 0, "kind": "pending", ...}      {"lines": [...], "after": 812, "left": 90, "undated": 0,
                                                             "damaged": 0, "unfetched": 0}
    spool_verify  {"after": 0}                              {"rows": 64, "findings": [[table, row, what], ...],
                                                             "after": 64, "left": 90}
    spool_renew   {}                                        {"old": ..., "epoch": ...}

Each answer is one page; who wants the next asks with its `after` (null = that was all). So nothing is held for a client
that is slow, and between two pages batches are appended and sent.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import astuple

from gateway.control.server import Handler
from gateway.errors import Malformed
from gateway.model import SeqRanges, UtcMs
from gateway.spool.export import KINDS, PENDING, Exported, Wanted
from gateway.spool.spool import Spool
from gateway.spool.verify import Verified
from gateway.wire import checked

RANGES_MAX = 256
ORDER_MAX = checked.COUNT_MAX


def handlers(spool: Spool) -> Mapping[str, Handler]:
    """Who may open the socket may ask: its group is the permission."""

    async def report(_: dict[str, object]) -> AsyncGenerator[object, None]:
        yield {"epochs": [astuple(epoch) for epoch in (await spool.report()).epochs]}

    async def export(arguments: dict[str, object]) -> AsyncGenerator[object, None]:
        yield plain(await spool.export(wanted_of(arguments), _after(arguments)))

    async def verify(arguments: dict[str, object]) -> AsyncGenerator[object, None]:
        yield plain_verified(await spool.verify(_after(arguments)))

    async def renew(_: dict[str, object]) -> AsyncGenerator[object, None]:
        old, new = await spool.renew()
        yield {"old": old, "epoch": new}

    return {"spool": report, "spool_export": export, "spool_verify": verify, "spool_renew": renew}


def plain(page: Exported) -> dict[str, object]:
    """A page as JSON carries it."""
    lines = [line.decode() for line in page.lines]
    counts = {"left": page.left, "undated": page.undated, "damaged": page.damaged, "unfetched": page.unfetched}
    return {"lines": lines, "after": page.after, **counts}


def plain_verified(page: Verified) -> dict[str, object]:
    """A page as JSON carries it."""
    return {"rows": page.rows, "findings": page.findings, "after": page.after, "left": page.left}


def arguments_of(wanted: Wanted) -> dict[str, object]:
    """As `wanted_of` reads it."""
    times = {"from_ms": wanted.from_ms, "to_ms": wanted.to_ms}
    return {"kind": wanted.kind, "epoch": wanted.epoch, "seqs": [list(pair) for pair in wanted.seqs.ranges], **times}


def wanted_of(arguments: dict[str, object]) -> Wanted:
    """Raises Malformed."""
    kind, epoch = arguments.get("kind", PENDING), arguments.get("epoch", "")
    if kind not in KINDS:
        raise Malformed("schema", f"kind is one of {', '.join(KINDS)}")
    if epoch != "":
        checked.name(epoch, "epoch")
    pairs = [checked.items(pair, "seqs", 2, width=2) for pair in _list(arguments, "seqs")]
    seqs = SeqRanges.of((checked.seq(first, "seq"), checked.seq(last, "seq")) for first, last in pairs)
    if pairs and not seqs:
        raise Malformed("schema", "seqs: last before first")
    return Wanted(str(kind), str(epoch), seqs, _utc(arguments, "from_ms"), _utc(arguments, "to_ms"))


def _list(arguments: dict[str, object], key: str) -> list[object]:
    return checked.items(arguments.get(key, []), key, RANGES_MAX)


def _utc(arguments: dict[str, object], key: str) -> UtcMs | None:
    value = arguments.get(key)
    return None if value is None else UtcMs(checked.utc(value, key))


def _after(arguments: dict[str, object]) -> int:
    return checked.integer(arguments.get("after", 0), "after", 0, ORDER_MAX)
