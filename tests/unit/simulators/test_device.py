"""A device answers as its profile says, and knows what it said."""

import struct
from dataclasses import replace

import pytest

from gateway.model import UtcMs
from gateway.profile.profile import Field, Identify, Line, ModbusSource, Profile, Start
from gateway.protocols.modbus_pdu import ReadDeviceId, ReadRequest, Table, WriteCoils, WriteRegisters, encode_request
from gateway.site import Device
from simulators.device import Answer, ModbusDevice, StreamDevice
from simulators.registers import Reported
from tests.unit.simulators.worlds import METER, RELAYS, constants, modbus_device, stream_device

NOW = UtcMs(1_795_484_390_000)
VALUES = constants(voltage=230.2, power=-12.3, energy=70000.25, setting=7.0, far=9.0)


def meter() -> ModbusDevice:
    """With known values."""
    return ModbusDevice(modbus_device("meter-1", METER), VALUES)


def ask(device: ModbusDevice, request: ReadRequest | WriteCoils | WriteRegisters | ReadDeviceId) -> Answer:
    """One exchange."""
    return device.answer(encode_request(request), NOW)


def test_registers_are_encoded_as_the_profile_says() -> None:
    """Type, order and scale, each in its place; holes read as 0."""
    answer = ask(meter(), ReadRequest(Table.INPUT, 0, 10))
    power = struct.pack(">i", -123)
    expected = struct.pack(">f", 230.2) + bytes(4) + power[2:] + power[:2] + bytes(4) + struct.pack(">I", 7_000_025)
    assert answer.data == bytes([4, 20]) + expected


def test_the_served_values_are_known() -> None:
    """Every field of the reply, with its registers and the value they mean."""
    served = {one.field: one for one in ask(meter(), ReadRequest(Table.INPUT, 0, 10)).served}
    assert {name: one.value for name, one in served.items()} == {"voltage": 230.2, "power": -12.3, "energy": 70000.25}
    assert served["voltage"].raw == bytes.fromhex("43663333")
    assert {one.group for one in served.values()} == {Reported(0, 1000)}


def test_half_a_field_is_not_served() -> None:
    """A read that cuts a value shows its register but says nothing of it."""
    answer = ask(meter(), ReadRequest(Table.INPUT, 1, 4))
    assert answer.data[2:4] == struct.pack(">f", 230.2)[2:]
    assert answer.served == ()


@pytest.mark.parametrize(("address", "count"), [(10, 1), (0, 11), (500, 1), (999, 2), (1001, 1)])
def test_outside_the_map_is_exception_2(address: int, count: int) -> None:
    """Beyond a span; between two spans; across the end of one."""
    assert ask(meter(), ReadRequest(Table.INPUT, address, count)).data == bytes([0x84, 2])


def test_other_tables_are_other_maps() -> None:
    """An address is one of its table."""
    assert ask(meter(), ReadRequest(Table.HOLDING, 2, 1)).data == bytes([3, 2, 0, 7])
    assert ask(meter(), ReadRequest(Table.HOLDING, 0, 1)).data == bytes([0x83, 2])
    assert ask(meter(), ReadRequest(Table.COIL, 0, 1)).data == bytes([0x81, 2])


def test_never_read_is_exception_2() -> None:
    """What the profile forbids to read is not served by accident."""
    source = ModbusSource(Line(), 1, never_read=((Table.INPUT, 4, 4),))
    device = Device("m", Profile("a/b@1", "energy_meter", (), "guess", METER[:3], source), 1, ())
    assert ask(ModbusDevice(device, VALUES), ReadRequest(Table.INPUT, 0, 10)).data == bytes([0x84, 2])
    assert ask(ModbusDevice(device, VALUES), ReadRequest(Table.INPUT, 0, 2)).data[0] == 4


def test_identity_registers_can_be_read_and_are_no_values() -> None:
    """What identifies the model is there, also where no field is."""
    source = ModbusSource(
        Line(), 1, identify=(Identify(Table.INPUT, 6, "u16", 40, 60), Identify(Table.INPUT, 0, "f32", 0, 9))
    )
    device = Device("m", Profile("a/b@1", "energy_meter", (), "guess", METER[:3], source), 1, ())
    answer = ask(ModbusDevice(device, VALUES), ReadRequest(Table.INPUT, 0, 10))
    assert answer.data[14:16] == bytes([0, 50])
    assert answer.data[2:6] == struct.pack(">f", 230.2)
    assert [one.field for one in answer.served] == ["voltage", "power", "energy"]


@pytest.mark.parametrize("pdu", [b"\x08\x00\x00\x00\x00", b"\x63", b"\x16\x00\x02\x00\x00\x00\x00"])
def test_unknown_functions_are_exception_1(pdu: bytes) -> None:
    """Diagnostics and what else there is are not what these devices do."""
    assert meter().answer(pdu, NOW).data == bytes([pdu[0] | 0x80, 1])


