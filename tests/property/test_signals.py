"""Signals, for any field, time and seed: inside the range, on the grid, the same again, and what the registers say."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import UtcMs
from gateway.profile.codec import Block
from gateway.profile.profile import Field
from gateway.protocols.modbus_pdu import Table
from simulators.meaning import limits, value_of
from simulators.signals import Moment, signal_for
from simulators.waves import START_MS, Waves

UNITS = ["V", "A", "W", "kW.h", "Cel", "%", "m", "mm", "m/s", "deg", "ug/m3", "lx", "1", "mol"]
TYPES = ["u16", "i16", "u32", "i32", "f32", "u64", "i64", "f64"]
ORDERS = ["ABCD", "CDAB", "BADC", "DCBA"]
YEAR_MS = 365 * 24 * 3_600_000

times = st.integers(START_MS - YEAR_MS, START_MS + 10 * YEAR_MS).map(UtcMs)
seeds = st.integers(0, 2**32)


@st.composite
def fields(draw: st.DrawFn) -> Field:
    """A number in a register map, as a profile may describe it."""
    decimals = draw(st.integers(0, 3))
    low, width = draw(st.integers(-1000, 1000)), draw(st.integers(1, 5000))
    ranged = draw(st.booleans())
    return Field(
        draw(st.sampled_from(["x", "power_l1", "humidity", "energy_export"])),
        "x",
        draw(st.sampled_from(UNITS)),
        "f",
        decimals,
        low if ranged else None,
        low + width if ranged else None,
        counter=draw(st.booleans()),
        table=Table.INPUT,
        address=0,
        type=draw(st.sampled_from(TYPES)),
        order=draw(st.sampled_from(ORDERS)),
        tens=decimals,
    )


@settings(max_examples=300, deadline=None)
@given(field=fields(), at=times, seed=seeds, n=st.integers(0, 10**6))
def test_a_signal_is_plausible_and_repeatable(field: Field, at: UtcMs, seed: int, n: int) -> None:
    """Inside what the gateway accepts and the registers can say; a multiple of the last decimal; no hidden state."""
    low, high = limits(field)
    reachable = max(low, field.low or low) <= min(high, high if field.high is None else field.high)
    value = signal_for("device-1", field, seed)(Moment(at, n))
    assert signal_for("device-1", field, seed)(Moment(at, n + 1)) == value
    assert value == round(float(value), field.decimals)
    if reachable:
        assert low <= float(value) <= high
        assert field.low is None or float(value) >= field.low
        assert field.high is None or float(value) <= field.high


@settings(max_examples=300, deadline=None)
@given(field=fields(), at=times, seed=seeds)
def test_the_truth_agrees_with_the_gateways_decoder(field: Field, at: UtcMs, seed: int) -> None:
    """Encoded by the profile, understood by hand and decoded by the gateway: one value, near what was meant."""
    wanted = float(signal_for("device-1", field, seed)(Moment(at)))
    block = Block((field,), Table.INPUT, 0, field.words)
    try:
        raw = block.encode((wanted,))
    except ValueError:
        low, high = limits(field)
        assert not low <= wanted <= high
        return
    meant = value_of(field, raw)
    assert block.decode(raw).values == (meant,)
    step = abs(wanted) * 2**-22 if field.type == "f32" else abs(wanted) * 2**-50
    assert abs(float(meant or 0.0) - wanted) <= 10**-field.decimals * 0.51 + step


@settings(max_examples=100, deadline=None)
@given(
    mean=st.floats(0, 1000),
    parts=st.lists(st.tuples(st.floats(0, 100), st.floats(1, 10**6), st.floats(0, 7)), max_size=5),
    at=times,
    span_h=st.floats(0.1, 1000),
)
def test_the_integral_of_waves_is_their_sum(
    mean: float, parts: list[tuple[float, float, float]], at: int, span_h: float
) -> None:
    """Bounded by the extremes; additive; rising where the waves never fall below zero."""
    swing = sum(amplitude for amplitude, _, _ in parts)
    waves = Waves(mean, tuple(parts))
    end = at + int(span_h * 3_600_000)
    hours = (end - at) / 3_600_000
    rise = waves.hours(end) - waves.hours(at)
    slack = 1e-6 * (abs(waves.hours(end)) + abs(waves.hours(at)) + 1)
    assert (mean - swing) * hours - slack <= rise <= (mean + swing) * hours + slack
    middle = (at + end) // 2
    assert abs(waves.hours(middle) - waves.hours(at) + waves.hours(end) - waves.hours(middle) - rise) <= slack


@settings(max_examples=50, deadline=None)
@given(seed=seeds, start=st.integers(0, 100), step=st.integers(1, 50), count=st.integers(2, 200))
def test_a_ramp_is_distinct_until_it_starts_again(seed: int, start: int, step: int, count: int) -> None:
    """As many different values as fit into the range."""
    field = Field("x", "x", "m", "f", 2, 0, 500, table=Table.INPUT, address=0, type="u16", tens=2)
    ramp = signal_for("device-1", field, seed, {"kind": "ramp", "start": start / 100, "step": step / 100})
    room = (50_000 - start) // step + 1
    values = {ramp(Moment(UtcMs(0), n)) for n in range(min(count, room))}
    assert len(values) == min(count, room)
