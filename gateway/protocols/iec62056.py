r"""IEC 62056-21 mode C, the readout: electricity, heat and gas meters, by optical head, current loop or RS-485.

    we     /?! CR LF                    at 300 baud, 7E1; a meter on a line with others: /?ADDRESS! CR LF
    meter  /XXXZ ident CR LF            XXX its maker, Z the speed that it offers: 0 300, 1 600, ... 6 19200 baud
    we     ACK 0 Z 0 CR LF              and both go on at that speed
    meter  STX 1*(CODE(VALUE*UNIT) CR LF) ! CR LF ETX BCC              BCC = xor of all behind STX, ETX included

CODE is an OBIS code, with or without its medium in front (1-0:) and its storage behind (*255); VALUE may lack a unit.
The meter is back at 300 baud when it has spoken. A lower-case third letter of its maker says that it answers quickly;
waiting as long as for a slow one is right for both.

Told as parts: "1.7.0 kW" = a code and the unit it has to be told in, "13.7" = a code without one. What comes in another
unit is not told, as a thousandfold would look right. "1.8.0 [kWh]" is believed also of a meter that says no unit.
A code that comes twice (of two channels) is not told, unless the part has it as the meter writes it: 1-1:1.8.0.
"""

import re
from collections.abc import Mapping, Sequence

from gateway.errors import BadReply, NoReply
from gateway.protocols.conversation import Pause, Receive, Send, SetBaud, Talk
from gateway.protocols.framing import Framing, encode
from gateway.protocols.plugin import Twin

BAUDS: Mapping[str, int] = {"0": 300, "1": 600, "2": 1200, "3": 2400, "4": 4800, "5": 9600, "6": 19200}
IDENT = Framing("line", 64, start=b"/", end=b"\r\n")
READOUT = Framing(
    "line", 8192, start=b"\x02", end=b"!\r\n\x03", after=1,
    checksum="xor", checksum_from=1, checksum_until=-1, checksum_at=-1,
)  # fmt: skip
REACTION_MS = 250  # a slow meter needs 200 before it can hear us again
REPLY_MS = 2000
TWIN_IDENT, TWIN_BAUD, TWIN_IDLE_MS = b"/GWT5SIMULATED\r\n", 9600, 60_000
_IDENT = re.compile(rb"/[A-Za-z]{3}([0-9A-Za-z])[ -~]*\r\n")
_LINE = re.compile(r"([0-9A-Za-z][0-9A-Za-z.:*&-]{0,31})\(([^()*]{0,64})(?:\*([^()*]{0,16}))?\)(?:\([^()]*\))*")
_LONG = re.compile(r"^[0-9]{1,3}-[0-9]{1,3}:|\*255$")
_PART = re.compile(r"[0-9A-Za-z][0-9A-Za-z.:*&-]{0,31}( [A-Za-z0-9/]{1,14}| \[[A-Za-z0-9/]{1,14}\])?")


class ModeC:
    """Asks for the readout; all of it comes, whatever is wanted."""

    changes_baud = True

    def check(self, address: str, parts: Sequence[str]) -> None:
        """As `SerialProtocol`."""
        if not re.fullmatch(r"[0-9A-Za-z]{0,32}", address):
            raise ValueError(f"{address!r}: at most 32 digits and letters")
        for part in parts:
            if not _PART.fullmatch(part):
                raise ValueError(f"{part!r}: an OBIS code, and after a blank its unit: 1.7.0 kW, or 1.8.0 [kWh]")

    def alone(self, address: str) -> bool:
        """As `SerialProtocol`."""
        return not address

    def poll(self, address: str, parts: Sequence[str]) -> Talk:
        """As `SerialProtocol`; raises NoReply and BadReply."""
        yield Send(f"/?{address}!\r\n".encode("ascii"))
        ident = _IDENT.fullmatch((yield Receive(IDENT, REPLY_MS, fits=_is_ident, dates=False)))
        if ident is None:
            raise NoReply("no meter said its name")
        speed = ident[1].decode("ascii")
        if speed not in BAUDS:
            raise BadReply(f"a meter of another mode: {ident[0]!r}")
        yield Pause(REACTION_MS)
        yield Send(f"\x060{speed}0\r\n".encode("ascii"))
        yield SetBaud(BAUDS[speed])
        readout = yield Receive(READOUT, REPLY_MS)
        if not readout:
            raise NoReply(f"the meter said its name, and nothing at {BAUDS[speed]} baud")
        return told_in(readout, parts)

    def answer(self, address: str, told: Mapping[str, str | int | float]) -> Twin:
        """As `SerialProtocol`: one readout."""
        ours = {f"/?{address}!\r\n".encode("ascii"), b"/?!\r\n"}
        asked = yield Receive(IDENT, TWIN_IDLE_MS, fits=lambda frame: frame in ours)
        if not asked:
            return
        yield Pause(REACTION_MS)
        yield Send(TWIN_IDENT)
        wanted = b"\x06050\r\n"
        if not (yield Receive(Framing("fixed", len(wanted), start=wanted, length=len(wanted)), REPLY_MS)):
            return
        yield SetBaud(TWIN_BAUD)
        yield Pause(REACTION_MS)
        yield Send(readout_of(told))


PROTOCOL = ModeC()


def told_in(readout: bytes, parts: Sequence[str]) -> Mapping[str, str]:
    """Of a checked readout, what these parts name."""
    full: dict[str, list[tuple[str, str]]] = {}
    short: dict[str, list[tuple[str, str]]] = {}
    for line in readout[1:-5].decode("latin-1").split("\r\n"):
        if match := _LINE.fullmatch(line):
            code, value, unit = match[1], match[2], match[3] or ""
            full.setdefault(code, []).append((value, unit))
            short.setdefault(_LONG.sub("", code), []).append((value, unit))
    found = {}
    for part in parts:
        code, _, wanted = part.partition(" ")
        told = full.get(code) or short.get(code) or []
        units = ("", wanted[1:-1]) if wanted.startswith("[") else (wanted,)
        if len(told) == 1 and told[0][1] in units:
            found[part] = told[0][0]
    return found


def readout_of(told: Mapping[str, str | int | float]) -> bytes:
    """A whole readout with these parts."""
    lines = []
    for part, value in told.items():
        code, blank, unit = part.partition(" ")
        lines.append(f"{code}({value}{'*' if blank else ''}{unit.strip('[]')})\r\n")
    return encode(READOUT, b"\x02" + "".join(lines).encode("ascii"))


def _is_ident(frame: bytes) -> bool:
    return _IDENT.fullmatch(frame) is not None
