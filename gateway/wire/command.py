"""Commands down, outcomes up (a `reply` is a device's, never the IOC's).

STUB: signatures fixed by the foundation; bodies to be written.
"""

from dataclasses import dataclass

from gateway.model import UtcMs


@dataclass(frozen=True, slots=True)
class Command:
    """What the IOC asks of a gateway."""

    id: str
    expires: UtcMs
    name: str
    arguments: dict[str, object]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command."""

    id: str
    ok: bool
    code: str


def decode(message: bytes) -> Command:
    """Raises Malformed; bounded."""
    ...


def encode(outcome: Outcome) -> bytes: ...
