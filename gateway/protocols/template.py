r"""A request as a profile writes it: hex bytes, and holes for what is known only later.

    "51 31 0D"                                      Q1 and a carriage return
    "{address} 52 30 0D 0A"                         the device's address, as text
    "01 10 {address:u16le} 01 F0 {crc16_modbus:0}"  as a number; a checksum over all that stands before it, from byte 0

A hole is a name that is told when it is filled (address, channel): as text, or with a form, u8, u16be, u16le; or any
checksum of `framing` with the byte that it begins at.
"""

import re
from collections.abc import Callable, Mapping

from gateway.protocols.framing import CHECKSUMS

FILLED_MAX_BYTES = 256
TEXT_MAX = 16  # characters of a told value
_PIECE = re.compile(r"\s*(?:\{([a-z0-9_]{1,32})(?::([a-z0-9]{1,8}))?\}|([0-9A-Fa-f]{2}))\s*")
_NUMBER = re.compile(r"0x[0-9A-Fa-f]{1,4}|[0-9]{1,5}")


def fill(template: str, told: Mapping[str, str]) -> bytes:
    """The bytes; raises ValueError, in words, for what is no template, or a value that does not fit into its hole."""
    filled, at = b"", 0
    while at < len(template):
        piece = _PIECE.match(template, at)
        if piece is None:
            raise ValueError(f"{template[at:]!r}: pairs of hex digits, {{address}}, or {{sum8:0}}")
        name, form, digits = piece.groups()
        filled += bytes.fromhex(digits) if digits else _hole(name, form, told, filled)
        at = piece.end()
    if len(filled) > FILLED_MAX_BYTES:
        raise ValueError(f"more than {FILLED_MAX_BYTES} bytes")
    return filled


def fill_text(template: str, told: Mapping[str, str]) -> str:
    """A text in which `{name}` stands for a told value."""
    for name, value in told.items():
        template = template.replace(f"{{{name}}}", value)
    return template


def has_hole(template: str, name: str) -> bool:
    """Whether it depends on this name."""
    return f"{{{name}}}" in template or f"{{{name}:" in template


def _hole(name: str, form: str | None, told: Mapping[str, str], before: bytes) -> bytes:
    if name in told:
        if form not in _FORMS:
            raise ValueError(f"{name} is written as text, u8, u16be or u16le, not as {form}")
        return _FORMS[form](told[name])
    if name not in CHECKSUMS or form is None or not form.isdecimal():
        raise ValueError(f"{{{name}}}: no such name, and no checksum with the byte that it begins at")
    if int(form) >= len(before):
        raise ValueError(f"{name} begins at byte {form}, where nothing stands")
    return CHECKSUMS[name][0](before[int(form) :])


def _text(value: str) -> bytes:
    if not (value.isascii() and value.isalnum() and len(value) <= TEXT_MAX):
        raise ValueError(f"{value!r}: 1 to {TEXT_MAX} letters and digits")
    return value.encode("ascii")


def _number(size: int, value: str) -> int:
    if not _NUMBER.fullmatch(value) or int(value, 0) >> 8 * size:
        raise ValueError(f"{value!r}: a number of {size} bytes, as 5 or 0x7001")
    return int(value, 0)


_FORMS: dict[str | None, Callable[[str], bytes]] = {
    None: _text,
    "u8": lambda value: _number(1, value).to_bytes(1),
    "u16be": lambda value: _number(2, value).to_bytes(2),
    "u16le": lambda value: _number(2, value).to_bytes(2, "little"),
}
