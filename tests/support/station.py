"""A weather station that answers nonsense on order: its profile, its registers, and what it can do wrong.

A station has two good fields (`temperature`, `pressure`: input registers) and one that is read by a request of its own
(`frequency`: a holding register), so that a fault in that one reply can be told from one that takes the row with it.
"""

from collections.abc import Callable, Mapping, Sequence
from math import nan
from pathlib import Path
from struct import pack, unpack

from gateway.protocols.checksums import crc16_bytes
from tests.support.modbus_server import Answer, Asked
from tests.support.written import write

REF, KIND = "acme/station@1", "station"
TIMEOUT_S = 0.15
PROFILE = f"""[profile]
id = "acme/station"
version = 1
kind = "{KIND}"
title = {{ en = "Station", vi = "Trạm đo" }}
sources = ["its maker"]
confidence = "one source"
[modbus]
table = "input"
timeout = "{TIMEOUT_S * 1000:.0f}ms"
[fields]
temperature = {{ address = 0, type = "i16", unit = "Cel", scale = 0.1, range = [-40, 80] }}
pressure = {{ address = 1, type = "f32", unit = "hPa", decimals = 1, range = [800, 1100] }}
frequency = {{ address = 20, table = "holding", type = "u16", unit = "Hz", scale = 0.01 }}
"""
GOOD = {"temperature": 21.5, "pressure": 1013.0, "frequency": 50.0}
Response = Callable[[Asked, bytes], Sequence[Answer]]


def write_station(folder: Path) -> Path:
    """The profile with its vectors in a folder of profiles."""
    vectors = _vector("04 00 00 00 03", "04 06" + registers(4)[:6].hex(), "temperature = 21.5, pressure = 1013.0")
    vectors += _vector("03 00 14 00 01", "03 02" + registers(3).hex(), "frequency = 50.0")
    write(folder / "acme" / "station.vectors.toml", vectors)
    write(folder / "acme" / "station.toml", PROFILE)
    return folder


def registers(function: int, *, nonsense: bool = False) -> bytes:
    """From the first one on: what it measures, or a temperature that cannot be and a pressure that is no number."""
    if function == 4:
        return pack(">hf", 2000, nan) if nonsense else pack(">hf", 215, 1013.0)
    return pack(">H", 5000)


def answering(faults: Mapping[int, Response]) -> Callable[[Asked], Sequence[Answer]]:
    """For `ModbusServer.every`: unit_ids with a fault show it where `frequency` is asked for, NONSENSE in all."""

    def every(asked: Asked) -> Sequence[Answer]:
        function, address, count = unpack(">BHH", asked.frame.pdu)
        fault = faults.get(asked.frame.unit_id)
        data = registers(function, nonsense=fault is nonsense)
        at = 2 * (address - (0 if function == 4 else 20))
        pdu = bytes((function, 2 * count)) + data[at : at + 2 * count]
        return fault(asked, pdu) if fault and function == 3 else [(0.0, asked.wire(pdu))]

    return every


def wrong_crc(asked: Asked, pdu: bytes) -> Sequence[Answer]:
    """One bit."""
    frame = asked.wire(pdu)
    return [(0.0, frame[:-1] + bytes((frame[-1] ^ 1,)))]


def wrong_function(asked: Asked, pdu: bytes) -> Sequence[Answer]:
    """The answer to another question."""
    return [(0.0, asked.wire(b"\x04" + pdu[1:]))]


def wrong_count(asked: Asked, pdu: bytes) -> Sequence[Answer]:
    """Twice as many registers as were asked for."""
    return [(0.0, asked.wire(bytes((pdu[0], 2 * pdu[1])) + 2 * pdu[2:]))]


def foreign(asked: Asked, pdu: bytes) -> Sequence[Answer]:
    """Another device's."""
    return [(0.0, asked.wire(pdu, unit_id=200))]


def exception_2(asked: Asked, pdu: bytes) -> Sequence[Answer]:
    """There is no such register."""
    return [(0.0, asked.wire(bytes((pdu[0] | 0x80, 2))))]


def exception_4(asked: Asked, pdu: bytes) -> Sequence[Answer]:
    """The device has failed."""
    return [(0.0, asked.wire(bytes((pdu[0] | 0x80, 4))))]


def garbage(asked: Asked, pdu: bytes) -> Sequence[Answer]:  # noqa: ARG001 - one form for all
    """No frame at all."""
    return [(0.0, bytes(range(7, 250, 11)))]


def truncated(asked: Asked, pdu: bytes) -> Sequence[Answer]:
    """The end is missing."""
    return [(0.0, asked.wire(pdu)[:-2])]


def late(asked: Asked, pdu: bytes) -> Sequence[Answer]:
    """Right, and too late."""
    return [(2.5 * TIMEOUT_S, asked.wire(pdu))]


def nonsense(asked: Asked, pdu: bytes) -> Sequence[Answer]:
    """Well formed, and cannot be true: `registers`."""
    return [(0.0, asked.wire(pdu))]


def _vector(request: str, response: str, values: str) -> str:
    ask, answer = (_frame(text) for text in (request, response))
    return f"""[[vector]]
about = "a mild day"
evidence = "constructed"
source = "the layout"
request = "{ask}"
response = "{answer}"
values = {{ {values} }}
"""


def _frame(pdu: str) -> str:
    frame = b"\x01" + bytes.fromhex(pdu)
    return (frame + crc16_bytes(frame)).hex(" ").upper()
