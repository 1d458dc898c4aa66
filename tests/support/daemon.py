"""Something that answers on a control socket, for tests of the command line."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.control.server import Handler, Server


@asynccontextmanager
async def daemon(path: Path, handlers: Mapping[str, Handler]) -> AsyncIterator[None]:
    """It runs inside the block."""
    async with asyncio.TaskGroup() as tasks:
        server = tasks.create_task(Server(path, handlers).run(), name="daemon")
        while not path.exists():  # noqa: ASYNC110, ASYNC240 - a file has no event, and costs nothing
            await asyncio.sleep(0.01)
        yield
        server.cancel()


def says(*answers: object) -> Handler:
    """A handler with these answers."""

    async def handler(_: dict[str, object]) -> AsyncGenerator[object, None]:
        for answer in answers:
            yield answer

    return handler
