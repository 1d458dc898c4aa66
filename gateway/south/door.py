"""How a bus is opened again and again: at once after a loss, then with backoff; an outage is told once.

A missing port or endpoint is a state to wait in, not an error, and no device is to blame for it. A bus works when an
exchange went through it; a port that only opens may be half dead, so it is believed after STEADY_MS without a loss.
A connection that ends between two good exchanges (converters hang up on the idle, or on a request they do not like) is
opened again without a word; one that cannot be, or that ends three times before it has carried an exchange, is down.
"""

from collections.abc import Awaitable, Callable, Coroutine
from random import Random
from typing import Any, Generic, Protocol, TypeVar

from gateway.counters import Counters
from gateway.errors import LinkDown
from gateway.model import BootMs, Event
from gateway.seams import Clock
from gateway.south.stop import Stop

RETRY_MS, RETRY_MS_MAX = 500, 10_000
STEADY_MS = 10_000
CAUSE_MAX = 200  # characters of an operating system's message that go into an event


class Closes(Protocol):
    """What can be opened: a link, a stream."""

    async def close(self) -> None:
        """Idempotent; never raises."""
        ...


T = TypeVar("T", bound=Closes)


class Door(Generic[T]):
    """Opens one bus; counts `bus_losses`."""

    def __init__(
        self,
        bus: str,
        open_bus: Callable[[], Coroutine[Any, Any, T]],
        clock: Clock,
        counters: Counters,
        random: Random,
        on_event: Callable[[Event], None],
        stop: Stop,
    ) -> None:
        self.down = False
        self._bus = bus
        self._open_bus = open_bus
        self._clock = clock
        self._counters = counters
        self._random = random
        self._on_event = on_event
        self._stop = stop
        self._losses = 1  # since it last worked; it has never worked, so the first failure to open it is the second
        self._opened_at: BootMs | None = None

    async def serve(self, work: Callable[[T], Awaitable[None]]) -> None:
        """Do `work` on the opened bus, again after each loss, until the stop was asked for."""
        while (opened := await self.open()) is not None:
            try:
                await work(opened)
            except LinkDown as error:
                self.lost(error)
            finally:
                await opened.close()

    async def open(self) -> T | None:
        """The opened bus; None when the stop was asked for first."""
        while not self._stop.asked():
            await self._back_off()
            try:
                opened = await self._stop.unless_asked(self._open_bus())
            except LinkDown as error:
                self._lose(error, tell_from=2)
            else:
                self._opened_at = self._clock.boot_ms()
                return opened
        return None

    def lost(self, error: LinkDown) -> None:
        """The opened bus went away."""
        self._lose(error, tell_from=3)

    def works(self) -> None:
        """An exchange went through."""
        self._losses = 0
        if self.down:
            self.down = False
            self._tell("bus_up", "")

    @property
    def hesitates(self) -> bool:
        """Whether a loss now would be followed by a wait, not by an opening at once."""
        return self._losses > 0

    def steady_at(self) -> BootMs | None:
        """When an open bus that is still called down will be believed; None when there is nothing to wait for."""
        return BootMs(self._opened_at + STEADY_MS) if self.down and self._opened_at is not None else None

    def _lose(self, error: LinkDown, *, tell_from: int) -> None:
        self._opened_at = None
        self._losses += 1
        self._counters.add("bus_losses", bus=self._bus)
        if self._losses >= tell_from and not self.down:
            self.down = True
            self._tell("bus_down", str(error)[:CAUSE_MAX] or error.code)

    async def _back_off(self) -> None:
        if self._losses > 1:
            longest_ms = min(RETRY_MS * 2 ** min(self._losses - 2, 16), RETRY_MS_MAX)
            until = BootMs(self._clock.boot_ms() + round(longest_ms * self._random.uniform(0.5, 1)))
            await self._stop.unless_asked(self._clock.sleep_until(until))

    def _tell(self, code: str, detail: str) -> None:
        self._on_event(Event(self._clock.boot_ms(), self._bus, code, detail, urgent=True))
