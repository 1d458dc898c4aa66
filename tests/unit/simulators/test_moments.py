"""The simulators' clocks and waits."""

import asyncio
import time
from pathlib import Path

import pytest

from simulators.moments import Alarm, boot_ns, now, wake


def test_the_clocks_are_the_kernels() -> None:
    """CLOCK_BOOTTIME and the wall clock."""
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    at = now()
    assert before <= at.boot_ns <= boot_ns()
    assert abs(at.utc_ms - time.clock_gettime_ns(time.CLOCK_REALTIME) // 1_000_000) < 60_000


async def test_it_never_rings_early() -> None:
    """Fractions of a millisecond too; again and again on one descriptor."""
    with Alarm() as alarm:
        for us in (50, 300, 2000):
            at_ns = boot_ns() + us * 1000
            await alarm.until(at_ns)
            assert boot_ns() >= at_ns


async def test_the_past_is_not_waited_for() -> None:
    """Returns without asking the kernel."""
    with Alarm() as alarm:
        await alarm.until(boot_ns() - 1)
        await alarm.until(0)


async def test_a_wait_can_be_cancelled() -> None:
    """And the next one does not ring by the old one's time."""
    with Alarm() as alarm:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await alarm.until(boot_ns() + 3600 * 10**9)
        at_ns = boot_ns() + 1_000_000
        await alarm.until(at_ns)
        assert boot_ns() >= at_ns


def open_files() -> int:
    """Of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_it_closes_its_descriptor() -> None:
    """One a line, for years."""
    before = open_files()
    for _ in range(10):
        with Alarm() as alarm:
            await alarm.until(boot_ns() + 1000)
    assert open_files() == before


async def test_waking_twice_is_waking() -> None:
    """A reader may be called again before it is removed."""
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    wake(waiter)
    wake(waiter)
    assert waiter.done()
