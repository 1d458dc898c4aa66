"""The loop in virtual time: it jumps, it orders, it kills, and it ends what would never end."""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from gateway.model import BootMs
from gateway.testing.clock import NOON_MS
from gateway.testing.simclock import SimClock
from gateway.testing.simloop import Deadlock, Process, Runaway, SimLoop

DAY_S = 86_400


@pytest.fixture
def loop() -> Iterator[SimLoop]:
    """One loop, closed at the end."""
    made = SimLoop(rounds_max=1_000_000)
    yield made
    made.close()


async def _sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)  # noqa: TID251 - virtual time


def test_a_year_takes_no_time(loop: SimLoop) -> None:
    """Time jumps to the next timer, exactly."""
    loop.run_until_complete(_sleep(365 * DAY_S))
    assert loop.time() == 365 * DAY_S


def test_who_waits_for_each_other_is_named(loop: SimLoop) -> None:
    """Nothing ready and no timer is an error, not a hang."""

    async def stuck() -> None:
        await asyncio.Event().wait()

    task = loop.create_task(stuck(), name="stuck one")
    with pytest.raises(Deadlock, match="stuck one"):
        loop.run_until_complete(task)
    loop.kill_all_of(task)


def test_what_spins_is_ended(loop: SimLoop) -> None:
    """Time that stands still is an error, not a hang."""

    async def spinning() -> None:
        while True:
            await _sleep(0)

    task = loop.create_task(spinning())
    with pytest.raises(Runaway):
        loop.run_until_complete(task)
    loop.kill_all_of(task)


def test_a_killed_process_does_nothing_more(loop: SimLoop) -> None:
    """Neither its timers, nor its tasks, nor their `finally`, nor what others wake in it."""
    said: list[str] = []
    bell = asyncio.Event()

    async def child() -> None:
        await bell.wait()
        said.append("child")

    async def victim() -> None:
        loop.call_later(2, said.append, "timer")
        async with asyncio.TaskGroup() as tasks:
            try:
                tasks.create_task(child())
                await _sleep(2)
            finally:
                said.append("finally")

    async def story() -> list[str]:
        box = Process("box")
        loop.spawn(box, victim())
        await _sleep(1)
        loop.kill(box)
        bell.set()
        await _sleep(10)
        return list(said)

    assert loop.run_until_complete(story()) == []


@pytest.mark.parametrize("work", [asyncio.to_thread(int), asyncio.open_connection("127.0.0.1", 1)])
def test_threads_and_sockets_are_refused(loop: SimLoop, work: Coroutine[Any, Any, object]) -> None:
    """Nothing real can make a run depend on the machine."""
    with pytest.raises(RuntimeError, match="simulation"):
        loop.run_until_complete(work)


def test_the_clock_follows_the_loop_and_the_wall_follows_nobody(loop: SimLoop) -> None:
    """Boot time is the loop's; a step moves the wall clock alone; a lazy clock rounds sleeps, no waits on wires."""
    clock = SimClock(loop, NOON_MS, boot_ms=0)
    lazy = clock.every(60_000)

    async def story() -> None:
        await clock.sleep_until(BootMs(1_500))
        assert (clock.boot_ms(), clock.utc_ms()) == (1_500, NOON_MS + 1_500)
        clock.step(-86_400_000)
        clock.set_synchronised(False)
        assert (lazy.utc_ms(), lazy.synchronised()) == (NOON_MS + 1_500 - 86_400_000, False)
        await lazy.wire_wait(2_000_000_001)
        assert clock.boot_ns() == 2_000_000_001
        await lazy.sleep_until(BootMs(3_000))
        assert clock.boot_ms() == 60_000

    loop.run_until_complete(story())
