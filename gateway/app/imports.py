"""`gateway ioc import`: exported batches take the way that messages take, from `check` to the ledger, without a broker.

    lines of a file -> check, census -> Gathered -> Deposit (rows; ledger point) -> what became of each

So an import can do no more than a gateway could, and no less is proved: a batch counts as stored when its ledger point
is written. Writing one again changes nothing; what the ledger already had is told as known. What is withheld (an
outage, full dead letters) has no receipt here either: the file is kept and imported again.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from random import Random
from typing import Final

from gateway.app import files
from gateway.config.ioc import IocSettings
from gateway.counters import Counters
from gateway.errors import GatewayError, Malformed
from gateway.ioc.breaker import Breaker
from gateway.ioc.census import Census
from gateway.ioc.check import Accepted, Refuse, check
from gateway.ioc.deadletter import DeadLetters
from gateway.ioc.deposit import Deposit
from gateway.ioc.gather import Arrived, Gathered
from gateway.ioc.store.base import Store
from gateway.model import BatchId, BootMs, SeqRanges
from gateway.seams import Clock, Message
from gateway.wire import batch as batches
from gateway.wire import exported
from gateway.wire.topic import Topics

RETRY_FOR_MS: Final = 30_000  # of a store that is busy, for each request
REFUSALS_KEPT: Final = 20

OnMove = Callable[[int, int], None]  # (bytes read, bytes of the file)


class FileUnreadable(GatewayError):
    """The file of an import cannot be opened or read."""

    code = "import_unreadable"


@dataclass(slots=True)
class Imported:
    """What became of one file's batches."""

    path: Path
    new: int = 0
    known: int = 0  # the ledger had it; written again
    rejected_rows: int = 0  # now dead letters, with the reason
    withheld: int = 0
    refused: int = 0
    refusals: list[tuple[int, str]] = field(default_factory=list)  # (line, why), the first of them
    used_twice: int = 0  # seqs that now have two contents and had one before

    @property
    def whole(self) -> bool:
        """Whether all that the file holds is in the store."""
        return not (self.withheld or self.refused)

    def refuse(self, number: int, why: str) -> None:
        """One line."""
        self.refused += 1
        if len(self.refusals) < REFUSALS_KEPT:
            self.refusals.append((number, why))


class Importer:
    """For one or more files; raises StoreBusy when the store stays away, FileUnreadable."""

    def __init__(self, settings: IocSettings, store: Store, letters: DeadLetters, clock: Clock, random: Random) -> None:
        self._settings, self._store, self._clock = settings, store, clock
        self._deposit = Deposit(store, letters, Breaker(settings.accept), clock, Counters(), random)
        self._census = Census()
        self._ledger: dict[tuple[str, str], SeqRanges] = {}  # seqs that are stored
        self._doubles: dict[tuple[str, str], SeqRanges] = {}  # seqs that had two contents before

    async def take(self, path: Path, on_move: OnMove = lambda _done, _all: None) -> Imported:
        """One file, to its end."""
        found = Imported(path)
        touched: set[tuple[str, str]] = set()
        try:
            with files.regular(path) as file:
                size = os.fstat(file.fileno()).st_size
                gathered = Gathered(self._clock.boot_ms())
                for number, line in _lines(file):
                    self._look(gathered, found, number, line)
                    if gathered.due(gathered.since):
                        await self._put(gathered, found, touched)
                        on_move(file.tell(), size)
                        gathered = Gathered(self._clock.boot_ms())
                await self._put(gathered, found, touched)
        except OSError as error:
            raise FileUnreadable(f"{path}: {error.strerror or error}") from error
        for name in sorted(touched):
            two_crcs = (await self._store.ledger(*name)).two_crcs
            found.used_twice += len(two_crcs.minus(self._doubles[name]))
            self._doubles[name] = two_crcs
        return found

    def _look(self, gathered: Gathered, found: Imported, number: int, line: bytes) -> None:
        try:
            payload = exported.payload(line)
        except Malformed as error:
            found.refuse(number, str(error))
            return
        said = batches.peek(payload)
        if said is None:
            found.refuse(number, "no header of a batch")
            return
        settings = self._settings
        message = Message(Topics(settings.root, said.gateway).data, payload, 0, number)
        verdict = self._census.judge(check(message, settings.root, settings.relays, self._clock.utc_ms()))
        if isinstance(verdict, Accepted):
            gathered.add(Arrived(message, verdict), gathered.since)
        else:
            where = f"{said.gateway} {said.epoch} {said.seq}: "
            found.refuse(number, where + (f"{verdict.why}: {verdict.detail}" if isinstance(verdict, Refuse) else ""))

    async def _put(self, gathered: Gathered, found: Imported, touched: set[tuple[str, str]]) -> None:
        accepted = gathered.verdicts(Accepted)
        if not accepted:
            return
        for one in accepted:
            await self._know(one.batch.id)
            touched.add((one.batch.id.gateway, one.batch.id.epoch))
        settled = await self._deposit.put(accepted, (), BootMs(self._clock.boot_ms() + RETRY_FOR_MS))
        stored = [one.batch.id for one in settled]
        found.rejected_rows += sum(len(one.rejected) for one in settled)
        found.withheld += len(accepted) - len(settled)
        new = sum(id_.seq not in self._ledger[id_.gateway, id_.epoch] for id_ in set(stored))
        found.new += new
        found.known += len(stored) - new
        self._add(stored)

    async def _know(self, id_: BatchId) -> None:
        name = (id_.gateway, id_.epoch)
        if name not in self._ledger:
            ledger = await self._store.ledger(*name)
            self._ledger[name], self._doubles[name] = ledger.seqs, ledger.two_crcs

    def _add(self, stored: Sequence[BatchId]) -> None:
        for name in {(id_.gateway, id_.epoch) for id_ in stored}:
            seqs = SeqRanges.of_seqs(id_.seq for id_ in stored if (id_.gateway, id_.epoch) == name)
            self._ledger[name] = self._ledger[name].union(seqs)


def _lines(file: BufferedReader) -> Iterator[tuple[int, bytes]]:
    """With their numbers, from 1; of one that is too long the beginning, the rest is passed over."""
    number = 0
    while line := file.readline(exported.LINE_BYTES_MAX + 1):
        number += 1
        ended = line
        while len(ended) > exported.LINE_BYTES_MAX and not ended.endswith(b"\n"):
            ended = file.readline(exported.LINE_BYTES_MAX + 1)
        if line.strip():
            yield number, line
