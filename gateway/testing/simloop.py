"""SimLoop: an asyncio event loop in virtual time. A month passes in the time that its callbacks take to run.

    loop = SimLoop()
    box = Process("gateway")
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(story(loop, box))          # in it: loop.spawn(box, coroutine); await asyncio.sleep(86_400)
    loop.kill(box)                            # as kill -9: nothing of it runs any more, not even its `finally`

Time stands while anything can run and jumps to the next timer when nothing can, so a run depends on its inputs alone:
no thread and no socket is served here (both are refused), callbacks run in the order in which they were scheduled, and
timers in the order of their time. Nothing ready and no timer is a deadlock, time that stands still for too many rounds
is an endless loop: both end the run with an error that names the tasks.

A process is a context: what a task of it starts, schedules or waits for belongs to it, as far as that goes.
"""

import asyncio
from asyncio import base_events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from math import ulp
from typing import Any, Final, Never, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

NS_PER_S: Final = 1_000_000_000
ROUNDS_MAX: Final = 50_000_000  # of one run
STILL_MAX: Final = 100_000  # rounds in which no time passed

_process: ContextVar["Process | None"] = ContextVar("process", default=None)


class Deadlock(RuntimeError):
    """Nothing can run and nothing ever will."""


class Runaway(RuntimeError):
    """Something runs and runs."""


class Process:
    """What can be killed as one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.killed = False
        self.tasks: set[asyncio.Task[Any]] = set()


class SimLoop(base_events.BaseEventLoop):
    """Virtual seconds from 0. `rounds_max`: how many turns of the loop a run may take."""

    _ready: "deque[asyncio.Handle]"  # BaseEventLoop's own
    _scheduled: "list[asyncio.TimerHandle]"

    def __init__(self, *, rounds_max: int = ROUNDS_MAX) -> None:
        super().__init__()
        self._now_s = 0.0
        self._rounds = self._still = 0
        self._rounds_max = rounds_max
        self._dead: list[asyncio.Task[Any]] = []  # kept: to collect one would run its `finally`
        self._selector = self  # where BaseEventLoop waits
        self._clock_resolution = 1e-9

    # -- time

    def time(self) -> float:
        """Virtual seconds."""
        return self._now_s

    def time_ns(self) -> int:
        """The same; exact to the ns for a season."""
        return round(self._now_s * NS_PER_S)

    def select(self, timeout_s: float | None) -> list[Never]:
        """BaseEventLoop's waiting: time jumps to the next timer."""
        self._rounds += 1
        self._still += 1
        if timeout_s is None:
            raise Deadlock(f"at {self._now_s:.3f} s all of these wait for each other: {self._waiting()}")
        if timeout_s > 0:
            self._now_s = self._scheduled[0].when()
            self._clock_resolution = ulp(self._now_s)  # less, and a timer that is due would not be seen to be
            self._still = 0
        if self._rounds > self._rounds_max or self._still > STILL_MAX:
            raise Runaway(f"{self._rounds} rounds, the last {self._still} of them at {self._now_s:.3f} s")
        return []

    # -- processes

    def spawn(self, process: Process, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """The first task of a process, or one more."""
        context = copy_context()
        context.run(_process.set, process)
        return self.create_task(work, name=process.name, context=context)

    def kill(self, process: Process) -> None:
        """Nothing of it runs any more; what it held in the world outside (a connection, a lock) is for the caller."""
        process.killed = True
        self._dead += process.tasks
        for handle in (*self._ready, *self._scheduled):
            if _of(handle._context) is process:  # type: ignore[attr-defined]  # noqa: SLF001 - asyncio has no other door
                handle.cancel()

    def kill_all_of(self, task: "asyncio.Task[Any]") -> None:
        """A task that is in no process: it is left as it stands."""
        self._dead.append(task)

    def create_task(  # type: ignore[override]  # typeshed says Generator too; nobody here passes one
        self, coro: Coroutine[Any, Any, T], *, name: object = None, context: Context | None = None
    ) -> "asyncio.Task[T]":
        """As any loop's; a task belongs to the process of its context."""
        task: asyncio.Task[T] = super().create_task(coro, name=name, context=context)
        process = _of(context) if context is not None else _process.get()
        if process is not None:
            process.tasks.add(task)
            task.add_done_callback(process.tasks.discard)
        return task

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """As any loop's; for a killed process never."""
        handle = super().call_soon(callback, *args, context=context)
        if self._dead and context is not None and (process := _of(context)) is not None and process.killed:
            handle.cancel()
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """From this thread: there is no other."""
        return self.call_soon(callback, *args, context=context)

    def close(self) -> None:
        """The dead are buried: their coroutines end here, whatever they say to it."""
        for task in self._dead:
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001 - they are known
            _end(task)
        self._dead.clear()
        super().close()

    # -- what is not of this world

    def run_in_executor(self, *_: object, **__: object) -> Never:
        """Refused."""
        raise RuntimeError("no threads in a simulation: use an InlineWorker")

    async def create_connection(self, *_: object, **__: object) -> Never:
        """Refused."""
        raise RuntimeError("no sockets in a simulation")

    async def create_server(self, *_: object, **__: object) -> Never:
        """Refused."""
        raise RuntimeError("no sockets in a simulation")

    def add_reader(self, *_: object) -> Never:
        """Refused."""
        raise RuntimeError("no descriptors in a simulation")

    def add_writer(self, *_: object) -> Never:
        """Refused."""
        raise RuntimeError("no descriptors in a simulation")

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncio's own name
        """There is none."""

    def _process_events(self, _: object) -> None:
        """None ever come."""

    def _write_to_self(self) -> None:
        """Nobody waits."""

    def _waiting(self) -> str:
        return ", ".join(sorted(task.get_name() for task in asyncio.all_tasks(self)))


def _of(context: Context) -> Process | None:
    return context.get(_process)


def _end(task: "asyncio.Task[Any]") -> None:
    try:
        task.get_coro().close()
    except BaseException:  # noqa: BLE001 - it was killed: nobody hears what it had to say
        return
