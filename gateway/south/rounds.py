"""Rows from overheard replies: what another master reads in one round is one row of a group. Pure.

Whoever listens has no say in what is read, when, or in which order. So a *round* begins with the first reply that
brings a field which is due, and its time is that of this reply's first byte. It ends, and is a row, when
- every field of the group is in it, or (once a first round has shown which ones come) every field that was heard in
  the last HEARD_PERIODS periods, or
- a field comes a second time: that is the next round, or
- it is as old as the period, at most ROUND_MS_MAX: so far the time of a row may be from the time of its last value.
A field is due when its period has passed since it was last in a row, less a quarter: a faster master is sampled, and a
slower field makes a row when it comes. What the round did not bring is null, `no_reply`; what the device refused is
null, `refused`; a value is never carried from one round into the next.

A field counts only when one reply holds the whole of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway.model import BootMs, Quality, Row, Value
from gateway.profile.codec import Block, finish
from gateway.protocols.modbus_pdu import ReadRequest
from gateway.site import Polled
from gateway.south.reads.plan import Span, span_of

HEARD_PERIODS = 10
ROUND_MS_MAX = 2000
READS_MAX = 64  # different requests whose layout is kept


@dataclass(slots=True)
class _Round:
    at: BootMs
    values: dict[int, Value | None] = field(default_factory=dict)  # by place among the fields
    null: dict[int, Quality] = field(default_factory=dict)


class Rounds:
    """Of one group."""

    def __init__(self, polled: Polled) -> None:
        self._polled = polled
        self._spans = [span_of(one) for one in polled.fields]
        self._apart_ms = polled.period_ms - polled.period_ms // 4
        self._longest_ms = min(polled.period_ms, ROUND_MS_MAX)
        self._layouts: dict[ReadRequest, tuple[list[int], Block]] = {}
        self._heard: dict[int, BootMs] = {}  # when each place last came
        self._given: dict[int, BootMs] = {}  # and when it was last in a row
        self._open: _Round | None = None
        self._shown_at: BootMs | None = None  # when the first round is over

    @property
    def ends_at(self) -> BootMs | None:
        """When `end` has to be called; None between rounds."""
        return BootMs(self._open.at + self._longest_ms) if self._open else None

    @property
    def never_heard(self) -> tuple[str, ...]:
        """Fields of the group that have not come once."""
        return tuple(name for place, name in enumerate(self._polled.group.fields) if place not in self._heard)

    def take(self, request: ReadRequest, data: bytes, at: BootMs) -> Iterator[Row]:
        """The rows that a good reply ends; raises ValueError when `data` is not what was asked for."""
        places, block = self._layout(request)
        if not places:
            return
        decoded = block.decode(data)
        if self._open and (at - self._open.at > self._longest_ms or not self._open.values.keys().isdisjoint(places)):
            yield self._row(self._open)
        self._heard |= dict.fromkeys(places, at)
        self._shown_at = self._shown_at or BootMs(at + self._longest_ms)
        if self._open is None and any(self._due(place, at) for place in places):
            self._open = _Round(at)
        if self._open:
            self._open.values |= dict(zip(places, decoded.values, strict=True))
            self._open.null |= {places[n]: why for n, why in decoded.quality}
            if self._is_whole(self._open, at):
                yield self._row(self._open)

    def refuse(self, request: ReadRequest) -> None:
        """The device answered with an exception."""
        if self._open:
            places, _ = self._layout(request)
            self._open.null |= dict.fromkeys(set(places) - self._open.values.keys(), Quality.REFUSED)

    def end(self, now: BootMs) -> Row | None:
        """The row of a round that is too old to grow."""
        return self._row(self._open) if self._open and now - self._open.at >= self._longest_ms else None

    def _layout(self, request: ReadRequest) -> tuple[list[int], Block]:
        """Which places a reply brings whole, and how to read them."""
        if request not in self._layouts:
            if len(self._layouts) >= READS_MAX:
                self._layouts.clear()
            all_of_it = Span(request.table, request.address, request.address + request.count - 1)
            places = [place for place, span in enumerate(self._spans) if all_of_it.covers(span)]
            fields = [self._polled.fields[place] for place in places]
            self._layouts[request] = places, Block(fields, request.table, request.address, request.count)
        return self._layouts[request]

    def _due(self, place: int, at: BootMs) -> bool:
        given = self._given.get(place)
        return given is None or at - given >= self._apart_ms

    def _is_whole(self, one: _Round, now: BootMs) -> bool:
        if self._shown_at is None or now < self._shown_at:
            return len(one.values) == len(self._spans)
        lately = now - HEARD_PERIODS * self._polled.period_ms
        return all(place in one.values for place, at in self._heard.items() if at >= lately)

    def _row(self, one: _Round) -> Row:
        self._open = None
        self._given |= dict.fromkeys(one.values, one.at)
        every = range(len(self._polled.fields))
        values = [one.values.get(place) for place in every]
        null = {place: one.null.get(place, Quality.NO_REPLY) for place in every if values[place] is None}
        finish(self._polled.fields, values, null)
        reported = len(self._polled.group.fields)
        quality = tuple(sorted((place, why) for place, why in null.items() if place < reported))
        return Row(self._polled.group, one.at, tuple(values[:reported]), quality)
