"""The spool for people: asked of the running gateway, or, where none runs, taken by the lock and looked at directly.

    found(socket, None)      the gateway that answers on the socket; none answers: the folder, by its lock
    found(socket, folder)    the folder by its lock, whoever answers: a card in a reader

What lies in the folder belongs to the gateway's user: root looks at it as that user, so that no file is left behind
that the gateway could not write.
"""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gateway.app.spool_requests import arguments_of
from gateway.control.client import Client, NoAccess, NotRunning, Refused, SocketClient, first
from gateway.spool.export import Exported, Wanted
from gateway.spool.report import EpochReport, Report
from gateway.spool.verify import Verified
from gateway.spool.visit import Visit

FOLDER_DEFAULT = Path("/var/lib/gateway/spool")
PATIENCE_S = 30.0  # a page is a few rows; a card that is busy may take its time


class Access(Protocol):
    """Raises SpoolError for the folder; NotRunning, NoAccess, Refused for the gateway."""

    async def status(self) -> dict[str, Any]:
        """The gateway's status document; {} where none runs."""
        ...

    async def report(self) -> Report:
        """What is kept, by epoch."""
        ...

    async def export(self, wanted: Wanted, after: int) -> Exported:
        """A page."""
        ...

    async def verify(self, after: int) -> Verified:
        """A page."""
        ...

    async def renew(self) -> tuple[str, str]:
        """(old epoch, new epoch)."""
        ...


@asynccontextmanager
async def found(socket: Path, folder: Path | None) -> AsyncIterator[Access]:
    """Raises NoAccess (it runs, and this user may not ask), NoSpool, SpoolInUse, NewerVersion, SpoolFailed."""
    if folder is None:
        client = SocketClient(socket, PATIENCE_S)
        try:
            await first(client, "status")
        except NoAccess:
            raise
        except NotRunning:
            folder = FOLDER_DEFAULT
        else:
            yield Remote(client)
            return
    with as_owner(folder):
        visit = Visit(folder)
    try:
        yield Local(visit, folder)
    finally:
        with as_owner(folder):
            visit.close()


class Remote:
    """`Access` through the running gateway."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def status(self) -> dict[str, Any]:
        """Its status document."""
        return await self._asked("status")

    async def report(self) -> Report:
        """By epoch."""
        try:
            return Report(tuple(EpochReport(*epoch) for epoch in (await self._asked("spool"))["epochs"]))
        except (KeyError, TypeError) as error:
            raise Refused("no report") from error

    async def export(self, wanted: Wanted, after: int) -> Exported:
        """One page."""
        answer = await self._asked("spool_export", after=after, **arguments_of(wanted))
        try:
            lines = tuple(line.encode() for line in answer["lines"])
            counts = (answer[name] for name in ("left", "undated", "damaged", "unfetched"))
            return Exported(lines, answer["after"], *counts)
        except (KeyError, TypeError, AttributeError) as error:
            raise Refused("no page") from error

    async def verify(self, after: int) -> Verified:
        """One page."""
        answer = await self._asked("spool_verify", after=after)
        try:
            findings = tuple((str(table), str(row), str(what)) for table, row, what in answer["findings"])
            return Verified(answer["rows"], findings, answer["after"], answer["left"])
        except (KeyError, TypeError, ValueError) as error:
            raise Refused("no page") from error

    async def renew(self) -> tuple[str, str]:
        """It answers once the epoch is on disk."""
        answer = await self._asked("spool_renew")
        return str(answer.get("old")), str(answer.get("epoch"))

    async def _asked(self, name: str, **arguments: object) -> dict[str, Any]:
        answer = await first(self._client, name, **arguments)
        if not isinstance(answer, dict):
            raise Refused("no answer to this")
        return answer


@dataclass(frozen=True, slots=True)
class Local:
    """`Access` to a spool whose gateway does not run."""

    visit: Visit
    folder: Path

    async def status(self) -> dict[str, Any]:
        """Nobody runs who knows."""
        return {}

    async def report(self) -> Report:
        """By epoch."""
        return self.visit.report()

    async def export(self, wanted: Wanted, after: int) -> Exported:
        """One page."""
        return self.visit.export(wanted, after)

    async def verify(self, after: int) -> Verified:
        """One page."""
        return self.visit.verify(after)

    async def renew(self) -> tuple[str, str]:
        """On disk when this returns."""
        with as_owner(self.folder):
            return self.visit.renew()


@contextmanager
def as_owner(folder: Path) -> Iterator[None]:
    """Root becomes the user and group that the folder belongs to, inside the block; anybody else stays who they are."""
    try:
        owner = folder.stat()
    except OSError:  # told by whoever opens it
        yield
        return
    if os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    groups, gid = os.getgroups(), os.getegid()
    os.setgroups([owner.st_gid])
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)
