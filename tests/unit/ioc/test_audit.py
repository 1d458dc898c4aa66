"""What an audit says, and when it fails."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.cli import audited
from gateway.ioc import audit
from gateway.ioc.ledger import Account
from gateway.ioc.store.sqlite import SqliteStore
from gateway.model import Gap, Seq, SeqRanges, UtcMs
from gateway.testing.worker import InlineWorker
from gateway.wire import line_protocol
from gateway.wire.body import BodyEvent
from tests.support.ioc import EPOCH, GATEWAY, T0, make_batch

NOW = UtcMs(T0 + 3_600_000)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """An embedded store."""
    made = SqliteStore(tmp_path / "store.db", InlineWorker())
    yield made
    await made.close()


async def put(store: SqliteStore, *seqs: Seq, gateway: str = GATEWAY, epoch: str = EPOCH) -> None:
    """Ledger points of these batches."""
    made = [make_batch(seq, gateway=gateway, epoch=epoch, t0=T0 + seq) for seq in seqs]
    await store.write([line_protocol.batch_point(batch, 0) for batch in made], "ns")


async def say(
    store: SqliteStore,
    last: Seq,
    pending: list[list[Seq]],
    at: int,
    *,
    age_ms: int | None = None,
    replayed: bool = False,
) -> None:
    """A status."""
    epochs = [{"epoch": EPOCH, "first_kept": 1, "last": last, "pending": pending, "parked": []}]
    document: dict[str, object] = {"online": True, "epochs": epochs, "oldest_age_ms": age_ms, "replayed": replayed}
    await store.write([line_protocol.status_point(GATEWAY, document, UtcMs(at))], "ns")


async def test_complete(store: SqliteStore) -> None:
    """All stored: exit 0, 100 %."""
    await put(store, 1, 2, 3)
    await say(store, 3, [], T0)
    accounts = await audit.audit(store, None, NOW, None)
    assert audit.exit_code(accounts) == 0
    text = audited.text(accounts, [], "en")
    assert f"{GATEWAY} {EPOCH}: issued 3: stored 3, explained 0, pending 0, expired 0, unexplained 0" in text
    assert "delivery completeness 100.000 % (3 of 3 batches stored or explained); nothing unexplained" in text


async def test_a_hole(store: SqliteStore) -> None:
    """A seq that nobody can explain is named, and fails."""
    await put(store, 1, 2, 4, 9)
    await store.write(line_protocol.gap_points(make_batch(9), [Gap(EPOCH, 5, 6, 70, None, None, "quota")]), "ns")
    await say(store, 9, [[8, 8]], T0, age_ms=90_000_000)
    accounts = await audit.audit(store, GATEWAY, NOW, None)
    assert audit.exit_code(accounts) == 1
    text = audited.text(accounts, [], "en")
    assert "stored 4, explained 2, pending 1, expired 0, unexplained 2" in text
    assert "ALARM unexplained: 3, 7" in text
    assert "pending for more than a day: 8" in text
    assert "give up 70 rows" in text
    assert "66.666 % (6 of 9" in text


async def test_a_gap_for_what_is_stored_after_all(store: SqliteStore) -> None:
    """RING-7: a dead ring's note knows receipts up to the first that waits; what came is stored, not lost."""
    await put(store, 1, 2, 4)
    lost = [Gap(EPOCH, 2, 5, None, None, None, "ring_lost")]
    await store.write(line_protocol.gap_points(make_batch(9), lost), "ns")
    (one,) = await audit.audit(store, None, NOW, None)
    assert (one.stored, one.explained, one.unexplained) == (
        SeqRanges(((1, 2), (4, 4))),
        SeqRanges(((3, 3), (5, 5))),
        SeqRanges(),
    )
    assert audit.exit_code([one]) == 0


