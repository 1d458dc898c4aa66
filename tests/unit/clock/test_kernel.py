"""The real kernel's clocks: what they promise, never how fast."""

import asyncio
import ctypes
import os
import time
from pathlib import Path

import pytest

from gateway.clock.kernel import TIMERS_KEPT, SystemClock, _Timex
from gateway.clock.timeline import BUILT
from gateway.model import BootMs, Trust
from gateway.seams import Clock


@pytest.fixture
def clock() -> SystemClock:
    """Of a virtual machine: its wall clock is believed."""
    return SystemClock("system")


def test_it_is_a_clock(clock: SystemClock) -> None:
    """Mypy checks the seam; this checks that boot time is that of /proc/uptime."""
    seam: Clock = clock
    uptime_s = float(Path("/proc/uptime").read_text("ascii").split()[0])
    assert abs(seam.boot_ms() / 1000 - uptime_s) < 5
    assert seam.boot_ms() <= seam.boot_ns() // 1_000_000


def test_utc_is_the_wall_clock(clock: SystemClock) -> None:
    """CLOCK_REALTIME in milliseconds."""
    before = time.clock_gettime_ns(time.CLOCK_REALTIME) // 1_000_000
    assert before <= clock.utc_ms() <= time.clock_gettime_ns(time.CLOCK_REALTIME) // 1_000_000


@pytest.mark.parametrize(
    ("trust", "word"), [("kernel", Trust.NTP), ("system", Trust.SYSTEM), ("rtc", Trust.RTC), ("ioc", Trust.IOC)]
)
def test_each_trust_has_its_word(trust: str, word: Trust) -> None:
    """The clock word of rows taken with a believed clock."""
    assert SystemClock(trust).word is word


def test_system_is_always_synchronised(clock: SystemClock) -> None:
    """Somebody else answers for it."""
    assert clock.synchronised()


def test_rtc_is_believed_when_the_kernel_took_its_time_from_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hctosys reads 1 on the clock that was used."""
    monkeypatch.setattr(SystemClock, "utc_ms", lambda _: BUILT)
    assert not SystemClock("rtc", rtc=tmp_path).synchronised()
    for name, text in (("rtc0", "0\n"), ("rtc1", "1\n")):
        (tmp_path / name).mkdir()
        assert not SystemClock("rtc", rtc=tmp_path).synchronised()
        (tmp_path / name / "hctosys").write_text(text, "ascii")
    assert SystemClock("rtc", rtc=tmp_path).synchronised()


def test_a_battery_clock_without_a_battery_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What reads earlier than this software was made has lost its time."""
    (tmp_path / "rtc0").mkdir()
    (tmp_path / "rtc0" / "hctosys").write_text("1\n", "ascii")
    clock = SystemClock("rtc", rtc=tmp_path)
    monkeypatch.setattr(clock, "utc_ms", lambda: BUILT - 1)
    assert not clock.synchronised()
    monkeypatch.setattr(clock, "utc_ms", lambda: BUILT)
    assert clock.synchronised()


def test_the_wall_clock_is_never_believed_where_the_centres_is() -> None:
    """Not even if the kernel says it is synchronised."""
    clock = SystemClock("ioc")
    clock._libc = Kernel(0, 500, 0)  # type: ignore[assignment]
    assert not clock.synchronised()
    assert clock.refused == ""


class Kernel:
    """An adjtimex that says what it is told."""

    def __init__(self, result: int, maxerror: int, status: int) -> None:
        self.answer = result, maxerror, status

    def adjtimex(self, pointer: object) -> int:
        """Fill in the struct, as the kernel does."""
        timex = pointer._obj  # type: ignore[attr-defined]
        assert timex.modes == 0
        result, timex.maxerror, timex.status = self.answer
        if result < 0:
            ctypes.set_errno(1)
        return result


@pytest.mark.parametrize(
    ("result", "maxerror", "status", "synchronised", "refused"),
    [
        (0, 500, 0, True, ""),
        (0, 15_999_999, 0x2001, True, ""),
        (0, 16_000_000, 0, False, ""),
        (5, 500, 0x40, False, ""),
        (-1, 0, 0, False, "Operation not permitted"),
    ],
)
def test_what_the_kernel_says_of_its_clock(
    result: int, maxerror: int, status: int, synchronised: bool, refused: str
) -> None:
    """Synchronised under 16 s of error and without STA_UNSYNC; a refusal is told, not taken for a no."""
    clock = SystemClock("kernel")
    clock._libc = Kernel(result, maxerror, status)  # type: ignore[assignment]
    assert clock.synchronised() is synchronised
    assert clock.refused == refused


def test_the_real_adjtimex_fills_the_struct() -> None:
    """The layout is the kernel's: the time in it is the wall clock."""
    clock, timex = SystemClock("kernel"), _Timex()
    assert clock._libc.adjtimex(ctypes.byref(timex)) >= 0
    assert abs(timex.time.seconds - clock.utc_ms() // 1000) < 5
    assert 9_000 < timex.tick < 11_000


async def test_sleep_until_returns_after_its_time(clock: SystemClock) -> None:
    """Never early; at once when it is past."""
    at = BootMs(clock.boot_ms() + 15)
    await clock.sleep_until(at)
    assert clock.boot_ms() >= at
    await clock.sleep_until(at)


async def test_wire_wait_returns_after_its_time_and_keeps_its_timers(clock: SystemClock) -> None:
    """Never early, several at once, few file descriptors, none after close."""
    until = clock.boot_ns() + 300_000_000  # all of them wait, also on a machine that stands still for a while
    async with asyncio.TaskGroup() as tasks:
        for _ in range(TIMERS_KEPT + 3):
            tasks.create_task(clock.wire_wait(until), name="wait")
    assert clock.boot_ns() >= until
    assert len(clock._idle_timers) == TIMERS_KEPT
    timers = list(clock._idle_timers)
    await clock.wire_wait(clock.boot_ns() + 1_000_000)
    assert sorted(clock._idle_timers) == sorted(timers)
    await clock.wire_wait(0)
    clock.close()
    for timer in timers:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(timer)


async def test_a_cancelled_wire_wait_leaves_no_ring_behind(clock: SystemClock) -> None:
    """Its timer is disarmed before the next one gets it."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await clock.wire_wait(clock.boot_ns() + 10_000_000_000)
    until = clock.boot_ns() + 2_000_000
    await clock.wire_wait(until)
    assert clock.boot_ns() >= until
    clock.close()
