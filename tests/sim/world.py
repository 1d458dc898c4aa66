"""All of it together, and the faults of a plan carried out upon it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

from gateway.testing.clock import NOON_MS
from gateway.testing.simclock import SimClock
from gateway.testing.simloop import SimLoop
from tests.sim.box import FREE_BYTES, Box
from tests.sim.centre import GATEWAY, WORKERS, Centre, SimBroker
from tests.sim.history import History
from tests.sim.plan import Fault, Form

YEAR_MS = 365 * 86_400_000
STEPS_MS = (3_600_000, -86_400_000, 10 * YEAR_MS, -3_000, 3_000, -40_000, 90_000)
FAKE_HWCLOCK_MS = NOON_MS - 30 * 86_400_000  # where a box without a clock wakes up
FIRST_MISS_S = 60.0  # of a device that dies may move the others: after it they are steady again
Span = tuple[float, float]


class World:
    """True time is the loop's; everybody else's clock is his own."""

    def __init__(self, loop: SimLoop, folder: Path, seed: int, form: Form) -> None:
        self.loop, self.form = loop, form
        self.random = Random(f"world {seed}")
        self.history = History(self.true_ms)
        self.broker = SimBroker(loop, self.history, self.random)
        self.centre = Centre(loop, SimClock(loop, NOON_MS), self.broker, self.history, self.random, folder / "dead")
        self.box = Box(loop, self.broker, self.history, folder, seed, form)
        self.disturbed: list[Span] = []  # while a living device may rightly be read later
        self.dead: dict[int, list[Span]] = {}

    def true_ms(self) -> int:
        """What an atomic clock would say."""
        return NOON_MS + self.loop.time_ns() // 1_000_000

    def begin(self) -> None:
        """All is well."""
        self.box.power_on(self.true_ms(), synchronised=True)
        self.box.start()
        for name in WORKERS:
            self.centre.start(name)

    async def suffer(self, faults: list[Fault]) -> None:
        """Each fault at its time; returns when the run is over."""
        for fault in faults:
            self.loop.call_at(fault.at_s, self._strike, fault)
        await asyncio.sleep(self.form.days * 86_400)  # noqa: TID251 - virtual time

    def _strike(self, fault: Fault) -> None:
        self.history.note(fault.what)
        self.history.count(fault.what)
        undo = _STRIKES[fault.what](self, fault)
        if undo is not None:
            self.loop.call_later(fault.for_s, undo)

    def heal(self) -> None:
        """What is still wrong ends."""
        self.broker.down = self.broker.lying = False
        self.broker.astray = 0.0
        self.broker.release_pubacks()
        self.centre.store.down = self.centre.store.mute = False
        self.box.disk.failing, self.box.disk.free_bytes = False, FREE_BYTES
        self.box.wire.gone = False
        self.box.wire.dead.clear()
        self.set_right()
        self.begin_again()
        for name in WORKERS:
            self.centre.start(name)

    # What can be done to it; each returns how it ends.

    def broker_down(self, _: Fault) -> Callable[[], None]:
        """It crashes, and stays away."""
        self.broker.down = True
        self.broker.amnesia()
        return lambda: setattr(self.broker, "down", False)

    def broker_amnesia(self, _: Fault) -> None:
        """It crashes, and is back at once."""
        self.broker.amnesia()

    def cut(self, _: Fault) -> None:
        """One connection is lost."""
        self.broker.cut(GATEWAY)

    def half_open(self, _: Fault) -> Callable[[], None]:
        """Packets go out, none come back."""
        self.broker.hold_pubacks = True
        return self.broker.release_pubacks

    def lying_broker(self, _: Fault) -> Callable[[], None]:
        """PUBACK 0 for what nobody hears."""
        self.broker.lying = True
        for name in WORKERS:
            self.centre.kill(name)
        return self._honest

    def _honest(self) -> None:
        self.broker.lying = False
        for name in WORKERS:
            self.centre.start(name)

    def receipts_astray(self, fault: Fault) -> Callable[[], None]:
        """Lost, doubled, late, forged."""
        self.broker.astray = 0.2 + 0.6 * fault.size
        return lambda: setattr(self.broker, "astray", 0.0)

    def ingest_kill(self, fault: Fault) -> Callable[[], None]:
        """One of two workers."""
        name = WORKERS[fault.size < 0.5]
        self.centre.kill(name)
        return lambda: self.centre.start(name)

    def store_down(self, _: Fault) -> Callable[[], None]:
        """It does not answer."""
        self.centre.store.down = True
        return lambda: setattr(self.centre.store, "down", False)

    def store_mute(self, _: Fault) -> Callable[[], None]:
        """Half of its answers are lost."""
        self.centre.store.mute = True
        return lambda: setattr(self.centre.store, "mute", False)

    def kill(self, fault: Fault) -> Callable[[], None]:
        """Kill -9."""
        self._disturb(fault)
        self.box.kill()
        return self.begin_again

    def kill_in_step(self, fault: Fault) -> Callable[[], None]:
        """Kill -9 between the disk and its news."""
        self._disturb(fault)
        self.box.doom(round(5 * fault.size))
        return self._again

    def stop(self, fault: Fault) -> Callable[[], None]:
        """SIGTERM."""
        self._disturb(fault)
        self._stop_task = self.loop.create_task(self.box.stop(), name="stop")
        return self.begin_again

    def reboot(self, fault: Fault) -> Callable[[], None]:
        """With a clock chip."""
        self._disturb(fault)
        self.box.kill()
        return lambda: self._boot(self.true_ms(), synchronised=True)

    def reboot_clockless(self, fault: Fault) -> Callable[[], None]:
        """The network's time comes at the end."""
        self._disturb(fault, 60.0)
        self.box.kill()
        wall_ms = FAKE_HWCLOCK_MS if fault.size < 0.7 else NOON_MS + 5 * YEAR_MS
        self.loop.call_later(min(60.0, fault.for_s / 2), lambda: self._boot(wall_ms, synchronised=False))
        return self.set_right

    def power_flaps(self, fault: Fault) -> Callable[[], None]:
        """Three boots that wake up at the same wrong time, before the network's comes."""
        self._disturb(fault)
        for part in range(3):
            self.loop.call_later(part * fault.for_s / 3, lambda: self._boot(FAKE_HWCLOCK_MS, synchronised=False))
        return self.set_right

    def squeeze(self, fault: Fault) -> Callable[[], None]:
        """No way out, and later no room: the spool has to give up batches."""
        self.broker.down = True
        self.broker.amnesia()
        self.loop.call_later(fault.for_s / 6, lambda: setattr(self.box.disk, "free_bytes", 0))
        return self._let_go

    def _let_go(self) -> None:
        self.broker.down, self.box.disk.free_bytes = False, FREE_BYTES

    def ntp_lost(self, _: Fault) -> Callable[[], None]:
        """The kernel says so."""
        self.box.clock.set_synchronised(False)
        return self.set_right

    def clock_step(self, fault: Fault) -> Callable[[], None]:
        """By hand: the kernel says that it is not synchronised any more."""
        self.box.clock.set_synchronised(False)
        self.box.clock.step(STEPS_MS[round(fault.size * 1e6) % len(STEPS_MS)])
        return self.set_right

    def clock_lies(self, fault: Fault) -> Callable[[], None]:
        """A wrong time server: the kernel believes it."""
        self.box.clock.step(STEPS_MS[round(fault.size * 1e6) % len(STEPS_MS)])
        return self.set_right

    def disk_full(self, _: Fault) -> Callable[[], None]:
        """By somebody else."""
        self.box.disk.free_bytes = 0
        return lambda: setattr(self.box.disk, "free_bytes", FREE_BYTES)

    def disk_failing(self, _: Fault) -> Callable[[], None]:
        """EIO."""
        self.box.disk.failing = True
        return lambda: setattr(self.box.disk, "failing", False)

    def device_dead(self, fault: Fault) -> Callable[[], None]:
        """One of them."""
        unit_id = 1 + round(fault.size * 1e6) % self.form.devices
        self._disturb(Fault(0, "", FIRST_MISS_S))
        self.box.wire.dead.add(unit_id)
        self.dead.setdefault(unit_id, []).append((self.loop.time(), self.loop.time() + fault.for_s))
        return lambda: self.box.wire.dead.discard(unit_id)

    def port_gone(self, fault: Fault) -> Callable[[], None]:
        """Unplugged."""
        self._disturb(fault)
        self.box.wire.vanish()
        return lambda: setattr(self.box.wire, "gone", False)

    # Helpers of those.

    def _again(self) -> None:
        self.box.kill()
        self.begin_again()

    def begin_again(self) -> None:
        """The daemon, unless a boot is under way or it has not ended yet."""
        self.box.start()

    def set_right(self) -> None:
        """The network's time."""
        self.box.clock.step(self.true_ms() - self.box.clock.utc_ms())
        self.box.clock.set_synchronised(True)

    def _boot(self, wall_ms: int, *, synchronised: bool) -> None:
        self.box.kill()
        self.box.power_on(wall_ms, synchronised=synchronised)
        self.box.start()

    def _disturb(self, fault: Fault, least_s: float = 0.0) -> None:
        self.disturbed.append((self.loop.time(), self.loop.time() + max(fault.for_s, least_s)))


_STRIKES: dict[str, Callable[[World, Fault], Callable[[], None] | None]] = {
    name: getattr(World, name)
    for name in (
        "broker_down",
        "broker_amnesia",
        "cut",
        "half_open",
        "lying_broker",
        "receipts_astray",
        "ingest_kill",
        "store_down",
        "store_mute",
        "kill",
        "kill_in_step",
        "stop",
        "reboot",
        "reboot_clockless",
        "ntp_lost",
        "power_flaps",
        "squeeze",
        "clock_step",
        "clock_lies",
        "disk_full",
        "disk_failing",
        "device_dead",
        "port_gone",
    )
}
