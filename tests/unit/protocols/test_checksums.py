"""Checksums against their published check values and against pymodbus."""

from binascii import unhexlify
from random import Random

import pytest
from pymodbus.framer.rtu import FramerRTU

from gateway.protocols import checksums


def test_crc16_has_the_catalogued_check_value() -> None:
    """CRC-16/MODBUS of "123456789" is 0x4B37."""
    assert checksums.crc16(b"123456789") == 0x4B37


def test_crc16_agrees_with_pymodbus_at_every_length() -> None:
    """The two-byte table, with and without an odd last byte, against a byte-wise foreign one."""
    data = Random(1).randbytes(256)
    for length in range(257):
        assert checksums.crc16_bytes(data[:length]) == FramerRTU.compute_CRC(data[:length]).to_bytes(2, "big")


def test_crc16_over_data_and_its_crc_is_zero() -> None:
    """What the reader relies on."""
    assert checksums.crc16(b"abc" + checksums.crc16_bytes(b"abc")) == 0


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_crc16_takes_any_bytes(kind: type[bytes]) -> None:
    """A reader's buffer needs no copy."""
    assert checksums.crc16(kind(b"123456789")) == 0x4B37


@pytest.mark.parametrize(
    ("checksum", "data", "expected"),
    [
        (checksums.xor8, b"GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,", "47"),  # NMEA 0183
        (checksums.xor8, b"Q,229,002.74,M,00,", "16"),  # Gill WindSonic
        (checksums.sum8, unhexlify("d4043a0aa160"), "1d"),  # SDS011
        (checksums.mcrf4xx_bytes, b"123456789", "916f"),  # the catalogued check value, 0x6F91
        (checksums.mcrf4xx_bytes, unhexlify("0110017001f004022310640003"), "61d9"),  # Lufft UMB
        (checksums.sdi12_text, b"0r0", b"Kld".hex()),  # Vaisala WXT520, as its guide prints it
        (checksums.sdi12_text, b"0r5,Th=25.0C,Vh=10.6#,Vs=10.8V,Vr=3.369V", b"O]T".hex()),
        (checksums.sum8, unhexlify("ff07a1"), "a7"),  # A02YYUW
        (checksums.twos_complement8, unhexlify("8602604700 0000".replace(" ", "")), "d1"),  # MH-Z19
        (checksums.sum16_be, b"\xff" * 300, "2ad4"),
    ],
)
def test_sums_of_known_frames(checksum: object, data: bytes, expected: str) -> None:
    """Each sum on a frame from its own device's documents."""
    assert callable(checksum)
    assert checksum(data).hex() == expected
