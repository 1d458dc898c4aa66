"""DL/T 645-2007: electricity meters of China and its neighbours, on RS-485 (2400 8E1) or infrared.

    frame = [1*4 FE] 68 address[6] 68 control length data[length] sum 16
    address: 12 digits, two a byte, the last two first; AA in all six: whoever is there (only one may be)
    data: each byte plus 33 hex; sum: of all bytes from the first 68, modulo 256
    control: 11 read, 91 here it is, B1 here is a part of it, D1 error (one byte, why); bit 7 = from the meter
    data of 11: data identifier[4], lowest byte first; of 91: the same, then the value as BCD, lowest byte first

A value has the form that its data identifier has in the standard: so many bytes, so many decimals, its highest bit a
sign or not. One of another size, or with a digit above 9, is not told; bytes that are all FF or all EE are no value.
Told as parts: "02010100" = data identifiers, highest byte first as they are printed, their values as decimal texts.

Of what the standard has, only what two public sources agree on is in FORMS. Power factor is not: its sign is not sure.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from gateway.errors import BadReply, NoReply
from gateway.protocols.conversation import Pause, Receive, Send, Talk
from gateway.protocols.framing import Framing, encode
from gateway.protocols.plugin import Twin

WAKE = b"\xfe\xfe\xfe\xfe"
ANYONE = "AAAAAAAAAAAA"
READ, TOLD, TOLD_IN_PART, REFUSED = 0x11, 0x91, 0xB1, 0xD1
NO_SUCH_DATA = 0x02
SHIFT = 0x33
REPLY_MS = 1000
TWIN_REPLY_MS, TWIN_IDLE_MS = 30, 60_000
TWIN_ADDRESS = "000000000001"  # of one that is asked as whoever is there
FRAME = Framing(
    "length", 212, start=b"\x68", end=b"\x16", length_at=9, length_plus=12,
    checksum="sum8", checksum_until=-2, checksum_at=-2,
)  # fmt: skip
_SECOND_68, _CONTROL, _DATA = 7, 8, 10
_SIGN = 0x80


@dataclass(frozen=True, slots=True)
class Form:
    """How the value of a data identifier is written."""

    octets: int
    decimals: int
    signed: bool = False


FORMS: tuple[tuple[re.Pattern[str], Form], ...] = (
    (re.compile(r"000[12][0-3][0-9A-F]00"), Form(4, 2)),  # energy, forward and reverse: total, or of a tariff, kWh
    (re.compile(r"02010[1-3]00"), Form(2, 1)),  # voltage of a phase, V
    (re.compile(r"02020[1-3]00"), Form(3, 3, signed=True)),  # current of a phase, A
    (re.compile(r"02030[0-3]00"), Form(3, 4, signed=True)),  # active power, in all or of a phase, kW
    (re.compile(r"02800002"), Form(2, 2)),  # frequency, Hz
)


class Dlt645:
    """Reads one data identifier after the other; one that is refused is left out."""

    def check(self, address: str, parts: Sequence[str]) -> None:
        """As `SerialProtocol`."""
        if not re.fullmatch(rf"[0-9]{{12}}|{ANYONE}", address):
            raise ValueError(f"{address!r}: the 12 digits of the meter, or {ANYONE} for whoever is there")
        for part in parts:
            form_of(part)

    def alone(self, address: str) -> bool:
        """As `SerialProtocol`."""
        return address == ANYONE

    def poll(self, address: str, parts: Sequence[str]) -> Talk:
        """As `SerialProtocol`; raises NoReply and BadReply. Silence ends it, with what came before."""
        found: dict[str, str] = {}
        answered = False
        for part in parts:
            yield Send(WAKE + frame_of(address, READ, _identifier(part)))
            frame = yield Receive(_framing(address), REPLY_MS, fits=_Answers(part))
            if not frame:
                break
            answered = True
            if frame[_CONTROL] == TOLD and (value := _text(form_of(part), _plain(frame)[4:])) is not None:
                found[part] = value
        if found:
            return found
        raise BadReply("the meter has none of it") if answered else NoReply("nothing came")

    def answer(self, address: str, told: Mapping[str, str | int | float]) -> Twin:
        """As `SerialProtocol`: one question."""
        own = TWIN_ADDRESS if address == ANYONE else address
        frame = yield Receive(FRAME, TWIN_IDLE_MS, fits=_Asks(own))
        if not frame:
            return
        part = _plain(frame)[3::-1].hex().upper()
        yield Pause(TWIN_REPLY_MS)
        if part in told:
            value = _octets(form_of(part), str(told[part]))
            yield Send(WAKE + frame_of(own, TOLD, _identifier(part) + value))
        else:
            yield Send(WAKE + frame_of(own, REFUSED, bytes((NO_SUCH_DATA,))))


PROTOCOL = Dlt645()


def form_of(part: str) -> Form:
    """How it is written; raises ValueError for a data identifier that is not known here."""
    for pattern, form in FORMS:
        if pattern.fullmatch(part):
            return form
    raise ValueError(f"{part!r} is no data identifier that is known here")


def frame_of(address: str, control: int, data: bytes) -> bytes:
    """A whole frame, without the bytes that wake."""
    shifted = bytes((byte + SHIFT) & 0xFF for byte in data)
    return encode(FRAME, b"\x68" + _address(address) + bytes((0x68, control, len(data))) + shifted)


@dataclass(frozen=True, slots=True)
class _Answers:
    """What answers the question for one part: not our own question coming back, nor the answer to another."""

    part: str

    def __call__(self, frame: bytes) -> bool:
        if frame[_SECOND_68] != frame[0]:
            return False
        refused = frame[_CONTROL] == REFUSED
        return refused or (frame[_CONTROL] in (TOLD, TOLD_IN_PART) and _plain(frame)[:4] == _identifier(self.part))


@dataclass(frozen=True, slots=True)
class _Asks:
    """A question for the meter with this address."""

    own: str

    def __call__(self, frame: bytes) -> bool:
        asked = frame[1:_SECOND_68] in (_address(self.own), _address(ANYONE))
        return asked and frame[_SECOND_68:_DATA] == bytes((0x68, READ, 4))


def _framing(address: str) -> Framing:
    return FRAME if address == ANYONE else replace(FRAME, start=b"\x68" + _address(address) + b"\x68")


def _address(address: str) -> bytes:
    return bytes.fromhex(address)[::-1]


def _identifier(part: str) -> bytes:
    return bytes.fromhex(part)[::-1]


def _plain(frame: bytes) -> bytes:
    return bytes((byte - SHIFT) & 0xFF for byte in frame[_DATA:-2])


# --- values -----------------------------------------------------------------------------------------------------------


def _text(form: Form, octets: bytes) -> str | None:
    """A decimal text; "" for no value, None for what is not of this form."""
    if len(octets) != form.octets:
        return None
    if set(octets) in ({0xFF}, {0xEE}):
        return ""
    negative = form.signed and octets[-1] & _SIGN
    digits = "".join(_digits(octets[:-1] + bytes((octets[-1] & ~_SIGN if negative else octets[-1],))))
    if not digits.isdecimal():
        return None
    number = f"{digits[: -form.decimals]}.{digits[-form.decimals :]}"
    return f"-{number}" if negative and int(digits) else number


def _digits(octets: bytes) -> Iterator[str]:
    return (f"{octet:02X}" for octet in reversed(octets))


def _octets(form: Form, text: str) -> bytes:
    """The other way; raises ValueError for a number that has more digits."""
    if not text:
        return b"\xff" * form.octets
    number = round(Decimal(text).scaleb(form.decimals))
    digits = f"{abs(number):0{2 * form.octets}d}"
    octets = bytearray(bytes.fromhex(digits)[::-1]) if len(digits) == 2 * form.octets else bytearray()
    if not octets or (form.signed and octets[-1] & _SIGN) or (number < 0 and not form.signed):
        raise ValueError(f"{text} does not fit into {form.octets} bytes")
    octets[-1] |= _SIGN if number < 0 else 0
    return bytes(octets)