@pytest.mark.parametrize("pdu", [b"\x03\x00\x00\x00\x00", b"\x04\x00\x00\x00\x7e", b"\x05\x00\x00\x12\x34"])
def test_impossible_requests_are_exception_3(pdu: bytes) -> None:
    """No count, too many, neither on nor off."""
    assert meter().answer(pdu, NOW).data == bytes([pdu[0] | 0x80, 3])


def test_coils_are_packed_and_written() -> None:
    """Functions 1, 5 and 15: what was written is what is read and what is served."""
    device = ModbusDevice(modbus_device("relay-1", RELAYS), constants(**{field.name: False for field in RELAYS}))
    assert ask(device, ReadRequest(Table.COIL, 0, 8)).data == b"\x01\x01\x00"
    assert ask(device, WriteCoils(2, (True,))).data == b"\x05\x00\x02\xff\x00"
    assert ask(device, WriteCoils(6, (True, True))).data == b"\x0f\x00\x06\x00\x02"
    answer = ask(device, ReadRequest(Table.COIL, 0, 8))
    assert answer.data == bytes([1, 1, 0b1100_0100])
    assert [one.field for one in answer.served if one.value is True] == ["relay_3", "relay_7", "relay_8"]
    assert ask(device, WriteCoils(8, (True,))).data == b"\x85\x02"


def test_registers_are_written() -> None:
    """Functions 6 and 16, and only where registers are."""
    device = meter()
    assert ask(device, WriteRegisters(2, (42,))).data == b"\x06\x00\x02\x00\x2a"
    assert [one.value for one in ask(device, ReadRequest(Table.HOLDING, 2, 1)).served] == [42.0]
    assert ask(device, WriteRegisters(2, (43,), multiple=True)).data == b"\x10\x00\x02\x00\x01"
    assert ask(device, ReadRequest(Table.HOLDING, 2, 1)).data == bytes([3, 2, 0, 43])
    assert ask(device, WriteRegisters(3, (1,))).data == b"\x86\x02"


def test_a_value_that_the_registers_cannot_say_is_no_value() -> None:
    """It goes out as the sentinel, and is no truth."""
    field = Field("x", "index", "1", "f", 0, table=Table.INPUT, address=0, type="u16", sentinels=(0xFFFF,))
    device = ModbusDevice(modbus_device("m", (field,)), constants(x=70000.0))
    answer = ask(device, ReadRequest(Table.INPUT, 0, 1))
    assert answer == Answer(b"\x04\x02\xff\xff", 1)


def test_replies_are_numbered() -> None:
    """Exceptions count too: a number names one reply."""
    device = meter()
    assert [ask(device, ReadRequest(Table.INPUT, at, 2)).n for at in (0, 500, 0)] == [1, 2, 3]


def test_a_stream_frames_its_values() -> None:
    """The line as the sensor writes it, and the parts it is made of."""
    device = StreamDevice(stream_device(), constants(direction=271.0, speed=3.5))
    answer = device.frame(NOW)
    assert answer.data == b"$271,3.50\r\n"
    assert [(one.field, one.raw, one.value) for one in answer.served] == [
        ("direction", b"271", 271.0),
        ("speed", b"3.50", 3.5),
    ]
    assert device.frame(NOW).n == 2


def test_a_device_is_asked_in_its_own_way() -> None:
    """A stream takes no requests and a Modbus device does not speak by itself."""
    with pytest.raises(TypeError):
        ModbusDevice(stream_device(), {})
    with pytest.raises(TypeError):
        StreamDevice(modbus_device("m", METER), {})


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (ReadRequest(Table.HOLDING, 500, 1), bytes([3, 2, 0, 0])),
        (WriteRegisters(500, (1,)), bytes([6, 1, 0xF4, 0, 1])),
        (WriteRegisters(500, (1,), multiple=True), bytes([16, 1, 0xF4, 0, 1])),
    ],
)
def test_a_device_that_was_not_told_to_measure_gives_no_values(
    request_: ReadRequest | WriteRegisters, says: bytes
) -> None:
    """Real ones give old values then: a gateway that forgets it must not pass."""
    model = modbus_device("meter-1", METER)
    assert isinstance(model.profile.source, ModbusSource)
    source = replace(model.profile.source, start=Start(request_, 1000))
    device = ModbusDevice(replace(model, profile=replace(model.profile, source=source)), VALUES)
    read = ReadRequest(Table.INPUT, 0, 2)
    assert ask(device, read).data == bytes([0x84, 4])
    assert ask(device, request_).data == says
    assert ask(device, read).served
