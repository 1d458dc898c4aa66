"""Rows and messages the store will never take, with the reason, on the IOC's disk.

Layout: a folder of files `dead-00000001.jsonl`, `dead-00000002.jsonl`, ...; one JSON object a line; only ever appended
to, by one write and one fsync for each call; a new file when the last one is full. A torn last line (power cut, full
disk) is ended by a newline before the next one: it costs itself, nothing else.
The folder is bounded. Full = StoreBusy: no receipt is given, so the gateways keep their rows, until an operator has
moved files away. Messages that nobody can be answered for may use half of it: garbage cannot stop receipts. Nor can one
gateway use up the room of the others: each has a share, counted since this worker started or files were moved away.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from gateway.errors import StoreBusy
from gateway.model import Seq, UtcMs
from gateway.seams import Worker
from gateway.worker import ThreadWorker

FILE_MAX_BYTES = 16 << 20
TOTAL_MAX_BYTES = 256 << 20
SHARE_MAX_BYTES = 32 << 20  # of one gateway
MODE = 0o640


@dataclass(frozen=True, slots=True)
class Letter:
    """One row, event or message. `content` is line protocol, or base64 of a payload that is none."""

    at_ms: UtcMs
    gateway: str
    code: str  # why
    content: str
    detail: str = ""
    epoch: str = ""
    seq: Seq = 0
    group: int | None = None
    row: int | None = None


class DeadLetters:
    """Kept when `keep` returns."""

    def __init__(
        self,
        folder: Path,
        worker: Worker | None = None,
        *,
        total_max_bytes: int = TOTAL_MAX_BYTES,
        file_max_bytes: int = FILE_MAX_BYTES,
        share_max_bytes: int = SHARE_MAX_BYTES,
    ) -> None:
        self._folder = folder
        self._worker = worker or ThreadWorker("dead-letters")
        self._total_max_bytes = total_max_bytes
        self._file_max_bytes = file_max_bytes
        self._share_max_bytes = share_max_bytes
        self._shares: Counter[str] = Counter()
        self._seen_bytes = 0  # in the folder, when it was last looked at

    async def keep(self, letters: Sequence[Letter], *, answered: bool = True) -> None:
        """On disk when this returns; raises StoreBusy. `answered` False: nobody waits for a receipt for it."""
        if letters:
            lines = [orjson.dumps(asdict(letter)) + b"\n" for letter in letters]
            shares: Counter[str] = Counter()
            for letter, line in zip(letters, lines, strict=True):
                shares[letter.gateway] += len(line) if answered else 0
            room_bytes = self._total_max_bytes // (1 if answered else 2)
            await self._worker.run(lambda: self._append(b"".join(lines), shares, room_bytes))

    def close(self) -> None:
        """Ends its thread."""
        self._worker.close()

    def _append(self, data: bytes, shares: Counter[str], total_max_bytes: int) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            files = sorted(self._folder.glob("dead-*.jsonl"))
            sizes = [file.stat().st_size for file in files]
            self._check_room(sum(sizes), len(data), shares, total_max_bytes)
            fits = bool(files) and sizes[-1] + len(data) <= self._file_max_bytes
            _write(files[-1] if fits else self._next(files), data)
            if not fits:
                _sync(self._folder)
        except OSError as error:
            raise StoreBusy(f"dead letters: {error}") from error
        self._shares += shares

    def _check_room(self, used_bytes: int, new_bytes: int, shares: Counter[str], total_max_bytes: int) -> None:
        if used_bytes < self._seen_bytes:
            self._shares.clear()
        self._seen_bytes = used_bytes
        if used_bytes + new_bytes > total_max_bytes:
            raise StoreBusy(f"dead letters are full: {used_bytes} bytes in {self._folder}")
        for gateway, share_bytes in shares.items():
            if self._shares[gateway] + share_bytes > self._share_max_bytes:
                raise StoreBusy(f"the share of {gateway} in the dead letters is full: {self._shares[gateway]} bytes")

    def _next(self, files: Sequence[Path]) -> Path:
        number = int(files[-1].stem.removeprefix("dead-")) + 1 if files else 1
        return self._folder / f"dead-{number:08}.jsonl"


def _write(path: Path, data: bytes) -> None:
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE)
    try:
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            data = b"\n" + data
        if os.write(file, data) != len(data):
            raise OSError("short write")
        os.fsync(file)
    finally:
        os.close(file)


def _sync(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