async def test_pending_does_not_fail(store: SqliteStore) -> None:
    """What the gateway still has is no alarm."""
    await put(store, 1)
    await say(store, 5, [[2, 5]], T0)
    assert audit.exit_code(await audit.audit(store, None, NOW, None)) == 0


async def test_the_newest_status_counts(store: SqliteStore) -> None:
    """By arrival: what an older one called pending is unexplained when the newest one does not."""
    await put(store, 1)
    await say(store, 2, [[2, 2]], T0)
    await say(store, 2, [], T0 + 60_000)
    (one,) = await audit.audit(store, None, NOW, None)
    assert one.unexplained == SeqRanges(((2, 2),))


async def test_used_twice(store: SqliteStore) -> None:
    """A restored image: one seq with two contents, and a `last` that goes down."""
    await put(store, 1, 2, 3)
    again = make_batch(2, t0=T0 + 77)
    await store.write([line_protocol.batch_point(again, 0)], "ns")
    await say(store, 9, [[4, 9]], T0)
    await say(store, 8, [[4, 8]], T0 + 60_000)
    (one,) = await audit.audit(store, None, NOW, None)
    assert one.used_twice == SeqRanges(((2, 2), (9, 9)))
    assert "ALARM seq_used_twice: 2, 9" in audited.text([one], [], "en")


async def test_an_old_status_that_a_broker_kept_is_no_second_use(store: SqliteStore) -> None:
    """A broker that came back from an old snapshot replays an old status: `last` seems to go down, and does not."""
    await put(store, *range(1, 10))
    await say(store, 9, [], T0)
    await say(store, 4, [], T0 + 60_000, replayed=True)
    await say(store, 9, [], T0 + 120_000)
    (one,) = await audit.audit(store, None, NOW, None)
    assert not one.used_twice


async def test_an_epoch_that_went_down_with_its_box(store: SqliteStore) -> None:
    """A RAM ring that a power cut took: what only an older status still names is unexplained, stored or not."""
    ring = {"epoch": "r1ng00", "first_kept": 1, "last": 5, "pending": [[1, 5]], "parked": []}
    disk = {"epoch": EPOCH, "first_kept": 1, "last": 2, "pending": [], "parked": []}
    for at, epochs in ((T0, [disk, ring]), (T0 + 60_000, [disk])):
        document: dict[str, object] = {"online": True, "epochs": epochs}
        lasts = [(str(entry["epoch"]), int(str(entry["last"]))) for entry in epochs]
        lines = [line_protocol.status_point(GATEWAY, document, UtcMs(at))]
        await store.write(lines + line_protocol.epoch_points(GATEWAY, lasts, UtcMs(at)), "ns")
    await put(store, 1, 2)
    by_epoch = {one.epoch: one for one in await audit.audit(store, None, NOW, None)}
    assert by_epoch["r1ng00"].unexplained == SeqRanges(((1, 5),))
    assert by_epoch[EPOCH].stored == SeqRanges(((1, 2),))
    await put(store, 1, 2, 3, epoch="r1ng00")
    by_epoch = {one.epoch: one for one in await audit.audit(store, None, NOW, None)}
    assert by_epoch["r1ng00"].unexplained == SeqRanges(((4, 5),))


async def test_an_epoch_that_went_down_is_named_for_as_long_as_anything_is_kept(store: SqliteStore) -> None:
    """Not only for the day of statuses that is looked at; when its own time is over it is expired, no alarm."""
    day = 86_400_000
    await store.write(line_protocol.epoch_points(GATEWAY, [("r1ng00", 5)], T0), "ns")
    await put(store, 1)
    await say(store, 1, [], T0 + 300 * day)

    async def ring(retention_days: int | None) -> Account:
        accounts = await audit.audit(store, None, UtcMs(T0 + 300 * day), retention_days)
        return next(one for one in accounts if one.epoch == "r1ng00")

    assert (await ring(None)).unexplained == SeqRanges(((1, 5),))
    assert (await ring(365)).unexplained == SeqRanges(((1, 5),))
    assert (await ring(300)).expired == SeqRanges(((1, 5),))


