"""M-Bus (EN 13757-2 and -3), wired: water, heat and gas meters behind a level converter, 2400 8E1 as a rule.

    we     10 40 address sum 16          start anew
    meter  E5
    we     10 7B address sum 16          tell your data
    meter  68 L L 68 08 address 72 ... sum 16         sum: of all between the second 68 and itself, modulo 256
    ... = id[4] maker[2] version medium access status signature[2] records

Which record means what is `pymbusparser`'s business (extra `[mbus]`): a meter says of each value what it is, in which
unit. Told as parts: what the library calls them: "Volume m3", "Energy W.h", "Flow temperature Cel", of what is
measured now: no history, no tariff, no subunit. What comes twice is not told, nor anything of a telegram that the
library cannot read to its end. "status" is the meter's status byte: bit 2 = its battery is low.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

from pymbusparser import MbusParserError, parse

from gateway.errors import BadReply, NoReply
from gateway.protocols.conversation import Receive, Send, Talk
from gateway.protocols.framing import Framing, encode
from gateway.protocols.plugin import Twin

ANYONE = 254  # the only meter there is answers to it
ADDRESS_MAX = 250
INIT, REQUEST = 0x40, 0x7B
REPLY_MS, TWIN_IDLE_MS = 1000, 60_000
ACK = Framing("fixed", 1, start=b"\xe5", length=1)
SHORT = Framing(
    "fixed", 5, start=b"\x10", end=b"\x16", length=5,
    checksum="sum8", checksum_from=1, checksum_until=-2, checksum_at=-2,
)  # fmt: skip
LONG = Framing(
    "length", 261, start=b"\x68", end=b"\x16", length_at=1, length_plus=6,
    checksum="sum8", checksum_from=4, checksum_until=-2, checksum_at=-2,
)  # fmt: skip
_PART = re.compile(r"status|[A-Z][A-Za-z() -]{0,40} \S{1,16}")
_CI, _STATUS, _LONG_HEADER = 6, 16, 0x72
_TWIN_HEAD = bytes.fromhex("72 07 20 18 00 E6 1E 35 07 4C")  # id, maker, version, medium of a real water meter
_TWIN_RECORDS = {"Volume m3": (0x13, 3), "Energy W.h": (0x03, 0), "Volume flow m3.h-1": (0x3B, 3), "Power W": (0x2B, 0)}


class MBus:
    """One meter by its primary address."""

    def check(self, address: str, parts: Sequence[str]) -> None:
        """As `SerialProtocol`."""
        if not address.isdecimal() or not (1 <= int(address) <= ADDRESS_MAX or int(address) == ANYONE):
            raise ValueError(f"{address!r}: 1 to {ADDRESS_MAX}, or {ANYONE} for the only meter there is")
        for part in parts:
            if not _PART.fullmatch(part):
                raise ValueError(f"{part!r}: what is measured, a blank and its unit, as in Volume m3; or status")

    def alone(self, address: str) -> bool:
        """As `SerialProtocol`."""
        return int(address) == ANYONE

    def poll(self, address: str, parts: Sequence[str]) -> Talk:
        """As `SerialProtocol`; raises NoReply and BadReply."""
        yield Send(short(INIT, address))
        if not (yield Receive(ACK, REPLY_MS, dates=False)):
            raise NoReply("the meter does not acknowledge")
        yield Send(short(REQUEST, address))
        telegram = yield Receive(LONG, REPLY_MS, fits=lambda frame: _answers(frame, int(address)))
        if not telegram:
            raise NoReply("the meter acknowledges, and tells nothing")
        told = told_in(telegram)
        return {part: told[part] for part in parts if part in told}

    def answer(self, address: str, told: Mapping[str, str | int | float]) -> Twin:
        """As `SerialProtocol`; of records it knows those of water and heat in _TWIN_RECORDS."""
        init, request = short(INIT, address), short(REQUEST, address)
        asked = yield Receive(SHORT, TWIN_IDLE_MS, fits=lambda frame: frame in (init, request))
        if asked == init:
            yield Send(b"\xe5")
        elif asked:
            yield Send(telegram_of(int(address), told))


PROTOCOL = MBus()


def short(control: int, address: str) -> bytes:
    """A short frame."""
    return encode(SHORT, bytes((0x10, control, int(address))))


def told_in(telegram: bytes) -> Mapping[str, str | int]:
    """What a checked telegram says of now; raises BadReply."""
    try:
        read = parse(telegram)
    except MbusParserError as error:
        raise BadReply(str(error)) from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # Rust's; it is no Exception, and would end the daemon
            raise
        raise BadReply("the library gives up") from None
    if read["decode_state"] != "complete":
        raise BadReply("not all of the telegram can be read")
    found: dict[str, str | int] = {"status": telegram[_STATUS]} if telegram[_CI] == _LONG_HEADER else {}
    twice: set[str] = set()
    for record in read["records"]:
        value, names = record.get("value") or {}, record["quantities"]
        now = (record["function"], record["storage_number"], record["tariff"], record["subunit"])
        if now != ("Instantaneous value", 0, 0, 0) or value.get("kind") != "decimal" or len(names) != 1:
            continue
        part = f"{names[0]} {record.get('unit', '1')}"
        twice.update({part} & found.keys())
        found[part] = value["value"]
    return {part: value for part, value in found.items() if part not in twice}


def telegram_of(address: int, told: Mapping[str, str | int | float]) -> bytes:
    """A telegram with these parts; raises ValueError for one that it has no record for, or that does not fit."""
    records = b""
    for part, value in told.items():
        if part != "status":
            records += _record(part, str(value))
    body = bytes((0x08, address)) + _TWIN_HEAD + bytes((int(told.get("status", 0)), 0, 0)) + records
    return encode(LONG, bytes((0x68, len(body), len(body), 0x68)) + body)


def _record(part: str, value: str) -> bytes:
    if part not in _TWIN_RECORDS:
        raise ValueError(f"the twin has no record for {part}")
    vif, decimals = _TWIN_RECORDS[part]
    number = round(Decimal(value or 0).scaleb(decimals))
    try:
        return bytes((0x04, vif)) + number.to_bytes(4, "little", signed=True)
    except OverflowError:
        raise ValueError(f"{part}: {value} does not fit") from None


def _answers(frame: bytes, address: int) -> bool:
    """What a meter says of itself: with both lengths alike, from the address that was asked."""
    return frame[1] == frame[2] and frame[3:5] == b"\x68\x08" and (frame[5] == address or address == ANYONE)
