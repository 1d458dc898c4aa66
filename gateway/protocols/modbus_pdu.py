"""Modbus application protocol v1.1b3, functions 1-6, 15, 16, 43/14: requests and responses, encoded and decoded.

STUB: signatures fixed by the foundation; bodies to be written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


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


def function(request: Request) -> int:
    """The function code."""
    ...


def encode_request(request: Request) -> bytes:
    """The request pdu; raises ValueError outside the limits of the spec (count, address)."""
    ...


def decode_request(pdu: bytes) -> Request:
    """The simulators' side; raises BadReply."""
    ...


def reply_length(request: Request) -> int | None:
    """Bytes of a good response pdu; None where only the response tells (43/14)."""
    ...


def reply_data(request: Request, pdu: bytes) -> bytes:
    """The data of a matching response (registers big-endian, packed coils, echoed address and value for writes, objects of 43/14); raises BadReply (function, byte count, echo) or DeviceException."""
    ...


def encode_reply(request: Request, data: bytes) -> bytes:
    """The simulators' side: the response pdu that carries `data`."""
    ...


def encode_exception(function_code: int, exception: int) -> bytes:
    """The simulators' side."""
    ...


def unpack_bits(data: bytes, count: int) -> Sequence[bool]:
    """Coils or discrete inputs of a reply, first address first."""
    ...