async def test_one_gateway_of_many(store: SqliteStore) -> None:
    """Others are left out."""
    await put(store, 1)
    await put(store, 1, 3, gateway="hc-0002")
    names = [one.gateway for one in await audit.audit(store, "hc-0001", NOW, None)]
    assert names == ["hc-0001"]
    assert [one.gateway for one in await audit.audit(store, None, NOW, None)] == ["hc-0001", "hc-0002"]


def test_an_empty_store() -> None:
    """Says so, instead of 100 %."""
    assert audited.text([], [], "en") == "nothing stored: no gateway is known"


def test_never_rounded_up() -> None:
    """One missing batch of a million is not 100.000 %."""
    stored = SeqRanges(((1, 999_999),))
    none = SeqRanges()
    one = Account("g", "e", 1_000_000, stored, none, none, none, SeqRanges(((1_000_000, 1_000_000),)))
    assert "99.999 % (999999 of 1000000" in audited.text([one], [], "en")


def test_many_ranges_are_cut() -> None:
    """A line stays a line."""
    holes = SeqRanges.of_seqs(range(2, 102, 2))
    one = Account("g", "e", 102, SeqRanges(), SeqRanges(), SeqRanges(), SeqRanges(), holes)
    assert "and 30 more ranges" in audited.text([one], [], "en")


def test_the_age_of_the_newest_status_is_shown() -> None:
    """A gateway that fell silent has 100 % of what it told; when it told it stands beside that."""
    none = SeqRanges()
    one = Account("g", "e", 4, SeqRanges(((1, 4),)), none, none, none, none, status_at_ms=UtcMs(1_795_521_600_000))
    assert "newest status: 2026-11-24 12:00:00 UTC" in audited.text([one], [], "en")
    assert "newest status: none names this epoch" in audited.text([replace(one, status_at_ms=None)], [], "en")


async def test_what_is_not_kept_is_explained_by_that(store: SqliteStore) -> None:
    """W-96: no alarm any more, and the reason is shown; what a gateway gave up itself keeps its own."""
    await put(store, 1, 6)
    await store.write(line_protocol.gap_points(make_batch(6), [Gap(EPOCH, 2, 3, 70, None, None, "quota")]), "ns")
    lost = SeqRanges(((2, 2), (4, 5)))
    await store.write(line_protocol.not_kept_points(GATEWAY, EPOCH, lost, NOW), "ns")
    await say(store, 6, [], T0)
    accounts = await audit.audit(store, None, NOW, None)
    assert audit.exit_code(accounts) == 0
    assert accounts[0].reasons == (("quota", SeqRanges(((2, 3),))), ("not_kept", SeqRanges(((4, 5),))))
    said = audited.text(accounts, [], "en")
    assert "explained, not_kept: 4-5" in said
    assert "explained, quota: 2-3" in said


async def test_what_came_back_after_all_is_stored(store: SqliteStore) -> None:
    """W-96: stored goes before explained."""
    await store.write(line_protocol.not_kept_points(GATEWAY, EPOCH, SeqRanges(((1, 3),)), NOW), "ns")
    await put(store, 1, 2, 3)
    (one,) = await audit.audit(store, None, NOW, None)
    assert (one.stored, one.explained, one.reasons) == (SeqRanges(((1, 3),)), SeqRanges(), ())


async def test_only_what_waits_for_a_day_is_named_so(store: SqliteStore) -> None:
    """By how far the epoch was issued a day ago, not by all that is pending now."""
    day = 86_400_000
    await put(store, 1)
    await say(store, 4, [[2, 4]], NOW - day - 60_000)
    await say(store, 9, [[2, 9]], NOW - 60_000, age_ms=day + 60_000)
    (one,) = await audit.audit(store, None, NOW, None)
    assert one.pending == SeqRanges(((2, 9),))
    assert one.pending_old == SeqRanges(((2, 4),))
    assert "pending for more than a day: 2-4" in audited.text([one], [], "en")


