"""What the simulation is worth: with one rule of the gateway or the centre taken out, a run of two days turns red.

Each test sees the run pass, takes the rule out and sees the promise broken that the rule is for.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gateway.clock.timeline import Changes, Timeline
from gateway.ioc.check import Accepted
from gateway.ioc.deposit import Deposit
from gateway.ioc.receipts import Settled
from gateway.model import BatchId, BootMs, Event, Receipt, SeqRanges, UtcMs
from gateway.north.effects import Effect, Settle
from gateway.north.window import FAILURE, Window
from gateway.pipeline import tally
from gateway.pipeline.tally import Tally
from gateway.south.schedule.schedule import Schedule
from gateway.spool import file, home
from gateway.spool.database import Database
from gateway.spool.mark import Mark
from gateway.spool.meta import Meta
from gateway.wire.body import encode_gaps
from tests.sim.plan import HOUR, Fault, Form
from tests.sim.run import run

TWO_DAYS = Form(days=2, period_ms=1_800_000)
BUSY = Form(days=2, period_ms=300_000, grain_ms=300_000, devices=1)

LYING = [Fault(10 * HOUR, "lying_broker", 6 * HOUR)]
KILLS = [Fault(hour * HOUR, "kill", 60) for hour in range(5, 40, 5)]
ASTRAY = [Fault(5 * HOUR, "receipts_astray", 30 * HOUR, 0.9)]
SQUEEZED = [Fault(2 * HOUR, "broker_down", 44 * HOUR), Fault(3 * HOUR, "disk_failing", 42 * HOUR)]
CLOCKLESS = [Fault(10 * HOUR, "reboot_clockless", 10 * HOUR, 0.9)]
STORE_ILL = [Fault(hour * HOUR, "store_mute", 4 * HOUR) for hour in range(5, 40, 8)]
SMALL_RING_PAGES = 48  # full after half a day
DEAD = [Fault(60, "device_dead", 700, 0.0)]
DEVICE_DEAD = [Fault(5 * HOUR, "device_dead", 30 * HOUR, 0.0)]


def promises(faults: Sequence[Fault], form: Form = TWO_DAYS) -> set[str]:
    """Which ones a run broke."""
    return {line.split(" ", 1)[0] for line in run(1, form, list(faults)).broken}


def test_settling_on_the_puback(monkeypatch: pytest.MonkeyPatch) -> None:
    """P2: what the broker took and nobody stored is taken for stored."""
    assert promises(LYING) == set()
    published = Window.published

    def settling(self: Window, id_: BatchId, reason: int, now: BootMs) -> list[Effect]:
        effects = published(self, id_, reason, now)
        if reason < FAILURE and self._held.out(id_) is not None:
            self._held.drop(id_)
            effects.append(Settle(id_.epoch, SeqRanges.of_seqs([id_.seq])))
        return effects

    monkeypatch.setattr(Window, "published", settling)
    assert {"P1", "P2"} <= promises(LYING)


def test_not_comparing_the_crc_of_a_receipt(monkeypatch: pytest.MonkeyPatch) -> None:
    """P2: a receipt for another content of a seq settles it."""
    assert promises(ASTRAY) == set()
    received = Window.received

    def trusting(self: Window, receipt: Receipt, now: BootMs) -> list[Effect]:
        crcs = {slot.batch.id.seq: slot.batch.crc for slot in self._held.slots.values()}
        stored = tuple((seq, crcs.get(seq, crc)) for seq, crc in receipt.stored)
        return received(self, replace(receipt, stored=stored), now)

    monkeypatch.setattr(Window, "received", trusting)
    assert "P2" in promises(ASTRAY)


def test_using_a_seq_again_after_a_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    """P1, P4: the number of the last batch is given to another one."""
    assert promises(KILLS) == set()
    meta = Database.meta

    def behind(self: Database) -> Meta | None:
        kept = meta(self)
        return kept and replace(kept, next_seq=max(1, kept.next_seq - 1))

    monkeypatch.setattr(Database, "meta", behind)
    monkeypatch.setattr(file, "differ", lambda *_: "")  # what would notice it: the log, and the mark
    monkeypatch.setattr(Mark, "read", lambda _: None)
    assert "P1" in promises(KILLS)


def test_not_writing_the_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """P1, P3: what was given up is named nowhere."""
    monkeypatch.setattr(home, "RING_PAGES", SMALL_RING_PAGES)
    assert promises(SQUEEZED, BUSY) == set()
    monkeypatch.setattr(file, "encode_gaps", lambda _: encode_gaps([]))
    assert {"P1", "P3"} <= promises(SQUEEZED, BUSY)


def test_believing_the_wall_clock_at_append(monkeypatch: pytest.MonkeyPatch) -> None:
    """P5: rows get the time of a clock that nobody set, and pass for good."""
    assert promises(CLOCKLESS) == set()
    observe = Timeline.observe

    def gullible(self: Timeline, at: BootMs, utc: UtcMs, *, synchronised: bool) -> Changes:  # noqa: ARG001 - the rule that is taken out
        return observe(self, at, utc, synchronised=True)

    monkeypatch.setattr(Timeline, "observe", gullible)
    assert "P5" in promises(CLOCKLESS)


def test_proving_a_batch_before_its_rows_are_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """P2: the ledger says stored while the rows are not."""
    assert promises(STORE_ILL) == set()
    put = Deposit.put

    async def hasty(self: Deposit, batches: Sequence[Accepted], documents: Any, retry_until: BootMs) -> list[Settled]:
        from gateway.ioc import deposit

        await self._write_ledger([deposit._Work(accepted) for accepted in batches], documents, retry_until)
        return await put(self, batches, documents, retry_until)

    monkeypatch.setattr(Deposit, "put", hasty)
    assert "P2" in promises(STORE_ILL)


def test_giving_receipts_before_the_store_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """P2: the receipt is first."""

    async def hasty(self: Deposit, batches: Sequence[Accepted], *_: object) -> list[Settled]:
        assert self
        return [Settled(accepted.batch) for accepted in batches]

    monkeypatch.setattr(Deposit, "put", hasty)
    assert {"P1", "P2"} <= promises(STORE_ILL)


def test_polling_a_dead_device_like_the_living(monkeypatch: pytest.MonkeyPatch) -> None:
    """P7: it takes the bus from those that live."""
    hour = Form(days=1 / 96, period_ms=2_000, grain_ms=200, devices=3, timeout_ms=3_000)
    assert promises(DEAD, hour) == set()

    def relentless(self: Schedule, part: Any, now: BootMs, *_: object, **__: object) -> list[object]:
        return list(self.done(part, now))

    monkeypatch.setattr(Schedule, "failed", relentless)
    assert "P7" in promises(DEAD, hour)


def test_owing_only_what_was_polled(monkeypatch: pytest.MonkeyPatch) -> None:
    """W-49: a dead device owes nothing, and the measurement looks complete."""
    assert promises(DEVICE_DEAD) == set()
    monkeypatch.setattr(tally._Count, "due", lambda self, _: self.good)
    assert promises(DEVICE_DEAD) == {"W-49"}


def test_telling_as_good_what_was_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """W-49: values that nobody has read are told as good."""
    assert promises(DEVICE_DEAD) == set()
    tell = Tally.tell

    def boasting(self: Tally, now: BootMs) -> list[Event]:
        whole = [event for event in tell(self, now) if not event.subject]
        return [replace(event, detail=(event.detail[0], event.detail[0], event.detail[2])) for event in whole]

    monkeypatch.setattr(Tally, "tell", boasting)
    assert promises(DEVICE_DEAD) == {"W-49"}


def test_counting_from_the_boot_on_after_a_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    """W-49: time that was told already is told again."""
    assert promises(KILLS) == set()
    begin = Tally.__init__
    monkeypatch.setattr(Tally, "__init__", lambda self, site, _: begin(self, site, BootMs(0)))
    assert promises(KILLS) == {"W-49"}
