"""The body of a batch: rows, events, gaps <-> bytes. Written once, stored as it is, sent as it is.

STUB: signatures fixed by the foundation; bodies to be written.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.model import BootMs, Detail, Event, Gap, Group, Row, Value


@dataclass(frozen=True, slots=True)
class GroupRows:
    """The rows of one group; offsets in ms after the batch's t0."""

    group: Group
    rows: tuple[tuple[int, tuple[Value | None, ...]], ...]
    quality: tuple[tuple[int, int, str], ...]  # (row, field, code); readers keep codes they do not know


@dataclass(frozen=True, slots=True)
class BodyEvent:
    """An event as it travels; its offset may be negative."""

    offset_ms: int
    subject: str
    code: str
    detail: Detail


@dataclass(frozen=True, slots=True)
class Body:
    """A batch, opened."""

    groups: tuple[GroupRows, ...]
    events: tuple[BodyEvent, ...] = ()
    gaps: tuple[Gap, ...] = ()


class BodyWriter:
    """Collects rows and events of one boot and knows about how big they are before they are encoded."""

    def __init__(self, b0: BootMs) -> None: ...

    b0: BootMs
    last: BootMs

    def add(self, item: Row | Event) -> None: ...
    @property
    def n(self) -> int:
        """Rows so far."""
        ...

    @property
    def empty(self) -> bool:
        """Neither rows nor events."""
        ...

    @property
    def size_bytes_estimate(self) -> int:
        """Of the JSON, before compression; an upper bound within reason, O(1)."""
        ...

    def encode(self) -> tuple[str, bytes]:
        """(enc, body): zlib where that is smaller, else none."""
        ...


def encode_gaps(gaps: Sequence[Gap]) -> tuple[str, bytes]:
    """A body of gap records only: what the spool writes when it gives batches up."""
    ...


def decode(enc: str, data: bytes) -> Body:
    """Raises Malformed(schema|limit); bounded in size, depth, rows, names."""
    ...
