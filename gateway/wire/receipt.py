"""A receipt as one message.

STUB: signatures fixed by the foundation; bodies to be written.
"""

from gateway.model import Receipt


def encode(receipt: Receipt) -> bytes: ...


def decode(message: bytes) -> Receipt:
    """Raises Malformed; bounded."""
    ...
