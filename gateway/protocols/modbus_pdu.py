"""Modbus application protocol v1.1b3, functions 1-6, 15, 16, 43/14: requests and responses, encoded and decoded.

A pdu is a function code and its data, without the unit_id and checksum of a frame (`modbus_frame`). Everything is
big-endian, except that coils are packed eight to a byte, first address in the lowest bit. A response does not say
which request it answers: it is checked against the request, and what does not fit is refused, never repaired.

    function       request                                   response
    1-4            address count                             bytes data
    5, 6           address value                             the same
    15, 16         address count bytes data                  address count
    43/14          14 level object                           14 level conformity more next n, n x (object length text)
    | 0x80                                                   exception
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from struct import Struct
from typing import TypeAlias

from gateway.errors import BadReply, DeviceException

READ_BITS_MAX = 2000
READ_REGISTERS_MAX = 125
WRITE_BITS_MAX = 1968
WRITE_REGISTERS_MAX = 123
EXCEPTION = 0x80
DEVICE_ID = 43
DEVICE_ID_TYPE = 14
ECHOED = frozenset({5, 6})  # their response is the request again

ILLEGAL_FUNCTION = 1
ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3
DEVICE_FAILURE = 4


class Table(StrEnum):
    """The four address spaces."""

    COIL = "coil"
    DISCRETE = "discrete"
    INPUT = "input"
    HOLDING = "holding"


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """Functions 1-4."""

    table: Table
    address: int
    count: int


@dataclass(frozen=True, slots=True)
class WriteCoils:
    """Function 5 (one) or 15 (more, or `multiple`)."""

    address: int
    values: tuple[bool, ...]
    multiple: bool = False


@dataclass(frozen=True, slots=True)
class WriteRegisters:
    """Function 6 (one) or 16 (more, or `multiple`)."""

    address: int
    values: tuple[int, ...]
    multiple: bool = False


@dataclass(frozen=True, slots=True)
class ReadDeviceId:
    """Function 43/14: `level` 1 basic, 2 regular, 3 extended, 4 one object."""

    level: int = 1
    object_id: int = 0


Request: TypeAlias = ReadRequest | WriteCoils | WriteRegisters | ReadDeviceId


@dataclass(frozen=True, slots=True)
class DeviceId:
    """One response of 43/14, taken apart; `next_object` is where to go on, None when this was all."""

    conformity: int
    next_object: int | None
    objects: tuple[tuple[int, bytes], ...]  # (object id, its text as sent)


def function(request: Request) -> int:
    """The function code."""
    if isinstance(request, ReadRequest):
        return _READ_FUNCTION[request.table]
    if isinstance(request, ReadDeviceId):
        return DEVICE_ID
    several = request.multiple or len(request.values) != 1
    if isinstance(request, WriteCoils):
        return 15 if several else 5
    return 16 if several else 6


def encode_request(request: Request) -> bytes:
    """The request pdu; raises ValueError outside the limits of the spec (count, address)."""
    code = function(request)
    if isinstance(request, ReadDeviceId):
        _check(1 <= request.level <= 4 and 0 <= request.object_id <= 0xFF, request)  # noqa: PLR2004 - the spec's levels
        return bytes((code, DEVICE_ID_TYPE, request.level, request.object_id))
    count = request.count if isinstance(request, ReadRequest) else len(request.values)
    _check(request.address >= 0 and request.address + count <= 0x10000, request)  # noqa: PLR2004 - 16-bit addresses
    _check(1 <= count <= _COUNT_MAX[code], request)
    if isinstance(request, ReadRequest):
        return _HEAD.pack(code, request.address, count)
    if code in ECHOED:
        return _HEAD.pack(code, request.address, _single_value(request))
    data = _written(request)
    return _HEAD.pack(code, request.address, count) + bytes((len(data),)) + data


def decode_request(pdu: bytes) -> Request:
    """The simulators' side; raises BadReply."""
    if not pdu or pdu[0] not in _DECODERS:
        raise BadReply(f"no such request: {pdu[:1].hex()}")
    request = _DECODERS[pdu[0]](pdu)
    try:
        again = encode_request(request)
    except ValueError as error:
        raise BadReply(str(error)) from None
    if again != pdu:
        raise BadReply(f"malformed request: {pdu.hex(' ')}")
    return request


