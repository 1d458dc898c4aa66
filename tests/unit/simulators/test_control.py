"""The socket that simctl talks to."""

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from simulators.commands import LINE_MAX_BYTES, Commands
from simulators.control import CLIENTS_MAX, Control
from simulators.run import Run
from simulators.truth import TruthLog
from tests.unit.simulators.test_commands import commands


@asynccontextmanager
async def listening(folder: Path) -> AsyncIterator[tuple[Path, Commands]]:
    """A socket, and what it changes."""
    made, path = commands(), folder / "sim.sock"
    async with Control(path, made, Run(TruthLog(None), made.in_force)):
        yield path, made


async def test_the_socket_is_its_owners_and_goes_at_the_end(tmp_path: Path) -> None:
    """Also one that a killed simulator has left is replaced; another kind of file is not."""
    for _ in range(2):
        async with listening(tmp_path) as (path, _):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert not path.exists()
    async with listening(tmp_path) as (path, _):
        with pytest.raises(OSError, match="other simulators"):
            await Control(path, commands(), Run(TruthLog(None))).__aenter__()
        assert path.is_socket()
    path.write_text("mine")
    with pytest.raises(OSError, match="in use"):
        await Control(path, commands(), Run(TruthLog(None))).__aenter__()
    assert path.read_text() == "mine"


async def test_who_sends_too_much_is_hung_up_on(tmp_path: Path) -> None:
    """A line without an end; one client too many. Those that behave are answered."""
    async with listening(tmp_path) as (path, _):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"x" * (2 * LINE_MAX_BYTES + 2))
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        clients = [await asyncio.open_unix_connection(path) for _ in range(CLIENTS_MAX)]
        for reader, writer in clients:
            writer.write(b"list\n")
            assert await reader.readline() == b"ok\n"
        reader, late = await asyncio.open_unix_connection(path)
        assert await reader.read() == b""
        for each in (late, *(writer for _, writer in clients)):
            each.close()
