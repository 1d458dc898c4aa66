"""While the disk fails: what it was last seen to hold, and what came meanwhile that it must be told. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from gateway.model import BootMs, Segment
from gateway.spool.snapshot import Oldest
from gateway.spool.view import View


@dataclass(slots=True)
class Outage:
    """Mutable, of the loop's side; made when the disk fails, thrown away when it has all."""

    why: str
    retry_at: BootMs
    away: View = field(default_factory=View)  # what the disk was seen to hold, and what was settled of it since
    oldest: Oldest = None
    blind: bool = False  # the disk was not there at the start, and has not been seen since
    malformed: bool = False  # it answers again, and its file contradicts itself: the next try salvages
    dated: dict[int, Segment] = field(default_factory=dict)  # meanwhile

    def date(self, segments: Iterable[Segment]) -> None:
        """These got their offset."""
        self.dated.update({segment.number: segment for segment in segments})

    def strange(self, there: Collection[Segment], here: dict[int, Segment], boot: str) -> list[Segment]:
        """What the timeline will not date of a disk that comes late: earlier boots, and this one's if it was not seen.

        With this boot's clock, if it is needed. `there` lies on the disk, `here` in the ring.
        """
        earlier = [s for s in there if s.boot != boot]
        unseen = [s for s in there if self.blind and s.boot == boot and s.number not in here]
        return [*earlier, *unseen, *(s for s in here.values() if unseen and s.offset_ms is not None)]
