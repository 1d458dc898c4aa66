"""Rows of one device and kind that have nulls never lie at the same ms. Pure.

In the store rows of one device, kind and time are one point with one text `qc`: the codes of one of two groups would
be overwritten, and its nulls would have no reason (docs/specs/wire.md, W-35). So the later comer moves by a ms.
"""

from collections import deque
from dataclasses import replace
from typing import Final

from gateway.model import BootMs, Row

REMEMBERED: Final = 64  # the latest times of one device and kind


class Apart:
    """Of all rows with nulls, in the order in which they leave."""

    def __init__(self) -> None:
        self._taken: dict[tuple[str, str], deque[BootMs]] = {}

    def moved(self, row: Row) -> Row:
        """The row, as little later as is needed: at most REMEMBERED ms."""
        key = (row.group.device, row.group.kind)
        taken = self._taken.setdefault(key, deque(maxlen=REMEMBERED))
        at = row.at
        while at in taken:
            at = BootMs(at + 1)
        taken.append(at)
        return row if at == row.at else replace(row, at=at)
