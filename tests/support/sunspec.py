"""Chains of SunSpec models as registers, and a device that answers from them."""

from collections.abc import Mapping, Sequence

from gateway.protocols.modbus_pdu import ILLEGAL_ADDRESS, ReadRequest, Table
from gateway.protocols.sunspec import Answer

MARK = (0x5375, 0x6E53)
END = (0xFFFF, 0)


def registers(base: int, models: Sequence[tuple[int, int]], end: Sequence[int] = END) -> dict[int, int]:
    """The mark, each (id, length) with a body of zeros, and what ends it; nothing behind the last address."""
    words = [*MARK]
    for model, length in models:
        words += [model, length, *[0] * length]
    return {base + at: word for at, word in enumerate([*words, *end]) if base + at <= 0xFFFF}


def answer(words: Mapping[int, int], request: ReadRequest) -> Answer:
    """The data, or exception 2 where one of the registers is not there."""
    places = range(request.address, request.address + request.count)
    if request.table is not Table.HOLDING or any(at not in words for at in places):
        return ILLEGAL_ADDRESS
    return b"".join(words[at].to_bytes(2) for at in places)
