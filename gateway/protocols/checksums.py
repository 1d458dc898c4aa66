"""The checksums of serial lines. Each is a table entry in `framing`; the CRC is also Modbus RTU's.

CRC-16/MODBUS (serial line v1.02, 6.2.2): reflected polynomial 0xA001, start 0xFFFF, sent low byte first. It is taken
two bytes a step from one table of 65 536 entries (128 KiB): half the time of the usual 256-entry loop. The table is
made from two small ones in a few milliseconds: a CRC is linear, table[a ^ b << 8] = table[a] ^ table[b << 8].
"""

from array import array
from functools import reduce
from operator import xor
from struct import unpack_from


def crc16(data: bytes | bytearray | memoryview) -> int:
    """CRC-16/MODBUS as a number."""
    crc = 0xFFFF
    table = _CRC_TABLE
    pairs, odd = divmod(len(data), 2)
    for pair in unpack_from(f"<{pairs}H", data):
        crc = table[crc ^ pair]
    if odd:
        crc = crc >> 8 ^ _CRC_BYTES[(crc ^ data[-1]) & 0xFF]
    return crc


def crc16_bytes(data: bytes | bytearray | memoryview) -> bytes:
    """CRC-16/MODBUS as it stands on the wire."""
    return crc16(data).to_bytes(2, "little")


def sum8(data: bytes) -> bytes:
    """The low byte of the sum."""
    return bytes((sum(data) & 0xFF,))


def sum16_be(data: bytes) -> bytes:
    """The low word of the sum, high byte first."""
    return (sum(data) & 0xFFFF).to_bytes(2, "big")


def xor8(data: bytes) -> bytes:
    """All bytes xor-ed (NMEA 0183, Gill)."""
    return bytes((reduce(xor, data, 0),))


def twos_complement8(data: bytes) -> bytes:
    """What makes the sum zero (Winsen)."""
    return bytes((-sum(data) & 0xFF,))


def mcrf4xx_bytes(data: bytes) -> bytes:
    """CRC-16/MCRF4XX (Lufft UMB): reflected polynomial 0x8408, start 0xFFFF, low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CCITT_BYTES[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


def sdi12_text(data: bytes) -> bytes:
    """The CRC of SDI-12 (and of Vaisala's ASCII): as Modbus's from 0, in three characters of 4, 6 and 6 bits."""
    crc = 0
    for byte in data:
        crc = crc >> 8 ^ _CRC_BYTES[(crc ^ byte) & 0xFF]
    return bytes(0x40 | bits for bits in (crc >> 12, crc >> 6 & 0x3F, crc & 0x3F))


def _byte_table(polynomial: int) -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (polynomial if crc & 1 else 0)
        table.append(crc)
    return table


def _pair_table(single: list[int]) -> "array[int]":
    lows = [crc >> 8 ^ single[crc & 0xFF] for crc in single]
    return array("H", [high ^ low for high in single for low in lows])


_CRC_BYTES = _byte_table(0xA001)
_CCITT_BYTES = _byte_table(0x8408)
_CRC_TABLE = _pair_table(_CRC_BYTES)
