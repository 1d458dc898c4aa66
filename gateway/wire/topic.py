"""The topic tree, both ways.

STUB: signatures fixed by the foundation; bodies to be written.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topics:
    """All topics of one gateway under one root; with gateway "+" the filters of the IOC."""

    root: str
    gateway: str

    @property
    def data(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def catalog(self) -> str: ...
    @property
    def outcome(self) -> str: ...
    @property
    def receipt(self) -> str: ...
    @property
    def command(self) -> str: ...


def gateway_of(root: str, topic: str) -> str:
    """Whose topic this is; raises Malformed."""
    ...


def shared_data(root: str) -> str:
    """`$share/ingest/{root}/+/up/data`: the only shared filter, a name used for nothing else."""
    ...
