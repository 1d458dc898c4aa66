"""Rows and events -> drafts: closes at max_age, max_bytes, or at once for what is urgent.

STUB: signatures fixed by the foundation; bodies to be written.
"""

from gateway.model import BootMs, Draft, Event, Row


class Packer:
    """One open batch at a time. `max_age_ms` counts from its first item."""

    def __init__(self, boot: str, *, max_bytes: int, max_age_ms: int, offline_age_ms: int = 10_000) -> None: ...
    def add(self, item: Row | Event) -> list[Draft]:
        """The drafts this item closed: none, one (full; or an urgent item, which leaves with all that was open), never the item lost."""
        ...

    def due(self, now: BootMs, *, online: bool) -> list[Draft]:
        """The open draft when it is old enough (max_age online, never under 10 s offline)."""
        ...

    def flush(self) -> list[Draft]:
        """What is open, for shutdown."""
        ...

    def closes_at(self, *, online: bool) -> BootMs | None:
        """When `due` will have something; None while nothing is open."""
        ...
