"""What the window's properties are worth: with one rule taken out, they turn red."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from gateway.model import Batch, BatchId, BootMs, Receipt, SeqRanges
from gateway.north import suspects
from gateway.north import window as north_window
from gateway.north.effects import Effect, Settle
from gateway.north.held import Held
from gateway.north.window import Window
from tests.property.test_window import WindowMachine

QUICK = settings(
    max_examples=200,
    stateful_step_count=60,
    deadline=None,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


def settle_on_puback(patch: pytest.MonkeyPatch) -> None:
    """A PUBACK settles: P2."""
    honest = Window.published

    def published(self: Window, id_: BatchId, reason: int, now: BootMs) -> list[Effect]:
        return [Settle(id_.epoch, SeqRanges.of_seqs([id_.seq])), *honest(self, id_, reason, now)]

    patch.setattr(Window, "published", published)


def any_crc(patch: pytest.MonkeyPatch) -> None:
    """The crc of a receipt is not compared."""
    honest = Window.received

    def received(self: Window, receipt: Receipt, now: BootMs) -> list[Effect]:
        crcs = {id_.seq: slot.batch.crc for id_, slot in self._held.slots.items()}
        stored = tuple((seq, crcs.get(seq, crc)) for seq, crc in receipt.stored)
        return honest(self, replace(receipt, stored=stored), now)

    patch.setattr(Window, "received", received)


def any_epoch(patch: pytest.MonkeyPatch) -> None:
    """A receipt of another epoch, or for another gateway, is taken for ours."""
    honest = Held.out
    patch.setattr(Held, "out", lambda self, id_: honest(self, _ours(self, id_)))


def parked_at_once(patch: pytest.MonkeyPatch) -> None:
    """One overtaken send is enough."""
    patch.setattr(suspects, "OVERTAKEN_MAX", 1)


def refused_once(patch: pytest.MonkeyPatch) -> None:
    """One refusal is enough."""
    patch.setattr(north_window, "REFUSALS_MAX", 0)


def no_limit(patch: pytest.MonkeyPatch) -> None:
    """The server's Receive Maximum is not kept to."""
    honest = Window.connected

    def connected(self: Window, _: int, packet_bytes_max: int, tail: int, now: BootMs) -> list[Effect]:
        return honest(self, 1_000, packet_bytes_max, tail, now)

    patch.setattr(Window, "connected", connected)


@pytest.mark.parametrize(
    "mutation",
    [settle_on_puback, any_crc, any_epoch, parked_at_once, refused_once, no_limit],
    ids=lambda mutation: mutation.__name__,
)
def test_a_window_without_this_rule_is_found_out(mutation: Callable[[pytest.MonkeyPatch], None]) -> None:
    """The same machine as in tests/property/test_window.py, which passes there."""
    with pytest.MonkeyPatch.context() as patch:
        mutation(patch)
        with pytest.raises(AssertionError):
            run_state_machine_as_test(WindowMachine, settings=QUICK)


def _ours(held: Held, id_: BatchId) -> BatchId:
    batches: list[Batch] = [slot.batch for slot in held.slots.values()]
    return next((batch.id for batch in batches if batch.id.seq == id_.seq), id_)
