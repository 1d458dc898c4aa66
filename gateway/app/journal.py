"""Which writes were begun and how they ended, on disk: what makes "carried out once" true over restarts.

`commands.journal` beside the spool. Each entry is

    newline, CRC-32 of the text in 8 hex digits, space, the text: a JSON array

    ["begun", id, device, [field, value, by]]
    ["ended", id, ok, code, detail, value]

An entry begins with its newline, so that what a power cut tore never takes the next one with it. `begun` is on disk
(fsync) before a byte is sent to the device, `ended` after its event was handed on. What was begun and has no end was
interrupted. An entry that cannot be read is left out and told (`command_journal_damaged`): the journal never keeps the
gateway from starting, and a file that cannot be written refuses new writes, not readings.

Bounded: the last KEPT_MAX ids of the centre (a local write has an id of its own: once it has ended, nobody can ask for
it again); the file is written anew (beside it, then renamed) once it has ENTRIES_MAX entries.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar
from zlib import crc32

import orjson

from gateway.app import files
from gateway.errors import GatewayError
from gateway.model import Value
from gateway.north.commands import INTERRUPTED, REMEMBERED_MAX
from gateway.seams import Worker
from gateway.wire.command import Outcome

NAME: Final = "commands.journal"
KEPT_MAX: Final = REMEMBERED_MAX
ENTRIES_MAX: Final = 4 * KEPT_MAX
BYTES_MAX: Final = 8 << 20  # that are read: twice what ENTRIES_MAX entries can be
MODE: Final = 0o600
LOCAL: Final = "local"  # who asked, where it was nobody of the centre

T = TypeVar("T")


class NotNoted(GatewayError):
    """The journal cannot be written: what is not noted is not carried out."""

    code = "not_noted"


@dataclass(frozen=True, slots=True)
class Begun:
    """One write that is about to be made."""

    id: str  # of the command; of a local write one of its own
    device: str
    field: str
    value: Value
    by: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What an earlier life left: every end, oldest first; what has none; how many entries could not be read."""

    ended: tuple[Outcome, ...]
    interrupted: tuple[Begun, ...]
    damaged: int


@dataclass(slots=True)
class _Entry:
    begun: Begun | None = None
    ended: Outcome | None = None


@dataclass(slots=True)
class Journal:
    """All its disk work is done by `worker`."""

    path: Path
    worker: Worker
    _entries: "OrderedDict[str, _Entry]" = field(default_factory=OrderedDict)
    _written: int = 0  # entries in the file

    async def open(self) -> Kept:
        """Never raises: what cannot be read is damage. What was interrupted is from now on ended as such."""
        damaged = await self._disk(self._load)
        open_ = [entry.begun for entry in self._entries.values() if entry.begun and entry.ended is None]
        for begun in open_:
            self._end(Outcome(begun.id, ok=False, code=INTERRUPTED))
        if damaged or open_ or self._written > ENTRIES_MAX:
            try:
                await self._disk(self._rewrite)
            except NotNoted:
                damaged += 1
        ended = tuple(entry.ended for entry in self._entries.values() if entry.ended)  # the centre's
        return Kept(ended, tuple(open_), damaged)

    async def begin(self, begun: Begun) -> None:
        """On disk when this returns; raises NotNoted."""
        await self._disk(lambda: self._append(_begun(begun)))
        self._keep(begun.id).begun = begun

    async def end(self, outcome: Outcome) -> None:
        """Raises NotNoted; what was begun is then interrupted for the next life."""
        self._end(outcome)
        await self._disk(lambda: self._append(_ended(outcome)))

    async def _disk(self, step: Callable[[], T]) -> T:
        try:
            return await self.worker.run(step)
        except OSError as error:
            raise NotNoted(f"{self.path}: {error.strerror or error}") from error
        finally:
            self.worker.close()  # writes are rare: no thread waits for the next one

    def _keep(self, command_id: str) -> _Entry:
        entry = self._entries.setdefault(command_id, _Entry())
        while len(self._entries) > KEPT_MAX:
            self._entries.popitem(last=False)
        return entry

    def _end(self, outcome: Outcome) -> None:
        entry = self._keep(outcome.id)
        entry.ended = outcome
        if entry.begun is not None and entry.begun.by == LOCAL:
            del self._entries[outcome.id]

    def _load(self) -> int:
        """The entries that could not be read."""
        try:
            with files.regular(self.path) as file:
                skipped = max(0, os.fstat(file.fileno()).st_size - BYTES_MAX)
                file.seek(skipped)
                lines = file.read(BYTES_MAX).split(b"\n")
        except FileNotFoundError:
            return 0
        except OSError:
            return 1
        damaged = 0
        for line in filter(None, lines[1 if skipped else 0 :]):
            read = _read(line)
            self._written += 1
            if isinstance(read, Begun):
                self._keep(read.id).begun = read
            elif isinstance(read, Outcome):
                self._end(read)
            else:
                damaged += 1
        return damaged

    def _append(self, line: bytes) -> None:
        if self._written >= ENTRIES_MAX:
            self._rewrite()
        fresh = not self.path.exists()
        _add(self.path, line)
        if fresh:
            _sync(self.path.parent)
        self._written += 1

    def _rewrite(self) -> None:
        lines = list(self._lines())
        files.keep(self.path, b"".join(lines))
        _sync(self.path.parent)
        self._written = len(lines)

    def _lines(self) -> Iterator[bytes]:
        for entry in self._entries.values():
            if entry.begun:
                yield _begun(entry.begun)
            if entry.ended:
                yield _ended(entry.ended)


def _begun(begun: Begun) -> bytes:
    return _line(["begun", begun.id, begun.device, [begun.field, begun.value, begun.by]])


def _ended(outcome: Outcome) -> bytes:
    return _line(["ended", outcome.id, outcome.ok, outcome.code, outcome.detail, outcome.value])


def _line(entry: list[object]) -> bytes:
    text = orjson.dumps(entry)
    return b"\n%08x %b" % (crc32(text), text)


def _read(line: bytes) -> Begun | Outcome | None:
    """None for what is no entry of ours: its checksum says so, whatever stands there."""
    crc, _, text = line.partition(b" ")
    if crc != b"%08x" % crc32(text):
        return None
    try:
        entry = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    match entry:
        case ["begun", str(id_), str(device), [str(name), bool() | int() | float() | str() as value, str(by)]]:
            return Begun(id_, device, name, value, by)
        case ["ended", str(id_), bool(ok), str(code), str(detail), None | bool() | int() | float() | str() as value]:
            return Outcome(id_, ok, code, detail, value)
        case _:
            return None


def _add(path: Path, data: bytes) -> None:
    file = os.open(path, files.FLAGS | os.O_WRONLY | os.O_APPEND | os.O_CREAT, MODE)
    try:
        if os.write(file, data) != len(data):
            raise OSError("short write")
        os.fsync(file)
    finally:
        os.close(file)


def _sync(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
