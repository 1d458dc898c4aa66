"""Commands of one uplink: carried out one at a time, whatever becomes of the connection they came on.

    session --put--> queue --> gate --> carried out --> outcomes --next--> session --PUBACK--> sent

A write goes to its end although its connection is lost in the middle, and its outcome waits for the next one. Both
queues are bounded: a command too many is answered `busy`, an outcome too many takes the place of the oldest.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from gateway.counters import Counters
from gateway.errors import GatewayError
from gateway.model import UtcMs
from gateway.north.commands import CommandGate
from gateway.wire.command import Command, Outcome

COMMANDS_MAX = 16  # that wait for their turn
OUTCOMES_MAX = 64  # that wait for a connection

CarryOut: TypeAlias = Callable[[Command], Awaitable[Outcome]]


class Desk:
    """`carry_out` has a step for every name that `gate` knows."""

    def __init__(
        self,
        gate: CommandGate,
        carry_out: Mapping[str, CarryOut],
        trusted_now: Callable[[], UtcMs | None],
        counters: Counters,
    ) -> None:
        self._gate = gate
        self._carry_out = carry_out
        self._trusted_now = trusted_now
        self._counters = counters
        self._commands: deque[Command] = deque()
        self._outcomes: deque[Outcome] = deque()
        self._came = asyncio.Event()
        self._said = asyncio.Event()

    def put(self, command: Command) -> None:
        """Never blocks."""
        if len(self._commands) >= COMMANDS_MAX:
            self._say(Outcome(command.id, ok=False, code="busy"))
            return
        self._commands.append(command)
        self._came.set()

    async def run(self) -> None:
        """Until cancelled; each command is judged when its turn has come, so that it cannot expire in the queue."""
        while True:
            await _some(self._commands, self._came)
            self._say(await self._outcome(self._commands.popleft()))

    async def next(self) -> Outcome:
        """The oldest outcome; it stays until it is `sent`."""
        await _some(self._outcomes, self._said)
        return self._outcomes[0]

    def sent(self, outcome: Outcome) -> None:
        """The broker has it, or will never take it."""
        if self._outcomes and self._outcomes[0] is outcome:
            self._outcomes.popleft()

    async def _outcome(self, command: Command) -> Outcome:
        refusal = self._gate.refusal(command, self._trusted_now())
        if refusal is not None:
            return refusal
        try:
            outcome = await self._carry_out[command.name](command)
        except GatewayError as error:
            outcome = Outcome(command.id, ok=False, code=error.code, detail=str(error))
        self._gate.done(outcome)
        return outcome

    def _say(self, outcome: Outcome) -> None:
        self._counters.add("commands", code=outcome.code)
        if len(self._outcomes) >= OUTCOMES_MAX:
            self._outcomes.popleft()
            self._counters.add("outcomes_dropped")
        self._outcomes.append(outcome)
        self._said.set()


async def _some(waiting: "deque[Command] | deque[Outcome]", came: asyncio.Event) -> None:
    while not waiting:
        came.clear()
        await came.wait()
