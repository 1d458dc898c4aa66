"""gateway.south.stop: a stop ends a wait and nothing else; a cancel from outside stays a cancel."""

import asyncio

import pytest

from gateway.model import BootMs
from gateway.south.stop import Stop
from gateway.testing.clock import FakeClock, turns


async def _wait(stop: Stop, clock: FakeClock) -> str:
    await stop.unless_asked(clock.sleep_until(BootMs(clock.boot_ms() + 1000)))
    return "went on"


async def test_what_was_waited_for_is_returned() -> None:
    """Without a stop, nothing is different."""

    async def value() -> int:
        return 7

    assert await Stop().unless_asked(value()) == 7


async def test_a_stop_ends_the_wait_at_once_and_the_task_goes_on() -> None:
    """No time passes; asking twice does no more; the task is not left cancelled."""
    clock, stop = FakeClock(), Stop()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(_wait(stop, clock))
        await turns()
        stop.ask()
        stop.ask()
        assert await task == "went on"
    assert task.cancelling() == 0
    assert stop.asked()


async def test_after_a_stop_nothing_is_waited_for() -> None:
    """A wait that begins too late is not begun."""
    clock, stop = FakeClock(), Stop()
    stop.ask()
    await asyncio.wait_for(stop.unless_asked(clock.sleep_until(BootMs(10**9))), timeout=10)
    assert clock.sleepers == 0


async def test_a_cancel_from_outside_is_not_swallowed() -> None:
    """Alone, and together with a stop."""
    for ask in (False, True):
        clock, stop = FakeClock(), Stop()
        task = asyncio.create_task(_wait(stop, clock))  # noqa: TID251 - cancelled below
        await turns()
        if ask:
            stop.ask()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_an_exchange_is_never_cut() -> None:
    """A stop outside of a wait changes nothing but the answer to `asked`."""
    clock, stop = FakeClock(), Stop()

    async def exchange() -> str:
        await clock.sleep_until(BootMs(clock.boot_ms() + 100))
        return "answered"

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(exchange())
        await turns()
        stop.ask()
        await turns()
        assert not task.done()
        await clock.advance(100)
        assert task.result() == "answered"


async def _nap(stop: Stop, clock: FakeClock) -> str:
    await stop.nap(clock.sleep_until(BootMs(clock.boot_ms() + 1000)))
    return "went on"


async def test_a_call_ends_a_nap() -> None:
    """However often; the task is not left cancelled, and nothing is asked to stop."""
    clock, stop = FakeClock(), Stop()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(_nap(stop, clock))
        await turns()
        stop.call()
        stop.call()
        assert await task == "went on"
    assert task.cancelling() == 0
    assert not stop.asked()


async def test_a_call_ends_no_other_wait() -> None:
    """Nor the next nap."""
    clock, stop = FakeClock(), Stop()
    async with asyncio.TaskGroup() as tasks:
        waits = tasks.create_task(_wait(stop, clock))
        await turns()
        stop.call()
        await turns()
        assert not waits.done()
        await clock.advance(1000)
        assert waits.done()
        naps = tasks.create_task(_nap(stop, clock))
        await turns()
        assert not naps.done()
        stop.call()
        stop.ask()
        assert await naps == "went on"
    assert naps.cancelling() == 0


async def test_a_nap_that_is_cancelled_from_outside_stays_cancelled() -> None:
    """Also when it was called in the same moment."""
    clock, stop = FakeClock(), Stop()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(_nap(stop, clock))
        await turns()
        stop.call()
        task.cancel()
    assert task.cancelled()