async def test_the_screen_says_what_it_counts(store: SqliteStore) -> None:
    """Delivery is not measurement; and what can be done about a hole stands beside it."""
    await put(store, 1, 3)
    accounts = await audit.audit(store, None, NOW, None)
    said = audited.text(accounts, await audit.measured(store, accounts, UtcMs(0), NOW), "en")
    assert "gateway ioc recall --missing" in said
    assert f"{GATEWAY}: measurement completeness: not told" in said  # as of a gateway of an older version
    assert "delivery completeness" in said


async def tell(store: SqliteStore, seq: Seq, at: int, *told: tuple[str, int, int, int]) -> None:
    """Events `measured` of a batch: (subject, due, good, span)."""
    events = [BodyEvent(0, subject, "measured", counts) for subject, *counts_ in told for counts in [tuple(counts_)]]
    await store.write(line_protocol.event_points(make_batch(seq, t0=at), events), "ns")


async def test_measurement_is_what_gateways_tell(store: SqliteStore) -> None:
    """W-49: the tellings of the time that is asked, added up; devices that missed some are named, worst first."""
    await put(store, 1, 2, 3)
    hour = 3_600_000
    await tell(store, 1, T0, ("", 100, 100, hour))
    await tell(store, 2, T0 + hour, ("", 100, 70, hour), ("level-1", 20, 0, hour), ("meter-1", 40, 30, hour))
    await tell(store, 3, T0 + 2 * hour, ("", 50, 45, hour // 2), ("meter-1", 40, 35, hour // 2))
    accounts = await audit.audit(store, None, NOW, None)
    (all_,) = await audit.measured(store, accounts, UtcMs(0), UtcMs(T0 + 9 * hour))
    assert (all_.due, all_.good, all_.told_ms, all_.until_ms) == (250, 215, hour * 5 // 2, T0 + 2 * hour)
    assert all_.short == (("level-1", 20, 0), ("meter-1", 80, 65))
    (one,) = await audit.measured(store, accounts, UtcMs(T0 + 1), UtcMs(T0 + hour))
    assert (one.due, one.good) == (100, 70)
    said = audited.text(accounts, [one], "en")
    assert f"{GATEWAY}: delivery completeness 100.000 % (3 of 3 batches stored or explained)" in said
    assert f"{GATEWAY}: measurement completeness 70.000 % (70 of 100 values due were good)" in said
    assert "values missing: level-1: 0 of 20" in said
    vi = audited.text(accounts, [one], "vi")
    assert "độ đầy đủ đo 70.000 %" in vi
    assert "độ đầy đủ truyền 100.000 %" in vi


async def test_a_telling_that_comes_twice_counts_once(store: SqliteStore) -> None:
    """W-57: a batch stored again writes the same points."""
    await put(store, 1)
    for _ in range(2):
        await tell(store, 1, T0, ("", 10, 9, 1000))
    (one,) = await audit.measured(store, await audit.audit(store, None, NOW, None), UtcMs(0), NOW)
    assert (one.due, one.good) == (10, 9)


async def test_a_time_that_is_asked_has_its_own_delivery(store: SqliteStore) -> None:
    """Only the seqs that may be of it, by the ledger around it; a hole outside is not of it."""
    await put(store, 1, 3, 4, 5, 6)
    accounts = await audit.audit(store, None, NOW, None)
    (one,) = await audit.within(store, accounts, UtcMs(T0 + 4), UtcMs(T0 + 5))
    assert (one.stored, one.unexplained, one.issued) == (SeqRanges(((3, 6),)), SeqRanges(), 4)
    (early,) = await audit.within(store, accounts, UtcMs(T0), UtcMs(T0 + 3))
    assert early.unexplained == SeqRanges(((2, 2),))
