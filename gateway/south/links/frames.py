"""Frames of a stream, each with the time of the read that brought its first byte."""

from collections.abc import Iterator
from typing import Generic, TypeVar

from gateway.protocols.framing import FrameReader

At = TypeVar("At")  # boot ms or boot ns, and what else is known of a read


class TimedFrames(Generic[At]):
    """A `FrameReader` that remembers when what it holds began to come."""

    def __init__(self, reader: FrameReader) -> None:
        self._reader = reader
        self._began: At | None = None  # when the bytes came that no frame has taken yet
        self._bad_seen = 0

    @property
    def bad(self) -> int:
        """Bad checksums since `take_bad`."""
        return self._reader.bad_checksums - self._bad_seen

    def take_bad(self) -> int:
        """As `bad`, which is 0 from now on."""
        bad, self._bad_seen = self.bad, self._reader.bad_checksums
        return bad

    def feed(self, data: bytes, at: At) -> Iterator[tuple[bytes, At]]:
        """The frames that `data` completes, in order."""
        skipped = self._reader.skipped_bytes
        frames = self._reader.feed(data)
        if self._began is None or self._reader.skipped_bytes > skipped:  # what was held was no frame's beginning
            self._began = at
        for frame in frames:
            yield frame, self._began
            self._began = at
        if not self._reader.held_bytes:
            self._began = None
