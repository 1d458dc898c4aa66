"""What is read and written on request, around one level sensor in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from gateway.app.fields import Fields
from gateway.app.journal import NAME, Journal, Kept
from gateway.counters import Counters
from gateway.model import Event
from gateway.site import Bus
from gateway.south.visits import Visits
from gateway.testing.clock import FakeClock, turns
from gateway.testing.worker import InlineWorker
from tests.support.asks import MemoryAsks, level_bus
from tests.support.south import a_site


@dataclass
class FieldsBench:
    """`Fields` of a site with that sensor; its journal is in `folder`."""

    folder: Path
    bus: Bus = field(default_factory=level_bus)
    asks: MemoryAsks = field(default_factory=MemoryAsks)
    clock: FakeClock = field(default_factory=FakeClock)
    counters: Counters = field(default_factory=Counters)
    events: list[Event] = field(default_factory=list)
    before: list[OSError] = field(default_factory=list)  # raised by the journal's disk, one a step
    visits: dict[str, Visits] = field(default_factory=dict)
    kept: Kept = field(init=False)
    fields: Fields = field(init=False)
    tasks: asyncio.TaskGroup = field(init=False)  # of this life

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Fields]:
        """One life of the gateway."""
        journal = Journal(self.folder / NAME, InlineWorker(self._disk))
        self.kept = await journal.open()
        asks = {} if self.bus.mode == "listen" else {self.bus.name: self.asks}
        made = Fields(a_site(self.bus), asks, self.clock, self.counters, journal, self.events.append, self.visits)
        self.fields = made
        async with asyncio.TaskGroup() as self.tasks:
            running = self.tasks.create_task(made.run(), name="fields")
            await turns()
            yield made
            running.cancel()

    def _disk(self) -> None:
        if self.before:
            raise self.before.pop(0)

    @property
    def told(self) -> list[tuple[str, str, object, bool]]:
        """Of each event what matters."""
        return [(event.subject, event.code, event.detail, event.urgent) for event in self.events]


def listening() -> Bus:
    """The same bus, where somebody else asks."""
    return replace(level_bus(), mode="listen")