def refusal(pdu: bytes) -> int:
    """The simulators' side: the exception code for a pdu that `decode_request` refused."""
    return ILLEGAL_VALUE if pdu and pdu[0] in _DECODERS else ILLEGAL_FUNCTION


def reply_length(request: Request) -> int | None:
    """Bytes of a good response pdu; None where only the response tells (43/14)."""
    if isinstance(request, ReadRequest):
        return 2 + _data_bytes(request)
    return None if isinstance(request, ReadDeviceId) else _HEAD.size


def reply_data(request: Request, pdu: bytes) -> bytes:
    """What a matching response carries; raises BadReply (function, byte count, echo) or DeviceException.

    Registers big-endian; coils packed; the echoed address and value (or count) of a write; from 43/14 everything
    after the level (`device_id` takes it apart).
    """
    code = function(request)
    if len(pdu) == 2 and pdu[0] == code | EXCEPTION and pdu[1]:  # noqa: PLR2004 - an exception response is two bytes
        raise DeviceException(pdu[1])
    if not pdu or pdu[0] != code:
        raise BadReply(f"function {pdu[:1].hex() or 'missing'} answers {code:02x}")
    if isinstance(request, ReadRequest):
        return _read_data(request, pdu)
    if isinstance(request, ReadDeviceId):
        return _device_id_data(request, pdu)
    if pdu != _HEAD.pack(code, request.address, _echoed(request)):
        raise BadReply(f"the echo of a write differs: {pdu.hex(' ')}")
    return pdu[1:]


def encode_reply(request: Request, data: bytes) -> bytes:
    """The simulators' side: the response pdu that carries `data`."""
    code = bytes((function(request),))
    if isinstance(request, ReadRequest):
        return code + bytes((len(data),)) + data
    if isinstance(request, ReadDeviceId):
        return code + bytes((DEVICE_ID_TYPE, request.level)) + data
    return code + data


def encode_echo(request: WriteCoils | WriteRegisters) -> bytes:
    """The simulators' side: the response pdu of a write that was carried out."""
    return _HEAD.pack(function(request), request.address, _echoed(request))


def encode_exception(function_code: int, exception: int) -> bytes:
    """The simulators' side."""
    return bytes((function_code | EXCEPTION, exception))


def device_id(data: bytes) -> DeviceId:
    """The data of a 43/14 response, taken apart; raises BadReply."""
    if len(data) < _DEVICE_ID_HEAD:
        raise BadReply("device identification cut short")
    conformity, more, following, count = data[:_DEVICE_ID_HEAD]
    objects: list[tuple[int, bytes]] = []
    at = _DEVICE_ID_HEAD
    for _ in range(count):
        if len(data) < at + 2 or len(data) < at + 2 + data[at + 1]:
            raise BadReply("device identification cut short")
        objects.append((data[at], data[at + 2 : at + 2 + data[at + 1]]))
        at += 2 + data[at + 1]
    if at != len(data):
        raise BadReply("device identification with a tail")
    return DeviceId(conformity, following if more else None, tuple(objects))


def encode_device_id(identity: DeviceId) -> bytes:
    """The simulators' side: the data that `device_id` would take apart again."""
    more, following = (0, 0) if identity.next_object is None else (0xFF, identity.next_object)
    head = bytes((identity.conformity, more, following, len(identity.objects)))
    return head + b"".join(bytes((number, len(text))) + text for number, text in identity.objects)


def unpack_bits(data: bytes, count: int) -> Sequence[bool]:
    """Coils or discrete inputs of a reply, first address first; raises ValueError when there are fewer."""
    _check(0 <= count <= 8 * len(data), count)
    return [bool(data[at >> 3] >> (at & 7) & 1) for at in range(count)]


