"""gateway.protocols.iec62056: the handshake with its change of speed, and what a readout tells."""

import pytest

from gateway.errors import BadReply, NoReply
from gateway.protocols.conversation import SetBaud
from gateway.protocols.framing import encode
from gateway.protocols.iec62056 import PROTOCOL, READOUT, readout_of, told_in
from gateway.protocols.plugin import SerialProtocol
from gateway.protocols.rehearsal import Said, device, recorded, rehearse

ENERGY = "1.8.0 [kWh]"


def _ours(data: bytes) -> Said:
    return Said(ours=True, data=data)


def _theirs(data: bytes) -> Said:
    return Said(ours=False, data=data)


def _readout(*lines: str) -> bytes:
    return encode(READOUT, b"\x02" + "".join(f"{line}\r\n" for line in lines).encode())


def test_it_is_a_protocol() -> None:
    """Without an address it has to be alone."""
    assert isinstance(PROTOCOL, SerialProtocol)
    PROTOCOL.check("00012345", (ENERGY, "1-1:1.7.0 kW", "13.7", "C.1.0"))
    assert PROTOCOL.alone("")
    assert not PROTOCOL.alone("00012345")
    for address, parts in (("7!", ()), ("", ("1.8.0  kWh",)), ("", ("1.8.0 [kWh",)), ("", ("",))):
        with pytest.raises(ValueError, match=r"digits|OBIS"):
            PROTOCOL.check(address, parts)


@pytest.mark.parametrize(("digit", "baud"), [("0", 300), ("3", 2400), ("5", 9600), ("6", 19200)])
def test_both_change_their_speed(digit: str, baud: int) -> None:
    """The meter offers one, we take it, the readout comes at it."""
    exchange: list[Said | SetBaud] = [
        _ours(b"/?!\r\n"),
        _theirs(f"/LGZ{digit}ZMD\r\n".encode()),
        _ours(f"\x060{digit}0\r\n".encode()),
        SetBaud(baud),
        _theirs(_readout("1.8.0(001846.0*kWh)")),
    ]
    found, _ = rehearse(PROTOCOL.poll("", (ENERGY,)), recorded(exchange), 300)
    assert found == {ENERGY: "001846.0"}
    exchange[3] = SetBaud(1200)
    with pytest.raises(NoReply, match="said its name"):
        rehearse(PROTOCOL.poll("", (ENERGY,)), recorded(exchange), 300)


def test_our_own_call_coming_back_is_no_meter() -> None:
    """An optical head that hears itself."""
    exchange = [_ours(b"/?!\r\n"), _theirs(b"/?!\r\n")]
    with pytest.raises(NoReply):
        rehearse(PROTOCOL.poll("", (ENERGY,)), recorded(exchange), 300)


def test_a_meter_of_another_mode_is_refused() -> None:
    """Mode B offers a letter."""
    with pytest.raises(BadReply, match="mode"):
        rehearse(PROTOCOL.poll("", (ENERGY,)), recorded([_ours(b"/?!\r\n"), _theirs(b"/ABCD123\r\n")]), 300)


@pytest.mark.parametrize(
    ("line", "part", "told"),
    [
        ("1-0:1.8.0*255(000001.2963)", ENERGY, "000001.2963"),
        ("1.8.0(013925.5*)", ENERGY, "013925.5"),
        ("1.8.0(001846.0*kWh)", ENERGY, "001846.0"),
        ("1.8.0(1846000*Wh)", ENERGY, None),
        ("1.7.0(3.5*kW)", "1.7.0 kW", "3.5"),
        ("1.7.0(3.5)", "1.7.0 kW", None),
        ("13.7(0.982)", "13.7", "0.982"),
        ("13.7(0.982*X)", "13.7", None),
        ("1.8.0*01(001801.2*kWh)", ENERGY, None),
        ("1.6.1(0.412*kW)(2611230915)", "1.6.1 kW", "0.412"),
        ("1.8.0()", ENERGY, ""),
        ("1.8.0(1*kWh", ENERGY, None),
        ("1-1:1.8.0(7*kWh)", "1-1:1.8.0 kWh", "7"),
    ],
)
def test_a_line_tells_its_part(line: str, part: str, told: str | None) -> None:
    """Codes in short and in full; units as they are wanted; what is not sure is not told."""
    assert told_in(_readout("F.F(00)", line), (part,)).get(part) == told


def test_a_code_of_two_channels_is_told_by_its_full_name_only() -> None:
    """Nobody knows which of the two is meant."""
    readout = _readout("1-1:1.8.0(1*kWh)", "1-2:1.8.0(2*kWh)")
    assert told_in(readout, (ENERGY, "1-2:1.8.0 kWh")) == {"1-2:1.8.0 kWh": "2"}


def test_the_twin_says_what_it_is_told() -> None:
    """At 9600 baud; to its own address, and to the call for all."""
    told = {ENERGY: "1846.0", "13.7": "0.982", "1.7.0 kW": "-3.5"}
    for asked in ("00012345", ""):
        found, said = rehearse(PROTOCOL.poll(asked, tuple(told)), device(PROTOCOL, "00012345", told), 300)
        assert found == told
        assert [one.baud for one in said] == [300, 300, 300, 9600]
    with pytest.raises(NoReply):
        rehearse(PROTOCOL.poll("9", tuple(told)), device(PROTOCOL, "00012345", told), 300)
    assert readout_of({}).startswith(b"\x02!")
