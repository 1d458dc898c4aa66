"""Which devices of a line may still answer what they were asked: the rule that keeps a late reply from the next one.

A serial reply says at most whose it is, never which question it answers. After a talk that ended without its reply the
device may still send it. Until it has come, or `late.late_max_ns` has passed, that device is *barred*: not asked again.
Others on the line are asked meanwhile: their replies tell their own address, so a late one of this device is not taken
for theirs (a device that does not tell its address is alone on its line). Behind a converter all questions may wait in
one queue (`shared_queue`): what is asked while replies are owed may be taken up only when those are done, so its bar is
counted from the end of theirs, as `late` does it. Pure; belongs to the bus, not to a
connection: a port that was reopened still brings the old reply.
"""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.protocols.framing import FrameReader
from gateway.south.links.late import QUEUED_MAX


@dataclass(slots=True)
class Hope:
    """The reply that was waited for: what has come of it is in `reader`."""

    reader: FrameReader
    fits: Callable[[bytes], bool] | None

    def met(self, data: bytes) -> bool:
        """Whether it is whole with `data`."""
        return any(self.fits is None or self.fits(frame) for frame in self.reader.feed(data))


class Owed:
    """The barred devices of one bus, by a name each; at most one bar a device."""

    def __init__(self, *, shared_queue: bool = False) -> None:
        self._shared_queue = shared_queue
        self._bars: dict[str, tuple[int, Hope | None]] = {}

    def bar(self, device: str, until_ns: int, hope: Hope | None, now_ns: int = 0) -> None:
        """A reply is owed. Without a hope (what was waited for is not known) only time lifts the bar."""
        if self._shared_queue:
            longest_ns = until_ns - now_ns
            ahead = (theirs_ns for other, (theirs_ns, _) in self._bars.items() if other != device)
            taken_up_ns = min(max(ahead, default=0), now_ns + QUEUED_MAX * longest_ns)
            until_ns = max(until_ns, taken_up_ns + longest_ns)
        self._bars[device] = until_ns, hope

    def until_ns(self, device: str, now_ns: int) -> int | None:
        """Until when a device is not to be asked; None when it may be."""
        self._forget(now_ns)
        bar = self._bars.get(device)
        return bar[0] if bar else None

    def owes(self, now_ns: int) -> bool:
        """Whether any device is barred."""
        self._forget(now_ns)
        return bool(self._bars)

    def heard(self, data: bytes) -> int:
        """Bytes came that nobody waits for; how many late replies they end."""
        met = [device for device, (_, hope) in self._bars.items() if hope is not None and hope.met(data)]
        for device in met:
            del self._bars[device]
        return len(met)

    def _forget(self, now_ns: int) -> None:
        if any(until_ns <= now_ns for until_ns, _ in self._bars.values()):
            self._bars = {device: bar for device, bar in self._bars.items() if bar[0] > now_ns}
