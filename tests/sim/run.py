"""One seed, start to end."""

import asyncio
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.testing.simloop import SimLoop
from tests.sim import checks
from tests.sim.plan import MONTH, Fault, Form, draw
from tests.sim.world import World

SHM = Path("/dev/shm")
DRAIN_DAYS_MAX = 12
STEP_S_MAX = 3_600.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it."""

    seed: int
    broken: list[str]
    digest: str
    counts: dict[str, int]
    drained_after_s: float


def run(seed: int, form: Form = MONTH, faults: list[Fault] | None = None) -> Outcome:
    """The faults of the seed, or these."""
    with _folder() as folder, _quiet():
        loop = SimLoop()
        try:
            asyncio.set_event_loop(loop)
            return loop.run_until_complete(
                _live(loop, folder, seed, form, draw(seed, form) if faults is None else faults)
            )
        finally:
            loop.close()
            asyncio.set_event_loop(None)


async def _live(loop: SimLoop, folder: Path, seed: int, form: Form, faults: list[Fault]) -> Outcome:
    world = World(loop, folder, seed, form)
    world.begin()
    await world.suffer(faults)
    world.heal()
    drained_s = await _drain(world)
    await world.box.stop()
    await asyncio.sleep(60)  # noqa: TID251 - virtual time: the last status arrives
    history = world.history
    for _, clock, _ in history.points:
        history.count(f"rows {clock or 'trusted'}")
    history.counts["appended"] = len(history.appended)
    history.counts["given up"] = len(set(history.appended) - history.ledger)
    history.counts["rings untold"] = len(history.ring_untold)
    broken = await checks.broken(world)
    for point in sorted(history.points.items()):
        history.note(point)
    outcome = Outcome(seed, broken, history.digest(), dict(sorted(history.counts.items())), drained_s)
    world.centre.stop()
    await world.centre.store.close()
    return outcome


async def _drain(world: World) -> float:
    """Until nothing is pending; all is well by now."""
    began = world.loop.time()
    while world.loop.time() - began < DRAIN_DAYS_MAX * 86_400:
        await asyncio.sleep(min(STEP_S_MAX, world.form.days * 8_640))  # noqa: TID251 - virtual time
        if not world.box.running:
            world.box.start()
        elif world.box.spool is not None and not world.box.spool.steps.failing and world.box.spool.status.pending <= 1:
            return world.loop.time() - began
    world.history.breaks("run", f"not everything was sent within {DRAIN_DAYS_MAX} days of peace")
    return world.loop.time() - began


@contextmanager
def _quiet() -> Iterator[None]:
    """The log of a month of outages costs more than the month."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="gateway-sim-", dir=SHM if SHM.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
