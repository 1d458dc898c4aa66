"""gateway.cli.interrupts: Ctrl-C is never lost."""

import signal
from collections.abc import Iterator

import pytest

from gateway.cli import interrupts


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """As at a terminal; what was started in the background ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted(steps: list[str], error: Exception | None = None) -> None:
    """Ctrl-C in the middle of a block that holds it."""
    with interrupts.held():
        signal.raise_signal(signal.SIGINT)
        steps.append("went on")
        if error is not None:
            raise error


def test_it_comes_when_the_block_is_over() -> None:
    """Also where the block would have swallowed it."""
    steps: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        interrupted(steps)
    assert steps == ["went on"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_of_the_block_is_told_first() -> None:
    """It is why the block ended."""
    with pytest.raises(ValueError, match="wrong"):
        interrupted([], ValueError("wrong"))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_who_ignores_it_goes_on_doing_so() -> None:
    """As `command &` does in a script."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interrupts.held():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
