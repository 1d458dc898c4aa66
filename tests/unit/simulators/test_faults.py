"""Every fault: the bytes it makes of a right answer, by the specification's own example (read of holding registers)."""

from random import Random

import pytest

from gateway.protocols.checksums import crc16
from gateway.protocols.modbus_frame import Frame, encode_rtu, encode_tcp
from simulators.entry import WrongEntry
from simulators.fault import Bent, Exchange, Fault, Refused, Spoiled, State, Step, Target, Then
from simulators.faults import fault

REPLY = bytes.fromhex("03 06 02 2b 00 00 00 64")  # Modbus V1.1b3, 6.3: registers 107 to 109
REQUEST = bytes.fromhex("03 00 6b 00 03")
GOOD = {"rtu": encode_rtu(Frame(17, REPLY)), "tcp": encode_tcp(Frame(17, REPLY, 0x0102)), "stream": b"$271,3.50\r\n"}
ON = {"rtu": "rtu", "tcp": "tcp", "stream": "stream"}


def made(framing: str, kind: str, **keys: object) -> Fault:
    """One of a device."""
    return fault("m", Target("device", ON[framing]), {"kind": kind, **keys})


def steps(framing: str, kind: str, turn: int = 0, pdu: bytes = REPLY, **keys: object) -> tuple[Step, ...]:
    """What it makes of the right answer."""
    act = made(framing, kind, **keys).act
    assert isinstance(act, Spoiled)
    encode = encode_tcp if framing == "tcp" else encode_rtu
    request = b"" if framing == "stream" else encode(Frame(17, REQUEST, 0x0102))
    frame = Frame(0, GOOD["stream"]) if framing == "stream" else Frame(17, pdu, 0x0102)
    return act.steps(Exchange(framing, request, frame, 200, Random(7), turn))


def said(framing: str, kind: str, **keys: object) -> bytes:
    """The bytes, all at once."""
    found = steps(framing, kind, 0, REPLY, **keys)
    assert {step.then for step in found} <= {Then.GO_ON}
    return b"".join(step.data for step in found)


@pytest.mark.parametrize("framing", ["rtu", "tcp", "stream"])
def test_nothing_or_half_is_said(framing: str) -> None:
    """Silent; truncated in the middle or where it says, never whole; the torn rest is kept for later."""
    good = GOOD[framing]
    half = len(good) // 2
    assert steps(framing, "silent") == ()
    assert said(framing, "truncated") == good[:half]
    assert said(framing, "truncated", keep=2) == good[:2]
    assert said(framing, "truncated", keep=200) == good[:-1]
    assert steps(framing, "torn", keep=3) == (Step(0, good[:3]), Step(0, good[3:], Then.HOLD))


def test_one_bit_is_wrong() -> None:
    """Of the checksum; of the length, which is another byte on TCP; of a byte that is named."""
    rtu, tcp = GOOD["rtu"], GOOD["tcp"]
    assert said("rtu", "wrong_crc")[:-1] == rtu[:-1]
    assert said("rtu", "wrong_crc")[-1] == rtu[-1] ^ 1
    assert said("rtu", "bit_flip") == rtu[:2] + b"\x07" + rtu[3:]
    assert said("rtu", "bit_flip", bit=7) == rtu[:2] + b"\x86" + rtu[3:]
    assert said("tcp", "bit_flip") == tcp[:5] + bytes([tcp[5] ^ 1]) + tcp[6:]
    assert said("rtu", "bit_flip", byte=0, bit=1) == bytes([rtu[0] ^ 2]) + rtu[1:]
    assert said("stream", "bit_flip") == b"$271,2.50\r\n"


