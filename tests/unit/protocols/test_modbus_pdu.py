"""Modbus application protocol v1.1b3: its worked examples, its limits, and what is refused."""

import pytest
from pymodbus.pdu import DecodePDU

from gateway.errors import BadReply, DeviceException
from gateway.protocols import modbus_pdu as pdu
from gateway.protocols.modbus_pdu import ReadDeviceId, ReadRequest, Request, Table, WriteCoils, WriteRegisters

SPEC = [  # section, request, its bytes, response, the data in it
    ("6.1", ReadRequest(Table.COIL, 0x13, 19), "01 00 13 00 13", "01 03 CD 6B 05", "CD 6B 05"),
    ("6.2", ReadRequest(Table.DISCRETE, 0xC4, 22), "02 00 C4 00 16", "02 03 AC DB 35", "AC DB 35"),
    (
        "6.3",
        ReadRequest(Table.HOLDING, 0x6B, 3),
        "03 00 6B 00 03",
        "03 06 02 2B 00 00 00 64",
        "02 2B 00 00 00 64",
    ),
    ("6.4", ReadRequest(Table.INPUT, 8, 1), "04 00 08 00 01", "04 02 00 0A", "00 0A"),
    ("6.5", WriteCoils(0xAC, (True,)), "05 00 AC FF 00", "05 00 AC FF 00", "00 AC FF 00"),
    ("6.6", WriteRegisters(1, (3,)), "06 00 01 00 03", "06 00 01 00 03", "00 01 00 03"),
    (
        "6.11",
        WriteCoils(0x13, (True, False, True, True, False, False, True, True, True, False)),
        "0F 00 13 00 0A 02 CD 01",
        "0F 00 13 00 0A",
        "00 13 00 0A",
    ),
    (
        "6.12",
        WriteRegisters(1, (0x0A, 0x0102)),
        "10 00 01 00 02 04 00 0A 01 02",
        "10 00 01 00 02",
        "00 01 00 02",
    ),
    (
        "6.21",
        ReadDeviceId(1, 0),
        "2B 0E 01 00",
        "2B 0E 01 01 00 00 01 02 05 56 32 2E 31 31",
        "01 00 00 01 02 05 56 32 2E 31 31",
    ),
]
EXAMPLES = [
    (request, bytes.fromhex(asked), bytes.fromhex(told), bytes.fromhex(data)) for _, request, asked, told, data in SPEC
]
NAMES = [section for section, *_ in SPEC]


@pytest.mark.parametrize(("request_", "asked", "told", "data"), EXAMPLES, ids=NAMES)
def test_the_examples_of_the_specification(request_: Request, asked: bytes, told: bytes, data: bytes) -> None:
    """Each example of section 6, asked and answered, from both sides."""
    assert pdu.encode_request(request_) == asked
    assert pdu.encode_request(pdu.decode_request(asked)) == asked
    assert pdu.function(request_) == asked[0]
    assert pdu.reply_data(request_, told) == data
    assert pdu.encode_reply(request_, data) == told
    assert pdu.reply_length(request_) in {len(told), None}


@pytest.mark.parametrize(("request_", "asked", "told", "data"), EXAMPLES, ids=NAMES)
def test_pymodbus_agrees(request_: Request, asked: bytes, told: bytes, data: bytes) -> None:
    """The foreign stack reads the same request and the same response."""
    for side, known in ((True, asked), (False, told)):
        foreign = DecodePDU(side).decode(known)
        assert foreign is not None
        assert foreign.function_code == pdu.function(request_)
    assert data in told


@pytest.mark.parametrize(
    "request_",
    [
        ReadRequest(Table.COIL, 0, 2001),
        ReadRequest(Table.DISCRETE, 0, 0),
        ReadRequest(Table.HOLDING, 0, 126),
        ReadRequest(Table.INPUT, 0xFFFF, 2),
        ReadRequest(Table.INPUT, -1, 1),
        WriteCoils(0, ()),
        WriteCoils(0, (True,) * 1969),
        WriteRegisters(0, (0,) * 124),
        WriteRegisters(0, (0x10000,)),
        WriteRegisters(0, (0, -1)),
        WriteRegisters(0xFFFF, (0, 0)),
        ReadDeviceId(5),
        ReadDeviceId(1, 256),
    ],
    ids=repr,
)
def test_a_request_outside_the_limits_is_a_value_error(request_: Request) -> None:
    """Counts and addresses of section 6."""
    with pytest.raises(ValueError, match="limits"):
        pdu.encode_request(request_)


def test_the_limits_themselves_are_inside() -> None:
    """125 registers, 2000 bits, the last address."""
    assert pdu.encode_request(ReadRequest(Table.HOLDING, 0xFFFF - 124, 125))[3:] == b"\x00\x7d"
    assert pdu.encode_request(ReadRequest(Table.COIL, 0, 2000))[3:] == b"\x07\xd0"
    assert len(pdu.encode_request(WriteRegisters(0, (0,) * 123))) == 252
    assert len(pdu.encode_request(WriteCoils(0, (True,) * 1968))) == 252


