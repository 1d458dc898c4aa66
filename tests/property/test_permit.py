"""A value that may be written reads back as itself, whatever its shape; anything else is refused."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Value
from gateway.profile.profile import Field, Writable
from gateway.protocols.modbus_pdu import Table, WriteCoils, WriteRegisters, encode_request
from gateway.south.jobs.permit import Permit, Refusal, permit
from tests.support.asks import MODE, device_of, level_bus

TYPES = {"u16": 1, "i16": 1, "u32": 2, "i32": 2, "f32": 2, "u64": 4, "i64": 4, "f64": 4}
SHAPES = st.builds(
    lambda type_, order, tens, low, wide: replace(
        MODE,
        type=type_,
        order=order if TYPES[type_] > 1 else "ABCD",
        tens=tens,
        decimals=max(tens, 0),
        write=Writable(low, low + wide),
    ),
    st.sampled_from(sorted(TYPES)),
    st.sampled_from(["ABCD", "CDAB", "BADC", "DCBA"]),
    st.integers(0, 3),
    st.floats(-1e5, 1e5),
    st.floats(0, 1e5),
)
VALUES = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(-100_000, 100_000).map(lambda n: n / 10),
    st.integers(-70_000, 70_000).map(float),
    st.booleans(),
    st.text(max_size=5),
)


@settings(max_examples=400)
@given(SHAPES, VALUES)
def test_what_is_permitted_is_inside_and_reads_back(field: Field, value: Value) -> None:
    """The request can be sent; the device that obeys it holds that value, inside the limits."""
    bus = level_bus((field,), ("mode",))
    found = permit(bus, device_of(bus), "mode", value)
    if isinstance(found, Refusal):
        assert found.code in {"bad_value", "out_of_limits"}
        return
    assert isinstance(found, Permit)
    assert encode_request(found.write)
    assert isinstance(found.write, WriteRegisters)
    assert len(found.write.values) == TYPES[field.type] == found.read.count
    data = b"".join(word.to_bytes(2) for word in found.write.values)
    assert found.block.decode(data).values == (value,)
    assert isinstance(value, float)
    assert field.write is not None
    assert field.write.low is not None
    assert field.write.high is not None
    assert field.write.low <= value <= field.write.high


@settings(max_examples=50)
@given(VALUES)
def test_a_coil_takes_yes_or_no(value: Value) -> None:
    """And nothing that merely looks like it."""
    coil = replace(MODE, name="relay", letter="b", type="bit", table=Table.COIL, write=Writable())
    bus = level_bus((coil,), ("relay",))
    found = permit(bus, device_of(bus), "relay", value)
    assert isinstance(found, Permit if isinstance(value, bool) else Refusal)
    if isinstance(found, Permit):
        assert found.write == WriteCoils(12, (value is True,))
