"""Protocol modules, whatever comes: no crash, no hang, nothing beyond bounds, no value whose checksum fails."""

from collections.abc import Mapping
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import BadReply, NoReply
from gateway.protocols import bounded, dlt645, iec62056, mbus, umb, vedirect
from gateway.protocols.conversation import Receive, Send, SetBaud, Step
from gateway.protocols.framing import FrameReader, encode
from gateway.protocols.plugin import OWN, SerialProtocol
from gateway.protocols.rehearsal import Said, device, recorded, rehearse

BAUD = 300
CASES: Mapping[str, tuple[SerialProtocol, str, Mapping[str, str]]] = {
    "vedirect": (vedirect.PROTOCOL, "", {"V": "12810", "I": "-10", "LOAD": "1", "SOC": "876"}),
    "dlt645-2007": (dlt645.PROTOCOL, "123456789012", {"02010100": "230.5", "02020100": "-1.250", "00010000": "7.00"}),
    "umb": (umb.PROTOCOL, "0x7001", {"100": "20.5", "200": "61.0", "600": "1.25"}),
    "iec62056-21": (iec62056.PROTOCOL, "", {"1.8.0 [kWh]": "1846.0", "1.7.0 kW": "3.5", "13.7": "0.982"}),
}
PIECES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from([
            b"\r\nV\t1", b"\r\nChecksum\t", b":7F0\n", b"\xfe\xfe\x68", b"\x68" + bytes(6) + b"\x68\x91\x06",
            b"/LGZ5X\r\n", b"/LGZ0X\r\n", b"\x02", b"1.8.0(1*kWh)\r\n", b"!\r\n\x03", b"\x16", b"\x03",
            b"\x01\x10\x01\xf0\x01\x70\x0d\x02\x2f\x10", b"\x00\x01\x08\x00\x64\x00\x16",
        ]),
    ),
    max_size=12,
)  # fmt: skip


@pytest.mark.parametrize("name", sorted(CASES))
@given(pieces=PIECES, cuts=st.integers(1, 7))
@settings(max_examples=60, deadline=None)
def test_noise_ends_in_time_and_is_no_failure_of_the_module(name: str, pieces: list[bytes], cuts: int) -> None:
    """The device's errors, never the module's; and what is told has stood in a frame with a good checksum."""
    noise = b"".join(pieces)
    parts = tuple(CASES[name][2])
    visit = bounded.visit(OWN[name], CASES[name][1], parts)
    heard = [noise[at : at + cuts] for at in range(0, len(noise), cuts)]
    good: list[bytes] = []
    told: Mapping[str, object] = {}
    try:
        step = next(visit)
        for _ in range(bounded.STEPS_MAX):
            step = visit.send(_done(step, heard, good))
    except StopIteration as end:
        told = end.value
    except (NoReply, BadReply):
        pass
    assert not told or any(_is_whole(name, frame) for frame in good)


def _done(step: Step, heard: list[bytes], good: list[bytes]) -> bytes:
    if not isinstance(step, Receive):
        return b""
    reader = FrameReader(step.framing, in_step=True)
    while heard:
        for frame in reader.feed(heard.pop(0)):
            assert len(frame) <= step.framing.max_bytes
            if step.fits is None or step.fits(frame):
                good.append(frame)
                return frame
        assert reader.held_bytes <= step.framing.max_bytes
    return b""


def _is_whole(name: str, frame: bytes) -> bool:
    """By arithmetic of its own."""
    if name == "vedirect":
        rest = frame
        while b":" in rest[:-1] and (end := rest.find(b"\n", rest.index(b":"))) > 0:
            rest = rest[: rest.index(b":")] + rest[end + 1 :]
        return sum(rest) % 256 == 0
    if name == "dlt645-2007":
        return sum(frame[:-2]) % 256 == frame[-2] and frame[-1] == 0x16
    check = 0
    for byte in frame[1:-1]:
        check ^= byte
    return frame[:1] == b"\x02" and check == frame[-1]


@pytest.mark.parametrize("name", sorted(CASES))
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_changed_byte_of_a_visit_is_no_other_value(name: str, data: st.DataObject) -> None:
    """One byte of what the device says is another: the visit tells what it told before, or less."""
    protocol, address, told = CASES[name]
    parts = tuple(told)
    right, said = rehearse(protocol.poll(address, parts), device(protocol, address, told), BAUD)
    exchange = _with_speeds(said)
    at = data.draw(st.sampled_from([n for n, one in enumerate(exchange) if isinstance(one, Said) and not one.ours]))
    spoken = exchange[at]
    assert isinstance(spoken, Said)
    n = data.draw(st.integers(0, len(spoken.data) - 1))
    other = data.draw(st.integers(1, 255)) ^ spoken.data[n]
    exchange[at] = Said(ours=False, data=spoken.data[:n] + bytes((other,)) + spoken.data[n + 1 :])
    try:
        found, _ = rehearse(bounded.visit(OWN[name], address, parts), recorded(exchange), BAUD)
    except (NoReply, BadReply):
        return
    assert found.items() <= right.items()


def _with_speeds(said: tuple[Said, ...]) -> list[Said | SetBaud]:
    found: list[Said | SetBaud] = []
    baud = BAUD
    for one in said:
        if one.baud != baud:
            found.append(SetBaud(one.baud))
            baud = one.baud
        found.append(one)
    return found


@given(body=st.binary(max_size=200), ci=st.sampled_from([0x72, 0x7A, 0x78, 0x73, 0x00]))
@settings(max_examples=300, deadline=None)
def test_any_telegram_is_read_or_refused(body: bytes, ci: int) -> None:
    """The library is somebody else's: nothing but BadReply comes out of it, and numbers are numbers."""
    whole = bytes((0x08, 1, ci)) + body
    telegram = encode(mbus.LONG, bytes((0x68, len(whole), len(whole), 0x68)) + whole)
    try:
        told = mbus.told_in(telegram)
    except BadReply:
        return
    assert all(isinstance(value, int) or Decimal(value).is_finite() for value in told.values())


@given(parts=st.lists(st.text(max_size=12), max_size=4), address=st.text(max_size=14))
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_refused_in_words_or_can_be_asked(parts: list[str], address: str) -> None:
    """`check` raises ValueError and nothing else; what it lets pass begins with a step."""
    for protocol, _, _ in CASES.values():
        try:
            protocol.check(address, parts)
        except ValueError:
            continue
        if parts:
            assert isinstance(next(protocol.poll(address, parts)), Send | Receive)
