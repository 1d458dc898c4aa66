"""What the control socket answers: a table from request to the stage that knows."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Protocol

import orjson

from gateway.app.status import StatusBoard
from gateway.control.server import Handler
from gateway.counters import Counters
from gateway.model import Row
from gateway.seams import Clock
from gateway.wire import documents


class HasRows(Protocol):
    """A bus loop."""

    @property
    def last_rows(self) -> Sequence[Row]:
        """The newest row of each group."""
        ...


class Believes(Protocol):
    """The chain, or the judge alone."""

    def believed(self, row: Row) -> Row:
        """With a code for each value that cannot be true."""
        ...


def handlers(
    board: StatusBoard, buses: Sequence[HasRows], judge: Believes, counters: Counters, clock: Clock
) -> Mapping[str, Handler]:
    """Every request this daemon answers. Rows are shown as they are sent: what cannot be true is null here too."""
    return {
        "status": _one(lambda: orjson.loads(documents.encode_status(board.status()))),
        "counters": _one(lambda: [[name, labels, value] for name, labels, value in counters]),
        "rows": lambda _: _rows(buses, judge, clock),
    }


def _one(answer: Callable[[], object]) -> Handler:
    async def handler(_: dict[str, object]) -> AsyncGenerator[object, None]:
        yield answer()

    return handler


async def _rows(buses: Sequence[HasRows], judge: Believes, clock: Clock) -> AsyncGenerator[object, None]:
    for bus in buses:
        for row in map(judge.believed, bus.last_rows):
            yield {
                "device": row.group.device,
                "kind": row.group.kind,
                "age_ms": clock.boot_ms() - row.at,
                "values": dict(zip(row.group.fields, row.values, strict=True)),
                "quality": {row.group.fields[at]: str(code) for at, code in row.quality},
            }
