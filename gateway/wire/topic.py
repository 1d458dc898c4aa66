"""The topic tree, both ways (docs/specs/wire.md, section 1).

    {root}/{gateway}/up/data | up/status | up/catalog | up/outcome      gateway -> IOC
    {root}/{gateway}/down/receipt | down/command                        IOC -> gateway

The second last level tells the direction, so that a broker's ACL needs two patterns and no list.
"""

from dataclasses import dataclass

from gateway.errors import Malformed
from gateway.wire.checked import ID

UP = ("up/data", "up/status", "up/catalog", "up/outcome")
DOWN = ("down/receipt", "down/command")


@dataclass(frozen=True, slots=True)
class Topics:
    """All topics of one gateway under one root; with gateway "+" the filters of the IOC."""

    root: str
    gateway: str

    @property
    def data(self) -> str:
        """Batches; QoS 1, not retained."""
        return f"{self.root}/{self.gateway}/up/data"

    @property
    def status(self) -> str:
        """Status and will; QoS 1, retained."""
        return f"{self.root}/{self.gateway}/up/status"

    @property
    def catalog(self) -> str:
        """What is measured; QoS 1, retained."""
        return f"{self.root}/{self.gateway}/up/catalog"

    @property
    def outcome(self) -> str:
        """What became of commands; QoS 1, not retained."""
        return f"{self.root}/{self.gateway}/up/outcome"

    @property
    def receipt(self) -> str:
        """The IOC's word for batches; QoS 1, not retained."""
        return f"{self.root}/{self.gateway}/down/receipt"

    @property
    def command(self) -> str:
        """What the IOC asks; QoS 1, not retained."""
        return f"{self.root}/{self.gateway}/down/command"


def gateway_of(root: str, topic: str) -> str:
    """Whose topic this is (W-11); raises Malformed(gateway) for all but the six topics of a gateway under `root`."""
    inside = topic.removeprefix(f"{root}/")
    gateway, _, rest = inside.partition("/")
    if inside == topic or ID.fullmatch(gateway) is None or rest not in UP + DOWN:
        raise Malformed("gateway", f"not a topic under {root}")
    return gateway


def shared_data(root: str) -> str:
    """`$share/ingest/{root}/+/up/data`: the only shared filter, a name used for nothing else (W-12)."""
    return f"$share/ingest/{Topics(root, '+').data}"
