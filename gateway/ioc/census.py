"""How much of a database's index one gateway may take. Pure.

Each device, kind, field, epoch or event that a database has not seen is an entry of its index for ever, each week is a
shard; and an InfluxDB whose index is full answers 400 to everybody. A gateway that is broken, or whose key was stolen,
must not be able to do that to the others: what would pass its bound is refused (`limit`), and stays on that gateway.

Each worker counts for itself and from its own start: this bounds the pace. The total is the database's to bound.
"""

from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache

from gateway.ioc.check import Accepted, DeadLetter, Document, Refuse, Verdict
from gateway.model import Group
from gateway.wire.line_protocol import DAY_MS

NAMES_MAX = 10_000  # 45 devices have about 500 in a year
WEEKS_MAX = 200  # as many shards of InfluxDB, by default
WEEK_MS = 7 * DAY_MS


class Census:
    """What each gateway has named so far, as hashes: names, and weeks."""

    def __init__(self, names_max: int = NAMES_MAX, weeks_max: int = WEEKS_MAX) -> None:
        self._names_max, self._weeks_max = names_max, weeks_max
        self._names: dict[str, set[int]] = {}
        self._weeks: dict[str, set[int]] = {}

    def judge(self, verdict: Verdict) -> Verdict:
        """The same, or that it is too much."""
        if isinstance(verdict, Accepted):
            batch = verdict.batch
            gateway = batch.id.gateway if batch.origin is None else batch.origin.gateway
            if over := self._over(gateway, _names(verdict), frozenset(_weeks(verdict))):
                return Refuse(batch.id, "limit", over)
        elif isinstance(verdict, Document) and (over := self._over(verdict.gateway, _hashes(verdict.names), ())):
            return DeadLetter("limit", over)
        return verdict

    def _over(self, gateway: str, names: Collection[int], weeks: Collection[int]) -> str:
        """Why it is too much; "" when it fits, and is then counted."""
        known, lived = self._names.setdefault(gateway, set()), self._weeks.setdefault(gateway, set())
        if not known.issuperset(names) and len(known.union(names)) > self._names_max:
            return f"{gateway} has named more than {self._names_max} devices, fields, epochs and events"
        if not lived.issuperset(weeks) and len(lived.union(weeks)) > self._weeks_max:
            return f"{gateway} has sent more than {self._weeks_max} different weeks"
        known.update(names)
        lived.update(weeks)
        return ""


def _names(accepted: Accepted) -> frozenset[int]:
    batch, body = accepted.batch, accepted.body
    few = [("epoch", batch.id.epoch, batch.stamp.clock)]
    few += [("gap", gap.epoch, gap.reason) for gap in body.gaps]
    few += [("event", event.subject, event.code) for event in body.events]
    return _hashes(few).union(*(_group_names(rows.group) for rows in body.groups))


@lru_cache(maxsize=1024)
def _group_names(group: Group) -> frozenset[int]:
    """Once for many batches: groups rarely change."""
    series = ("rows", group.kind, group.device, group.profile.partition("@")[0])
    return _hashes([series, *(("field", group.kind, field) for field in group.fields)])


def _weeks(accepted: Accepted) -> Iterator[int]:
    t0 = accepted.batch.stamp.t0
    yield t0 // WEEK_MS
    yield from ((t0 + event.offset_ms) // WEEK_MS for event in accepted.body.events)


def _hashes(names: Iterable[tuple[str, ...]]) -> frozenset[int]:
    return frozenset(map(hash, names))