def pack_bits(values: Sequence[bool]) -> bytes:
    """The same back; the last byte is filled up with zeros."""
    packed = bytearray((len(values) + 7) // 8)
    for at, value in enumerate(values):
        packed[at >> 3] |= value << (at & 7)
    return bytes(packed)


_HEAD = Struct(">BHH")
_DEVICE_ID_HEAD = 4  # conformity, more, next, count
_ON, _OFF = 0xFF00, 0x0000
_READ_FUNCTION = {Table.COIL: 1, Table.DISCRETE: 2, Table.HOLDING: 3, Table.INPUT: 4}
_READ_TABLE = {code: table for table, code in _READ_FUNCTION.items()}
_COUNT_MAX = {
    1: READ_BITS_MAX,
    2: READ_BITS_MAX,
    3: READ_REGISTERS_MAX,
    4: READ_REGISTERS_MAX,
    5: 1,
    6: 1,
    15: WRITE_BITS_MAX,
    16: WRITE_REGISTERS_MAX,
}


def _check(good: bool, what: object) -> None:  # noqa: FBT001 - an assertion that raises ValueError
    if not good:
        raise ValueError(f"outside the limits of Modbus: {what}")


def _data_bytes(request: ReadRequest) -> int:
    if request.table in (Table.COIL, Table.DISCRETE):
        return (request.count + 7) // 8
    return 2 * request.count


def _single_value(request: WriteCoils | WriteRegisters) -> int:
    if isinstance(request, WriteCoils):
        return _ON if request.values[0] else _OFF
    _check(0 <= request.values[0] <= 0xFFFF, request)  # noqa: PLR2004 - a register
    return request.values[0]


def _written(request: WriteCoils | WriteRegisters) -> bytes:
    if isinstance(request, WriteCoils):
        return pack_bits(request.values)
    _check(all(0 <= value <= 0xFFFF for value in request.values), request)  # noqa: PLR2004 - registers
    return b"".join(value.to_bytes(2, "big") for value in request.values)


def _echoed(request: WriteCoils | WriteRegisters) -> int:
    return _single_value(request) if function(request) in ECHOED else len(request.values)


def _read_data(request: ReadRequest, pdu: bytes) -> bytes:
    wanted = _data_bytes(request)
    if len(pdu) != 2 + wanted or pdu[1] != wanted:
        raise BadReply(f"{max(len(pdu) - 2, 0)} bytes of data (it says {pdu[1:2].hex()}), {wanted} asked for")
    return pdu[2:]


def _device_id_data(request: ReadDeviceId, pdu: bytes) -> bytes:
    if pdu[1:3] != bytes((DEVICE_ID_TYPE, request.level)):
        raise BadReply(f"not the device identification asked for: {pdu[:3].hex(' ')}")
    device_id(pdu[3:])
    return pdu[3:]


def _decode_read(pdu: bytes) -> Request:
    code, address, count = _unpack_head(pdu)
    return ReadRequest(_READ_TABLE[code], address, count)


def _decode_single(pdu: bytes) -> Request:
    code, address, value = _unpack_head(pdu)
    if code == 6:  # noqa: PLR2004 - the function code
        return WriteRegisters(address, (value,))
    return WriteCoils(address, (value == _ON,))


def _decode_several(pdu: bytes) -> Request:
    code, address, count = _unpack_head(pdu)
    data = pdu[_HEAD.size + 1 :]
    if code == 16:  # noqa: PLR2004 - the function code
        words = tuple(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
        return WriteRegisters(address, words, multiple=True)
    if count > 8 * len(data):
        raise BadReply(f"malformed request: {pdu.hex(' ')}")
    return WriteCoils(address, tuple(unpack_bits(data, count)), multiple=True)


def _decode_device_id(pdu: bytes) -> Request:
    if len(pdu) != 4:  # noqa: PLR2004 - its one length
        raise BadReply(f"malformed request: {pdu.hex(' ')}")
    return ReadDeviceId(pdu[2], pdu[3])


def _unpack_head(pdu: bytes) -> tuple[int, int, int]:
    if len(pdu) < _HEAD.size:
        raise BadReply(f"malformed request: {pdu.hex(' ')}")
    code, address, number = _HEAD.unpack_from(pdu)
    return code, address, number


_DECODERS: Mapping[int, Callable[[bytes], Request]] = {
    **dict.fromkeys((1, 2, 3, 4), _decode_read),
    **dict.fromkeys((5, 6), _decode_single),
    **dict.fromkeys((15, 16), _decode_several),
    DEVICE_ID: _decode_device_id,
}