def test_it_comes_from_somebody_else() -> None:
    """Another unit_id, another transaction, another function: everything else is right."""
    assert said("rtu", "wrong_unit_id") == encode_rtu(Frame(18, REPLY))
    assert said("tcp", "wrong_unit_id", by=255) == encode_tcp(Frame(16, REPLY, 0x0102))
    assert said("tcp", "wrong_tid") == encode_tcp(Frame(17, REPLY, 0x0103))
    assert said("rtu", "wrong_function") == encode_rtu(Frame(17, b"\x04" + REPLY[1:]))
    pairs = {1: 2, 2: 1, 3: 4, 4: 3, 5: 6, 6: 5, 15: 16, 16: 15, 0x83: 0x84}
    for right, wrong in pairs.items():
        (step,) = steps("rtu", "wrong_function", pdu=bytes([right, 2]))
        assert step.data[1] == wrong


def test_the_byte_count_is_wrong() -> None:
    """Less or more data, rightly counted; or the right data, wrongly counted. The checksum is right."""
    assert said("rtu", "short") == encode_rtu(Frame(17, bytes.fromhex("03 04 02 2b 00 00")))
    assert said("tcp", "short", by=1) == encode_tcp(Frame(17, bytes.fromhex("03 05 02 2b 00 00 00"), 0x0102))
    assert said("rtu", "long") == encode_rtu(Frame(17, bytes.fromhex("03 08 02 2b 00 00 00 64 00 00")))
    assert said("rtu", "wrong_count") == encode_rtu(Frame(17, bytes.fromhex("03 08 02 2b 00 00 00 64")))
    assert crc16(said("rtu", "wrong_count")) == 0
    full = bytes([3, 250]) + bytes(250)
    assert len(steps("rtu", "long", pdu=full, by=250)[0].data) == 256
    assert [steps("rtu", kind, pdu=b"\x83\x02")[0].data for kind in ("short", "long", "wrong_count")] == [
        encode_rtu(Frame(17, b"\x83\x02"))
    ] * 3


def test_it_is_late() -> None:
    """By ms or timeouts (200 ms here), each of a list in its turn; the bytes are right."""
    good = GOOD["rtu"]
    assert steps("rtu", "late", by_ms=800) == (Step(800, good),)
    turns = [steps("rtu", "late", turn, by_timeouts=[1.5, 2.2, 3])[0].after_ms for turn in range(4)]
    assert turns == pytest.approx([300, 440, 600, 300])
    act = made("rtu", "late", by_ms=1, queue=False).act
    assert isinstance(act, Spoiled)
    assert not act.queue


@pytest.mark.parametrize("code", range(1, 12))
def test_it_refuses(code: int) -> None:
    """Every exception, now or late; an answer that is one already becomes this one."""
    refused = encode_rtu(Frame(17, bytes([0x83, code])))
    assert steps("rtu", "exception", code=code) == (Step(0, refused),)
    assert steps("rtu", "exception", code=code, by_ms=300) == (Step(300, refused),)
    assert steps("rtu", "exception", code=code, pdu=b"\x83\x02") == (Step(0, refused),)


def test_something_comes_before() -> None:
    """The request itself; noise, the same for the same seed; given bytes; what looks like its unit_id."""
    good, tcp = GOOD["rtu"], GOOD["tcp"]
    assert said("rtu", "echo") == encode_rtu(Frame(17, REQUEST)) + good
    assert said("rtu", "garbage") == Random(7).randbytes(3) + good
    assert said("tcp", "garbage", size=9) == Random(7).randbytes(9) + tcp
    assert said("rtu", "garbage", hex="00 ff") == b"\x00\xff" + good
    assert said("rtu", "garbage", unit_id=True) == b"\x11" + good
    assert said("stream", "garbage", hex="24") == b"$" + GOOD["stream"]


def test_it_is_slow() -> None:
    """Byte by byte, from the first one on."""
    found = steps("rtu", "slow", byte_ms=4)
    assert b"".join(step.data for step in found) == GOOD["rtu"]
    assert [step.after_ms for step in found] == [4 * at for at in range(len(GOOD["rtu"]))]


