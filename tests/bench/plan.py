"""Bus time of our plans beside greedy gap filling, for every shipped profile that is read by Modbus.

Greedy takes the fields by address and joins the next one to the read at hand when the gap is at most so many registers
and the read stays legal. Its best gap is found by trying all of them, for each profile and line anew: nobody who
configures one gap for all gets that far.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from gateway.profile.codec import Block
from gateway.profile.load import load
from gateway.profile.profile import Field, Line, ModbusSource, Profile
from gateway.protocols.modbus_pdu import ReadRequest, Table
from gateway.site import Bus
from gateway.sources import search_path
from gateway.south.reads.plan import BITS_MAX, REGISTERS_MAX, LineCost, Read, Span, bus_ms, line_cost, plan, span_of
from tests.bench.table import Budget, Row, per_cent

BUDGET = Budget("bus time of a plan, against the best greedy gap filling", "never above, any profile")
BUDGETS = (BUDGET,)
TRANSPORTS = ("rtu", "tcp")
USUAL_GAP = 16  # of a well-known planner
EPSILON = 1e-9


def measure(_: Path) -> Iterator[Row]:
    """Each profile on its own serial line and on TCP."""
    profiles = load(search_path()).profiles
    read = {ref: profile for ref, profile in sorted(profiles.items()) if isinstance(profile.source, ModbusSource)}
    compared = {ref: [_against(profile, transport) for transport in TRANSPORTS] for ref, profile in read.items()}
    worst = max(one.over_best for both in compared.values() for one in both)
    gains = [1 - one.over_usual for both in compared.values() for one in both]
    streams = len(profiles) - len(read)
    measured = f"x{worst:.3f} at worst of {len(read)} profiles ({streams} are streams)"
    usual = f"; gain on gap {USUAL_GAP}: {per_cent(median(gains))} (to {per_cent(max(gains))})"
    yield BUDGET.row(measured + usual, within=worst <= 1 + EPSILON)
    for ref, both in compared.items():
        shown = "; ".join(f"{transport} {one}" for transport, one in zip(TRANSPORTS, both, strict=True))
        yield Row(
            f"  {ref}", BUDGET.limit, shown, "ok" if all(one.over_best <= 1 + EPSILON for one in both) else "over"
        )


@dataclass(frozen=True, slots=True)
class _Against:
    """Our bus time, and over that of greedy: at its best gap, and at the usual one."""

    reads: int
    ms: float
    over_best: float
    over_usual: float

    def __str__(self) -> str:
        gains = f"gain {per_cent(1 - self.over_best)}, on gap {USUAL_GAP} {per_cent(1 - self.over_usual)}"
        return f"{self.reads} reads {self.ms:.1f} ms, {gains}"


def _against(profile: Profile, transport: str) -> _Against:
    source = profile.source
    assert isinstance(source, ModbusSource)
    cost = line_cost(Bus("bus", transport, "own", "", source.line or Line(), ()), source)
    fields = profile.reported
    reads = plan(profile, fields, cost)
    ms = sum(bus_ms(read, cost) for read in reads)
    greedy = [_greedy_ms(fields, source, cost, gap) for gap in range(REGISTERS_MAX)]
    return _Against(len(reads), ms, ms / min(greedy), ms / greedy[USUAL_GAP])


def _greedy_ms(fields: Sequence[Field], source: ModbusSource, cost: LineCost, gap: int) -> float:
    reads: list[Span] = []
    for span in sorted(span_of(field) for field in fields):
        at_hand = reads[-1] if reads else None
        if at_hand is not None and _joins(at_hand, span, source, gap):
            reads[-1] = Span(span.table, at_hand.first, max(at_hand.last, span.last))
        else:
            reads.append(span)
    return sum(bus_ms(_read(span), cost) for span in reads)


def _joins(at_hand: Span, span: Span, source: ModbusSource, gap: int) -> bool:
    bits = span.table in {Table.COIL, Table.DISCRETE}
    limit = BITS_MAX if bits else min(source.max_registers, REGISTERS_MAX)
    joined = Span(span.table, at_hand.first, max(at_hand.last, span.last))
    return (
        at_hand.table == span.table
        and span.first - at_hand.last - 1 <= gap
        and joined.last - joined.first < limit
        and not any(Span(*hole).touches(joined) for hole in source.never_read)
    )


def _read(span: Span) -> Read:
    request = ReadRequest(span.table, span.first, span.last - span.first + 1)
    return Read(request, Block([], request.table, request.address, request.count), ())
