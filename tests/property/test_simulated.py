"""Every shipped Modbus profile, simulated and read back: what the gateway reads is what the simulator meant to say."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import sources
from gateway.errors import DeviceException
from gateway.model import BootMs, Group, Quality, UtcMs, Value
from gateway.profile.codec import finish
from gateway.profile.load import load
from gateway.profile.profile import ModbusSource, Profile
from gateway.protocols import modbus_pdu
from gateway.site import Device, Polled
from gateway.south.reads.place import Place
from gateway.south.reads.plan import LineCost, plan
from simulators.device import Answer, ModbusDevice
from simulators.signals import powers, signal_for
from simulators.waves import START_MS

LIBRARY = load([sources.shipped()])
PROFILES = {
    **LIBRARY.profiles,
    **{f"{ref} {name}": one for ref, each in LIBRARY.variants.items() for name, one in each.items()},
}
MODBUS = sorted(name for name, profile in PROFILES.items() if isinstance(profile.source, ModbusSource))
DAYS_MS = 400 * 24 * 3_600_000


def simulated(profile: Profile, seed: int) -> ModbusDevice:
    """All fields of the profile in one group."""
    group = Group("d", profile.kind, profile.ref, tuple(field.name for field in profile.fields), "")
    device = Device("d", profile, 1, (Polled(group, profile.fields, 1000),))
    power = powers(profile.fields)
    signals = {one.name: signal_for("d", one, seed, power=power.get(one.name, 0)) for one in profile.fields}
    return ModbusDevice(device, signals)


def answers(
    profile: Profile, device: ModbusDevice, at: UtcMs
) -> Iterator[tuple[tuple[int, ...], Answer, list[Value | None]]]:
    """Each read of the gateway's plan: the places of its fields, the answer, the values as decoded."""
    assert isinstance(profile.source, ModbusSource)
    if profile.source.start:
        device.answer(modbus_pdu.encode_request(profile.source.start.request), at)
    place = Place(profile.source.sunspec)
    while (question := place.question) is not None:
        place.answered(question, _data(device, question, at), BootMs(0))
    for read in plan(profile, profile.fields, LineCost(1.0, 5.0)):
        request = place.moved(read.request)
        answer = device.answer(modbus_pdu.encode_request(request), at)
        yield read.fields, answer, list(read.decode(modbus_pdu.reply_data(request, answer.data)).values)


def _data(device: ModbusDevice, question: modbus_pdu.ReadRequest, at: UtcMs) -> bytes | int:
    try:
        return modbus_pdu.reply_data(question, device.answer(modbus_pdu.encode_request(question), at).data)
    except DeviceException as error:
        return error.exception


@pytest.mark.parametrize("name", MODBUS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), later_ms=st.integers(0, DAYS_MS))
def test_what_is_read_is_what_was_meant(name: str, seed: int, later_ms: int) -> None:
    """Every field of every shape, both ways through the codec, against the simulators' own definition."""
    profile = PROFILES[name]
    values: list[Value | None] = [None] * len(profile.fields)
    truth: dict[str, Value] = {}
    for places, answer, decoded in answers(profile, simulated(profile, seed), UtcMs(START_MS + later_ms)):
        truth |= {one.field: one.value for one in answer.served}
        for place, value in zip(places, decoded, strict=True):
            values[place] = value
    null: dict[int, Quality] = {}
    finish(profile.fields, values, null)
    named = {field.name: value for field, value in zip(profile.fields, values, strict=True) if not field.hidden}
    # a total that is 0 yet may be the word for "none": then the simulator says no value either
    read = {name: value for name, value in named.items() if value is not None or name in truth}
    assert null == {}
    assert read == truth
