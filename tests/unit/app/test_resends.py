"""The command `resend`, from arguments to outcome."""

import pytest

from gateway.app.resends import resend
from gateway.errors import SpoolFailed
from gateway.model import SeqRanges, UtcMs
from gateway.spool.view import Kept
from gateway.wire.command import NOT_KEPT_MAX, Command, Outcome, Resent

LOTS = SeqRanges.of((seq, seq) for seq in range(1, 2 * NOT_KEPT_MAX + 200, 2))


class Bench:
    """A spool that answers `kept` and an uplink; what was done, in order."""

    def __init__(self, kept: Kept | SpoolFailed) -> None:
        self.answer = kept
        self.recalls_full = False
        self.done: list[object] = []

    async def kept(self, epoch: str, seqs: SeqRanges) -> Kept:
        """As told."""
        assert (epoch, seqs) == ("k3v9x2", SeqRanges.of([(129, 131)]))
        if isinstance(self.answer, SpoolFailed):
            raise self.answer
        return self.answer

    async def unpark_seqs(self, epoch: str, seqs: SeqRanges) -> None:
        """Noted."""
        self.done.append(("unpark", epoch, seqs))

    def resend(self, epoch: str, archived: SeqRanges, unparked: SeqRanges) -> None:
        """Noted."""
        self.done.append(("resend", epoch, archived, unparked))

    async def note(self, outcome: Outcome) -> None:
        """On disk."""
        self.done.append(outcome)

    async def ask(self, **arguments: object) -> Outcome:
        """The command, with these arguments changed."""
        asked = {"epoch": "k3v9x2", "ranges": [[129, 131]]} | arguments
        return await resend(Command("c-1", UtcMs(1), "resend", asked), self, self, self.note)


async def test_it_is_noted_then_done_then_answered() -> None:
    """W-81, W-95: counts, and what is not kept."""
    archived, parked, waiting, gone = (SeqRanges.of([(n, n)]) for n in (129, 130, 131, 132))
    bench = Bench(Kept(archived, parked, waiting, gone))
    expected = Outcome("c-1", ok=True, code="ok", resent=Resent(3, gone, 1))
    assert await bench.ask() == expected
    assert bench.done == [expected, ("unpark", "k3v9x2", parked), ("resend", "k3v9x2", archived, parked)]


async def test_an_answer_is_bounded_and_names_only_what_is_gone() -> None:
    """W-95: the rest is named when it is asked for again."""
    resent = (await Bench(Kept(gone=LOTS)).ask()).resent
    assert resent is not None
    assert resent.not_kept.ranges == LOTS.ranges[:NOT_KEPT_MAX]
    assert (resent.kept, resent.not_kept_n) == (0, len(LOTS))


@pytest.mark.parametrize(
    "arguments",
    [
        {"epoch": "A B"},
        {"ranges": None},
        {"ranges": []},
        {"ranges": [[3, 2]]},
        {"ranges": [[0, 2]]},
        {"ranges": [[1, 2, 3]]},
        {"ranges": [[1, True]]},
        {"ranges": [[1, 1]] * 129},
    ],
)
async def test_bad_arguments(arguments: dict[str, object]) -> None:
    """W-92: nothing is done."""
    bench = Bench(Kept())
    outcome = await bench.ask(**arguments)
    assert (outcome.ok, outcome.code) == (False, "bad_arguments")
    assert bench.done == []


async def test_too_much_is_busy() -> None:
    """The centre asks again later."""
    bench = Bench(Kept())
    bench.recalls_full = True
    assert (await bench.ask()).code == "busy"
    assert bench.done == []


async def test_a_disk_that_fails_is_no_loss() -> None:
    """W-95: it is raised, and the desk makes an outcome of it."""
    bench = Bench(SpoolFailed("disk I/O error"))
    with pytest.raises(SpoolFailed):
        await bench.ask()
    assert bench.done == []
