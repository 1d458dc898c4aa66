"""gateway.protocols.template: requests with holes, and what is refused in words."""

import pytest

from gateway.protocols.template import FILLED_MAX_BYTES, fill, fill_text, has_hole


@pytest.mark.parametrize(
    ("template", "told", "wanted"),
    [
        ("51 31 0D", {}, b"Q1\r"),
        ("51310D", {}, b"Q1\r"),
        ("{address} 52 30 0D 0A", {"address": "0"}, b"0R0\r\n"),
        ("01 {address:u8} {address:u16be} {address:u16le}", {"address": "0x12"}, b"\x01\x12\x00\x12\x12\x00"),
        ("{channel:u16le}", {"channel": "100"}, b"\x64\x00"),
        ("AA B4 04 FF {sum8:2} AB", {}, b"\xaa\xb4\x04\xff\x03\xab"),
        ("{address} 72 30 {crc16_sdi12:0} 0D 0A", {"address": "0"}, b"0r0Kld\r\n"),
        ("", {}, b""),
    ],
)
def test_holes_are_filled(template: str, told: dict[str, str], wanted: bytes) -> None:
    """Addresses as text and as numbers of both orders, checksums over what stands before them."""
    assert fill(template, told) == wanted


@pytest.mark.parametrize(
    ("template", "told", "why"),
    [
        ("5", {}, "hex digits"),
        ("51 {", {}, "hex digits"),
        ("51 {address}", {}, "no such name"),
        ("51 {address:u32}", {"address": "1"}, "not as u32"),
        ("51 {address:u8}", {"address": "256"}, "1 bytes"),
        ("51 {address:u16be}", {"address": "x"}, "2 bytes"),
        ("51 {address}", {"address": "a b"}, "letters and digits"),
        ("51 {address}", {"address": "é"}, "letters and digits"),
        ("51 {sum8}", {}, "byte that it begins at"),
        ("{sum8:0}", {}, "nothing stands"),
        ("51 " * (FILLED_MAX_BYTES + 1), {}, "more than"),
    ],
)
def test_what_does_not_fit_is_refused(template: str, told: dict[str, str], why: str) -> None:
    """In words that a profile's author understands."""
    with pytest.raises(ValueError, match=why):
        fill(template, told)


def test_texts_have_holes_too() -> None:
    """What `require` says of a reply."""
    assert fill_text("{channel}/{x}", {"channel": "7"}) == "7/{x}"
    assert has_hole("{address:u8}", "address")
    assert has_hole("{address}", "address")
    assert not has_hole("address", "address")
