"""What one UART hears of another that is set differently. Pure.

A character on the wire is a start bit (0), the data bits from the lowest, a parity bit if any, stop bits (1); the idle
wire is 1. A receiver waits for the wire to fall, then samples the middle of each bit by its own clock. At another baud
it samples the wrong places: what it hears is garbage, the same garbage every time, and mostly of another length. Two
clocks that differ by 3 % still understand each other, and so do 1 and 2 stop bits: only the first is looked at.
"""

from collections.abc import Sequence

from gateway.profile.profile import Line

MARK, SPACE = 1, 0


def heard(data: bytes, said: Line, hears: Line) -> bytes:
    """The characters that a receiver set to `hears` makes of `data`, sent back to back as `said`.

    One whose parity is wrong is dropped, as devices do; one without a stop bit is kept, as theirs mostly do.
    """
    if (said.baud, said.bits, said.parity) == (hears.baud, hears.bits, hears.parity):
        return data
    wire = [level for byte in data for level in _character(byte, said)]
    step = said.baud / hears.baud  # bits of the wire for one bit of the receiver
    size = 1 + hears.bits + (hears.parity != "N")
    characters = bytearray()
    start = _falls(wire, 0)
    while start is not None:
        levels = [_level(wire, start + (bit + 0.5) * step) for bit in range(size + 1)]
        ends = start + (size + 0.5) * step
        if levels[0] == MARK:  # a glitch, shorter than half a bit
            start = _falls(wire, start + step / 2)
            continue
        byte = sum(level << bit for bit, level in enumerate(levels[1 : hears.bits + 1]))
        if levels[1 + hears.bits : size] == _parity(byte, hears):
            characters.append(byte)
        # No stop bit: this is taken for the next start, as a 16550 does.
        start = ends - step / 2 if levels[size] == SPACE else _falls(wire, ends)
    return bytes(characters)


def _character(byte: int, line: Line) -> list[int]:
    data = [byte >> bit & 1 for bit in range(line.bits)]
    return [SPACE, *data, *_parity(byte & (1 << line.bits) - 1, line), *[MARK] * line.stop_bits]


def _parity(byte: int, line: Line) -> list[int]:
    return [] if line.parity == "N" else [byte.bit_count() % 2 ^ (line.parity == "O")]


def _level(wire: Sequence[int], place: float) -> int:
    return wire[int(place)] if place < len(wire) else MARK


def _falls(wire: Sequence[int], place: float) -> float | None:
    """The first bit from `place` on that is 0 after a 1; at the very beginning the wire was idle."""
    first = int(place)
    before = _level(wire, first - 1) if first else MARK
    for at in range(first, len(wire)):
        if wire[at] == SPACE and before == MARK:
            return at
        before = wire[at]
    return None
