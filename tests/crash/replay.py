"""From a log of what was done to files, every state a power cut could have left.

The medium keeps what was synced. Of what was written since, each sector of 512 bytes holds any one of its versions, old
or new, on its own: writes are lost, torn and reordered. A file that was never synced may be missing; so may a delete,
or a change of length.

This is SQLite's own model with powersafe overwrite: a write changes no byte outside its range.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.crash.recorder import Delete, Fact, Op, Sync, Truncate, Write
from tests.crash.truth import Truth

SECTOR_BYTES = 512


@dataclass
class Medium:
    """What is on it for sure, and what is under way."""

    files: dict[str, bytearray] = field(default_factory=dict)
    waiting: dict[str, list[Write | Truncate | Delete]] = field(default_factory=dict)  # since the file was last synced

    def do(self, op: Op) -> None:
        """One more."""
        match op:
            case Write() | Truncate():
                self.waiting.setdefault(op.file, []).append(op)
            case Sync(file):
                new = file not in self.files
                apply(self.files, self.waiting.pop(file, []))
                if new:
                    self._sync_folder()
            case Delete(file, synced):
                self.waiting.setdefault(file, []).append(op)
                if synced:
                    self._sync_folder()
            case Fact():
                raise TypeError("a fact is not done to a file")

    def _sync_folder(self) -> None:
        """SQLite does it after the first sync of a journal or WAL, and after some deletes: no name comes back."""
        for file, ops in list(self.waiting.items()):
            last = max((at for at, op in enumerate(ops) if isinstance(op, Delete)), default=-1)
            apply(self.files, ops[: last + 1])
            self.waiting[file] = ops[last + 1 :]

    def after_cut(self, random: Random) -> dict[str, bytes]:
        """One of the states it could be found in."""
        files = {name: bytes(data) for name, data in self.files.items()}
        manner = random.choice(["none", "all", "each", "each", "torn", "torn"])
        for name, ops in self.waiting.items():
            part = _part(ops, manner, random)
            there = {name: bytearray(files[name])} if name in files else {}
            apply(there, part)
            files.pop(name, None)
            files.update({key: bytes(data) for key, data in there.items()})
        return files


def apply(files: dict[str, bytearray], ops: Sequence[Write | Truncate | Delete]) -> None:
    """In order."""
    for op in ops:
        if isinstance(op, Delete):
            files.pop(op.file, None)
            continue
        data = files.setdefault(op.file, bytearray())
        end = op.at + len(op.data) if isinstance(op, Write) else op.size
        data.extend(bytes(max(0, end - len(data))))
        if isinstance(op, Write):
            data[op.at : end] = op.data
        else:
            del data[end:]


def states(log: Sequence[Op], count: int, random: Random) -> Iterator[tuple[int, dict[str, bytes], Truth]]:
    """`count` of them, at places spread over the log, and what had been promised by then."""
    places = sorted(random.choices([at for at, op in enumerate(log) if not isinstance(op, Fact)], k=count))
    medium, truth, done = Medium(), Truth(), 0
    for place in places:
        for op in log[done : place + 1]:
            if isinstance(op, Fact):
                truth.add(op)
            else:
                medium.do(op)
        done = place + 1
        yield place, medium.after_cut(random), truth


def lay_out(folder: Path, files: dict[str, bytes]) -> None:
    """Into an empty folder."""
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def _part(ops: Sequence[Write | Truncate | Delete], manner: str, random: Random) -> list[Write | Truncate | Delete]:
    if manner == "none":
        return []
    if manner == "all":
        return list(ops)
    if manner == "each":
        return [op for op in ops if random.random() < 0.5]
    return [piece for op in ops for piece in _pieces(op) if random.random() < 0.5]


def _pieces(op: Write | Truncate | Delete) -> list[Write | Truncate | Delete]:
    if not isinstance(op, Write):
        return [op]
    at, end, out = op.at, op.at + len(op.data), list[Write | Truncate | Delete]()
    while at < end:
        upto = min(end, (at // SECTOR_BYTES + 1) * SECTOR_BYTES)
        out.append(Write(op.file, at, op.data[at - op.at : upto - op.at]))
        at = upto
    return out
