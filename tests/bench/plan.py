"""Bus time of our plans beside greedy gap filling, for every shipped profile that is read by Modbus.

Greedy takes the fields by address and joins the next one to the read at hand when the gap is at most so many registers
and the read stays legal. Its best gap is found by trying all of them, for each profile and line anew: nobody who
configures one gap for all gets that far.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from gateway.profile.codec import Block
from gateway.profile.load import load
from gateway.profile.profile import Field, Line, ModbusSource, Profile
from gateway.protocols.modbus_pdu import ReadRequest, Table
from gateway.site import Bus
from gateway.sources import search_path
from gateway.south.plan import BITS_MAX, REGISTERS_MAX, LineCost, Read, Span, bus_ms, line_cost, plan, span_of
from tests.bench.table import Budget, Row

BUDGET = Budget("bus time of a plan, against the best greedy gap filling", "never above, any profile")
BUDGETS = (BUDGET,)
TRANSPORTS = ("rtu", "tcp")
USUAL_GAP = 16  # of a well-known planner


def measure(_: Path) -> Iterator[Row]:
    """Each profile on its own serial line and on TCP."""
    profiles = load(search_path()).profiles
    read = {ref: profile for ref, profile in profiles.items() if isinstance(profile.source, ModbusSource)}
    ratios = [_against(profile, transport) for profile in read.values() for transport in TRANSPORTS]
    best, usual = ([ratio[at] for ratio in ratios] for at in (0, 1))
    against_usual = f"gap {USUAL_GAP}: x{min(usual):.2f} to x{max(usual):.2f}"
    streams = len(profiles) - len(read)
    measured = f"x{max(best):.3f} at worst of {len(read)} profiles ({streams} are streams); {against_usual}"
    yield BUDGET.row(measured, within=max(best) <= 1 + 1e-9)


def _against(profile: Profile, transport: str) -> tuple[float, float]:
    """Our bus time over that of greedy: at its best gap, and at the usual one."""
    source = profile.source
    assert isinstance(source, ModbusSource)
    cost = line_cost(Bus("bus", transport, "own", "", source.line or Line(), ()), source)
    fields = profile.fields
    ours = sum(bus_ms(read, cost) for read in plan(profile, fields, cost))
    greedy = [_greedy_ms(fields, source, cost, gap) for gap in range(REGISTERS_MAX)]
    return ours / min(greedy), ours / greedy[USUAL_GAP]


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