def test_one_value_may_be_written_by_the_long_function() -> None:
    """Devices that know only 15 or 16."""
    assert pdu.encode_request(WriteRegisters(7, (1,), multiple=True)) == bytes.fromhex("10 0007 0001 02 0001")
    assert pdu.encode_request(WriteCoils(7, (True,), multiple=True)) == bytes.fromhex("0F 0007 0001 01 01")


@pytest.mark.parametrize(
    ("refused", "exception"),
    [
        ("", 1),
        ("07", 1),
        ("03", 3),
        ("03 0000 0000", 3),
        ("03 0000 007E", 3),
        ("03 FFFF 0002", 3),
        ("03 0000 0001 00", 3),
        ("05 0000 1234", 3),
        ("0F 0000 0009 01 FF", 3),
        ("0F 0000 0008 02 FF", 3),
        ("0F 0000 0002 01 FF", 3),
        ("10 0000 0002 04 0001", 3),
        ("10 0000 0001 02 00", 3),
        ("2B 0D 01 00", 3),
        ("2B 0E 01", 3),
    ],
)
def test_a_malformed_request_is_a_bad_reply_and_has_its_exception(refused: str, exception: int) -> None:
    """The simulators' side: section 7's codes 1 and 3."""
    with pytest.raises(BadReply):
        pdu.decode_request(bytes.fromhex(refused))
    assert pdu.refusal(bytes.fromhex(refused)) == exception


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (ReadRequest(Table.HOLDING, 0, 2), ""),
        (ReadRequest(Table.HOLDING, 0, 2), "04 04 00010002"),
        (ReadRequest(Table.HOLDING, 0, 2), "03 02 0001"),
        (ReadRequest(Table.HOLDING, 0, 2), "03 04 0001"),
        (ReadRequest(Table.HOLDING, 0, 2), "03 02 00010002"),
        (ReadRequest(Table.HOLDING, 0, 2), "03 06 000100020003"),
        (ReadRequest(Table.COIL, 0, 9), "01 01 FF"),
        (ReadRequest(Table.HOLDING, 0, 2), "84 02"),
        (ReadRequest(Table.HOLDING, 0, 2), "83"),
        (ReadRequest(Table.HOLDING, 0, 2), "83 02 00"),
        (WriteRegisters(1, (3,)), "06 0001 0004"),
        (WriteRegisters(1, (3,)), "06 0002 0003"),
        (WriteRegisters(1, (3, 4)), "10 0001 0001"),
        (WriteCoils(1, (True,)), "05 0001 0000"),
        (ReadDeviceId(1), "2B 0E 02 01 00 00 00"),
        (ReadDeviceId(1), "2B 0E 01 01 00 00 01 00 04 41"),
        (ReadDeviceId(1), "2B 0E 01 01 00 00 00 00"),
        (ReadDeviceId(1), "2B 0E 01"),
    ],
)
def test_what_does_not_answer_the_request_is_a_bad_reply(request_: Request, told: str) -> None:
    """Function, byte count, echo, and the objects of 43/14."""
    with pytest.raises(BadReply):
        pdu.reply_data(request_, bytes.fromhex(told))


@pytest.mark.parametrize("request_", [request for request, *_ in EXAMPLES], ids=NAMES)
def test_an_exception_carries_its_code(request_: Request) -> None:
    """Both sides of section 7."""
    with pytest.raises(DeviceException) as refused:
        pdu.reply_data(request_, pdu.encode_exception(pdu.function(request_), 6))
    assert refused.value.exception == 6


def test_an_echo_answers_its_write() -> None:
    """What the simulators send is what the gateway takes."""
    for write in (
        WriteCoils(9, (False,)),
        WriteCoils(9, (True, True)),
        WriteRegisters(9, (5,)),
        WriteRegisters(9, (5, 6)),
    ):
        assert pdu.reply_data(write, pdu.encode_echo(write)) == pdu.encode_echo(write)[1:]


def test_bits_come_lowest_first() -> None:
    """Section 6.1: coils 20-38 of its example."""
    bits = pdu.unpack_bits(bytes.fromhex("CD 6B 05"), 19)
    assert list(bits[:8]) == [True, False, True, True, False, False, True, True]
    assert list(bits[16:]) == [True, False, True]
    assert pdu.pack_bits(bits) == bytes.fromhex("CD 6B 05")
    with pytest.raises(ValueError, match="limits"):
        pdu.unpack_bits(b"\xff", 9)


def test_device_identification_goes_both_ways() -> None:
    """43/14 with more to follow."""
    identity = pdu.DeviceId(0x82, 2, ((0, b"Acme"), (1, b"")))
    data = pdu.encode_device_id(identity)
    assert pdu.device_id(data) == identity
    assert pdu.device_id(pdu.reply_data(ReadDeviceId(2), pdu.encode_reply(ReadDeviceId(2), data))) == identity
