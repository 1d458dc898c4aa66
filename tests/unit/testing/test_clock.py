"""The fake clock keeps the seam's promises."""

import asyncio

from gateway.model import BootMs
from gateway.seams import Clock
from gateway.testing.clock import FakeClock


async def test_sleepers_wake_in_the_order_of_their_time() -> None:
    """Whatever order they went to sleep in; each sees its own time."""
    clock = FakeClock(boot_ms=0)
    seam: Clock = clock
    woke: list[tuple[str, float]] = []

    async def sleep(name: str, at_ns: int) -> None:
        await seam.wire_wait(at_ns)
        woke.append((name, seam.boot_ns() / 1_000_000))

    async with asyncio.TaskGroup() as tasks:
        for name, at in (("c", 3_000_000), ("a", 1_000_000), ("b", 1_500_000)):
            tasks.create_task(sleep(name, at), name=name)
        await clock.advance(2)
        assert woke == [("a", 1.0), ("b", 1.5)]
        await clock.advance(1)
    assert woke[-1] == ("c", 3.0)


async def test_a_loop_that_sleeps_wakes_as_often_as_it_should() -> None:
    """Sleeps that begin inside a stretch end inside it."""
    clock = FakeClock(boot_ms=0)
    ticks: list[int] = []

    async def tick() -> None:
        while True:
            await clock.sleep_until(BootMs(clock.boot_ms() + 1_000))
            ticks.append(clock.boot_ms())

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(tick(), name="tick")
        await clock.advance(3_500)
        assert ticks == [1_000, 2_000, 3_000]
        assert clock.sleepers == 1
        task.cancel()
    await clock.advance(5_000)
    assert clock.sleepers == 0


async def test_the_wall_clock_steps_and_boot_time_does_not() -> None:
    """And trust is what the test says."""
    clock = FakeClock(boot_ms=10, utc_ms=1_000)
    clock.step(-500)
    await clock.advance(1)
    assert (clock.boot_ms(), clock.utc_ms(), clock.synchronised()) == (11, 501, True)
    clock.set_synchronised(False)
    assert not clock.synchronised()


async def test_what_is_past_does_not_wait() -> None:
    """Neither sleep nor wire."""
    clock = FakeClock(boot_ms=10)
    await clock.sleep_until(BootMs(10))
    await clock.wire_wait(0)
    assert clock.sleepers == 0
