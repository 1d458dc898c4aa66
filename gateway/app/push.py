"""What local programs hand in over `push.sock`: a row like any other, acknowledged when it is on disk.

    {"id":1,"name":"push","arguments":{"device":"tide-model","values":{"level":1.2},"age_ms":0}}
    {"id":1,"last":false,"data":{"code":"stored"}}                       on disk, by fsync
    {"id":1,"last":false,"data":{"code":"spool_failed"}}                 the disk fails: it is in memory, or was dropped
    {"id":1,"last":false,"data":{"code":"not_handed_in","detail":…}}     nothing of it was taken

The socket is one of its own, so that its group may be another than the technicians'. A connection gets its answer
before its next request is read, and there are at most CLIENTS_MAX of them: they cannot fill the inbox.
The open batch is closed for who waits, at most once a FLUSH_EVERY_MS: a lone reading is on disk at once, a stream of
them shares a commit a second.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from gateway.control.server import Handler
from gateway.errors import Malformed, SpoolFailed
from gateway.model import BootMs, Value
from gateway.seams import Clock
from gateway.south.pushed import AGE_MS_MAX, NotHandedIn, PushLoop

SOCKET: Final = "push.sock"
STORED: Final = "stored"
FLUSH_EVERY_MS: Final = 1000
TEXT_CHARS_MAX: Final = 256
FIELDS_MAX: Final = 256


Begun: TypeAlias = Sequence[asyncio.Future[bool]]


class Waiting:
    """Who waits for the disk: asked by handlers, answered by the collector."""

    def __init__(self, clock: Clock, lost: Callable[[], int]) -> None:
        """`lost` counts the items that never reached the spool."""
        self._clock, self._lost = clock, lost
        self._waiting: list[asyncio.Future[bool]] = []
        self._flushed_at: BootMs | None = None

    async def written(self) -> bool:
        """Once everything that is in the inbox now is on disk; False while the disk fails."""
        told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        lost = self._lost()
        self._waiting.append(told)
        return await told and self._lost() == lost  # one that was dropped may have been this one

    def due_at(self) -> BootMs | None:
        """When the open batch should be closed for somebody; None while nobody waits."""
        if not self._waiting:
            return None
        now = self._clock.boot_ms()
        return now if self._flushed_at is None else BootMs(max(now, self._flushed_at + FLUSH_EVERY_MS))

    def due(self, now: BootMs) -> bool:
        """Whether that is now."""
        at = self.due_at()
        return at is not None and now >= at

    def begin(self) -> Begun:
        """Those whose rows are in the batch that is closed now."""
        begun, self._waiting = self._waiting, []
        self._flushed_at = self._clock.boot_ms()
        return begun


def handlers(loops: Sequence[object], waiting: Waiting) -> Mapping[str, Handler]:
    """What `push.sock` answers."""
    pushed = [loop for loop in loops if isinstance(loop, PushLoop)]

    async def push(arguments: dict[str, object]) -> AsyncGenerator[object, None]:
        device, values, age_ms = _checked(arguments)
        try:
            _loop_of(device, pushed).put(device, values, age_ms)
        except NotHandedIn as error:
            yield {"code": error.code, "detail": str(error)}
            return
        yield {"code": STORED if await waiting.written() else SpoolFailed.code}

    return {"push": push}


def _loop_of(device: str, loops: Sequence[PushLoop]) -> PushLoop:
    found = next((loop for loop in loops if loop.has(device)), None)
    if found is None:
        names = ", ".join(sorted(name for loop in loops for name in loop.names))
        raise NotHandedIn(f"{device} is not handed in; these are: {names or 'none'}")
    return found


def _checked(arguments: Mapping[str, object]) -> tuple[str, dict[str, Value | None], int]:
    """By hand: any program may write here."""
    device, values, age_ms = arguments.get("device"), arguments.get("values"), arguments.get("age_ms", 0)
    if not isinstance(device, str) or not isinstance(values, dict) or len(values) > FIELDS_MAX:
        raise Malformed("schema", "a push has a device and its values by field")
    if type(age_ms) is not int or not 0 <= age_ms <= AGE_MS_MAX:
        raise Malformed("schema", f"age_ms is a whole number from 0 to {AGE_MS_MAX}")
    return device, {str(name): _value(value) for name, value in values.items()}, age_ms


def _value(value: Any) -> Value | None:  # noqa: ANN401 - JSON
    if value is not None and not isinstance(value, bool | int | float | str):
        raise Malformed("schema", "a value is a number, true, false, a text or null")
    if isinstance(value, str) and len(value) > TEXT_CHARS_MAX:
        raise Malformed("limit", f"a text of more than {TEXT_CHARS_MAX} characters")
    return value


def tell(begun: Begun, *, stored: bool) -> None:
    """Who has gone meanwhile is not told."""
    for told in begun:
        if not told.done():
            told.set_result(stored)
