"""What the suite is worth where nothing may be lost: with one rule taken out of the source, its scenario turns red.

Each test runs a scenario with the code as it is, sees it hold, takes the rule out of a copy, and sees it break.
"""

import inspect
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import ModuleType

import pytest

from gateway.counters import Counters
from gateway.errors import StoreBusy
from gateway.ioc import deposit
from gateway.ioc.breaker import Breaker
from gateway.ioc.check import Accepted, check
from gateway.ioc.deadletter import DeadLetters
from gateway.model import BootMs, SeqRanges, UtcMs
from gateway.north import window
from gateway.north.effects import Effect, Fetch, Settle
from gateway.testing.clock import FakeClock
from gateway.testing.worker import InlineWorker
from tests.support.backlog import make_batch, make_receipt
from tests.support.ioc import ROOT, T0, MemoryStore, message
from tests.support.ioc import make_batch as make_full_batch

NOW = BootMs(1_000)


@contextmanager
def without(module: ModuleType, rule: str, instead: str) -> Iterator[ModuleType]:
    """A copy of the module in which `rule`, which must be in it once, is replaced."""
    source = inspect.getsource(module)
    assert source.count(rule) == 1, f"the rule is gone from {module.__name__}, or written otherwise: {rule}"
    copy = ModuleType(f"{module.__name__}_without_a_rule")
    sys.modules[copy.__name__] = copy  # dataclasses look their module up
    try:
        exec(source.replace(rule, instead), copy.__dict__)  # our own source, one rule less
        yield copy
    finally:
        del sys.modules[copy.__name__]


# the window ----------------------------------------------------------------------------------------------------------


def settled_by(code: ModuleType, *, puback: bool = False, crc_off: int | None = None) -> SeqRanges:
    """What is settled of one batch that was sent, after its PUBACK, or after a receipt whose crc is so far off."""
    batch = make_batch(1)
    under_test: window.Window = code.Window(lambda _: 100)
    effects = list(under_test.connected(20, 1 << 20, 1, NOW))
    for effect in [effect for effect in effects if isinstance(effect, Fetch)]:
        effects += under_test.offered(effect.rank, [batch][: effect.limit], NOW)
    if puback:
        effects += under_test.published(batch.id, 0, NOW)
    if crc_off is not None:
        stored = ((1, batch.crc ^ crc_off),)
        receipt = make_receipt(batch)
        effects += under_test.received(type(receipt)(receipt.gateway, receipt.epoch, stored, (), (), "i", T0), NOW)
    return _settled(effects)


def _settled(effects: Sequence[Effect]) -> SeqRanges:
    found = SeqRanges()
    for effect in effects:
        if isinstance(effect, Settle):
            found = found.union(effect.seqs)
    return found


def test_without_the_comparison_of_the_crc() -> None:
    """A receipt for another content, of a copied card, settles ours: it would be lost."""
    assert settled_by(window, crc_off=0) == SeqRanges(((1, 1),))
    assert not settled_by(window, crc_off=1)
    with without(window, "if slot.batch.crc != crc:", "if False:") as code:
        assert settled_by(code, crc_off=1)


def test_with_settle_on_puback() -> None:
    """The broker's word would settle what no database has."""
    assert not settled_by(window, puback=True)
    rule = "        self._held.unacked.discard(id_)\n        effects: list[Effect] = []\n"
    settle = "        effects.append(Settle(id_.epoch, SeqRanges.of_seqs([id_.seq])))\n        self._held.drop(id_)\n"
    with without(window, rule, rule + settle) as code:
        assert settled_by(code, puback=True)


# the centre ----------------------------------------------------------------------------------------------------------


async def proven_without_rows(code: ModuleType, folder: Path) -> list[bytes]:
    """Ledger points in a store that took no row: it breaks at each request with rows."""
    clock = FakeClock()

    def before(_lines: Sequence[bytes], precision: str) -> None:
        if precision == "ms":
            raise StoreBusy("the database is away")

    store = MemoryStore(before)
    letters = DeadLetters(folder, InlineWorker())
    accepted = check(message(make_full_batch(1)), ROOT, frozenset(), UtcMs(T0))
    assert isinstance(accepted, Accepted)
    put = code.Deposit(store, letters, Breaker(), clock, Counters(), Random(1)).put
    with pytest.raises(StoreBusy):
        await put([accepted], [], BootMs(clock.boot_ms()))
    return [line for line in store.lines if line.startswith(b"gw_batch")]


async def test_with_the_ledger_point_written_beside_its_rows(tmp_path: Path) -> None:
    """The audit would call stored what the database never took."""
    assert await proven_without_rows(deposit, tmp_path / "as-it-is") == []
    rule = "        await self._write_rows(works, retry_until)\n"
    beside = "        await self._write_ledger(works, documents, retry_until)\n" + rule
    with without(deposit, rule, beside) as code:
        assert await proven_without_rows(code, tmp_path / "without") != []
