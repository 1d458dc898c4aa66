"""gateway.north.desk: commands in order, outcomes that wait for a connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.counters import Counters
from gateway.errors import LinkDown
from gateway.model import UtcMs
from gateway.north.commands import CommandGate
from gateway.north.desk import COMMANDS_MAX, OUTCOMES_MAX, Desk
from gateway.testing.clock import FakeClock, turns
from gateway.wire.command import Command, Outcome


class Bench:
    """A desk whose one command, `turn`, waits for `go`."""

    def __init__(self) -> None:
        self.clock, self.counters = FakeClock(), Counters()
        self.go = asyncio.Event()
        self.begun: list[str] = []
        self.desk = Desk(CommandGate(frozenset({"turn"})), {"turn": self.turn}, self.trusted_now, self.counters)

    def trusted_now(self) -> UtcMs | None:
        """The clock's, while it is synchronised."""
        return self.clock.utc_ms() if self.clock.synchronised() else None

    async def turn(self, command: Command) -> Outcome:
        """As slow as the test wants; id `broken` fails."""
        self.begun.append(command.id)
        await self.go.wait()
        if command.id == "broken":
            raise LinkDown("unplugged")
        return Outcome(command.id, ok=True, code="ok")

    def command(self, id_: str, lasts_ms: int = 60_000) -> Command:
        """From now on."""
        return Command(id_, UtcMs(self.clock.utc_ms() + lasts_ms), "turn", {})

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Inside the block."""
        async with asyncio.TaskGroup() as tasks:
            desk = tasks.create_task(self.desk.run(), name="desk")
            yield
            desk.cancel()

    async def told(self) -> Outcome:
        """The next outcome, sent."""
        outcome = await self.desk.next()
        self.desk.sent(outcome)
        return outcome


async def test_one_at_a_time_in_order() -> None:
    """The second is not begun before the first is over."""
    bench = Bench()
    async with bench.running():
        bench.desk.put(bench.command("c-1"))
        bench.desk.put(bench.command("c-2"))
        await turns()
        assert bench.begun == ["c-1"]
        bench.go.set()
        assert [(await bench.told()).id for _ in range(2)] == ["c-1", "c-2"]


async def test_an_outcome_stays_until_it_is_sent() -> None:
    """The connection may be lost between the two."""
    bench = Bench()
    bench.go.set()
    async with bench.running():
        bench.desk.put(bench.command("c-1"))
        first = await bench.desk.next()
        assert await bench.desk.next() is first
        bench.desk.sent(first)
        bench.desk.put(bench.command("c-2"))
        assert (await bench.told()).id == "c-2"


async def test_a_command_that_expires_in_the_queue_is_not_carried_out() -> None:
    """It is judged when its turn has come."""
    bench = Bench()
    async with bench.running():
        bench.desk.put(bench.command("c-1"))
        bench.desk.put(bench.command("c-2", lasts_ms=1_000))
        await bench.clock.advance(2_000)
        bench.go.set()
        assert [(await bench.told()).code for _ in range(2)] == ["ok", "expired"]
        assert bench.begun == ["c-1"]


async def test_a_failure_is_an_outcome() -> None:
    """Its code, and what it says; the next command is carried out."""
    bench = Bench()
    bench.go.set()
    async with bench.running():
        bench.desk.put(bench.command("broken"))
        bench.desk.put(bench.command("c-2"))
        assert await bench.told() == Outcome("broken", ok=False, code="link_down", detail="unplugged")
        assert (await bench.told()).ok


async def test_too_many_commands_are_told_busy() -> None:
    """And are not remembered: they may come again."""
    bench = Bench()
    async with bench.running():
        bench.desk.put(bench.command("c-0"))
        await turns()
        for n in range(COMMANDS_MAX + 1):
            bench.desk.put(bench.command(f"d-{n}"))
        assert await bench.told() == Outcome(f"d-{COMMANDS_MAX}", ok=False, code="busy")
        bench.go.set()
        assert {(await bench.told()).code for _ in range(COMMANDS_MAX + 1)} == {"ok"}
        bench.desk.put(bench.command(f"d-{COMMANDS_MAX}"))
        assert (await bench.told()).code == "ok"


async def test_outcomes_that_nobody_fetches_are_bounded() -> None:
    """The oldest goes, counted."""
    bench = Bench()
    bench.go.set()
    async with bench.running():
        for n in range(OUTCOMES_MAX + 3):
            bench.desk.put(bench.command(f"c-{n}"))
            await turns()
        assert (await bench.told()).id == "c-3"
        assert bench.counters.get("outcomes_dropped") == 3