def test_it_hangs_up() -> None:
    """After some bytes of the reply."""
    assert steps("tcp", "hang_up") == (Step(0, GOOD["tcp"][: len(GOOD["tcp"]) // 2], Then.HANG_UP),)
    assert steps("tcp", "hang_up", keep=0) == (Step(0, b"", Then.HANG_UP),)


def test_some_requests_are_refused() -> None:
    """By address, one or (first, last), whatever else they touch; by function."""
    act = made("rtu", "refuse_registers", addresses=[5, [8, 9]]).act
    assert isinstance(act, Refused)
    assert act.exception == 2
    assert [act.hits(3, *span) for span in ((0, 4), (0, 5), (6, 7), (9, 20), (10, 20))] == [
        False, True, False, True, False,
    ]  # fmt: skip
    act = made("tcp", "refuse_functions", functions=[43]).act
    assert isinstance(act, Refused)
    assert (act.exception, act.hits(43, 0, 0), act.hits(3, 0, 0)) == (1, True, False)


def test_values_and_buses() -> None:
    """A field is bent; a bus is in a state."""
    field, bus = Target("field", "tcp"), Target("bus", "tcp")
    assert fault("m.v", field, {"kind": "jump", "by": 50}).act == Bent(shift=50)
    assert fault("m.v", field, {"kind": "stuck"}).act == Bent(stuck=True)
    assert fault("m.v", field, {"kind": "no_value"}).act == Bent(none=True)
    assert fault("b", bus, {"kind": "half_open"}).act == State("half_open")
    assert fault("b", Target("bus", "rtu"), {"kind": "vanish"}).act == State("vanish")
    assert fault("b", Target("bus", "talk_over_tcp"), {"kind": "refuse"}).act == State("refuse")


def test_it_can_be_shown() -> None:
    """As `simctl list` prints it."""
    shown = fault("m", Target("device", "rtu"), {"kind": "late", "by_ms": [1, 2], "queue": False, "for": "5s"})
    assert (shown.kind, shown.written) == ("late", "by_ms=[1,2] queue=false for=5s")


@pytest.mark.parametrize(
    ("target", "table"),
    [
        (Target("device", "rtu"), {}),
        (Target("device", "rtu"), {"kind": "wobbly"}),
        (Target("device", "rtu"), {"kind": ["late"]}),
        (Target("device", "rtu"), {"kind": "vanish"}),
        (Target("device", "rtu"), {"kind": "wrong_tid"}),
        (Target("device", "rtu"), {"kind": "hang_up"}),
        (Target("device", "tcp"), {"kind": "wrong_crc"}),
        (Target("device", "tcp"), {"kind": "echo"}),
        (Target("device", "stream"), {"kind": "late", "by_ms": 1}),
        (Target("field", "tcp"), {"kind": "silent"}),
        (Target("bus", "tcp"), {"kind": "vanish"}),
        (Target("bus", "rtu"), {"kind": "refuse"}),
        (Target("device", "rtu"), {"kind": "silent", "by": 1}),
        (Target("device", "rtu"), {"kind": "late"}),
        (Target("device", "rtu"), {"kind": "late", "by_ms": 1, "by_timeouts": 1}),
        (Target("device", "rtu"), {"kind": "late", "by_ms": -1}),
        (Target("device", "rtu"), {"kind": "late", "by_ms": 700_000}),
        (Target("device", "rtu"), {"kind": "exception", "code": 0}),
        (Target("device", "rtu"), {"kind": "garbage", "size": 0}),
        (Target("device", "rtu"), {"kind": "garbage", "size": 2, "hex": "00"}),
        (Target("device", "rtu"), {"kind": "refuse_registers"}),
        (Target("device", "rtu"), {"kind": "refuse_registers", "addresses": [70_000]}),
        (Target("device", "rtu"), {"kind": "refuse_registers", "addresses": [[1, 2, 3]]}),
        (Target("device", "rtu"), {"kind": "refuse_functions"}),
        (Target("device", "rtu"), {"kind": "silent", "after": "10"}),
    ],
)
def test_what_cannot_be_is_refused(target: Target, table: dict[str, object]) -> None:
    """No such kind here, no such key, not such a value."""
    with pytest.raises(WrongEntry):
        fault("m", target, table)
