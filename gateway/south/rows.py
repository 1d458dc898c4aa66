"""The way out of south: counts each row, keeps the newest of every group for the control socket, hands it on."""

from collections.abc import Callable

from gateway.counters import Counters
from gateway.model import Row


class Rows:
    """Rows of one bus. The times of one group rise strictly (docs/specs/wire.md): a row against it is only counted."""

    def __init__(self, bus: str, counters: Counters, on_row: Callable[[Row], None]) -> None:
        self._bus = bus
        self._counters = counters
        self._on_row = on_row
        self._newest: dict[int, Row] = {}

    @property
    def newest(self) -> tuple[Row, ...]:
        """The last row of each group that has had one."""
        return tuple(self._newest.values())

    def put(self, group: int, row: Row) -> None:
        """`group` = its place among the groups of this bus."""
        before = self._newest.get(group)
        if before is not None and row.at <= before.at:
            self._counters.add("rows_same_time", bus=self._bus, device=row.group.device)
            return
        self._newest[group] = row
        good = len(row.values) - row.values.count(None)
        self._counters.add("rows", bus=self._bus, device=row.group.device)
        self._counters.add("readings", good, bus=self._bus, device=row.group.device)
        self._on_row(row)
