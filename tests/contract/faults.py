"""What one reply may look like when a device, a line or a converter misbehaves."""

from gateway.protocols.modbus_pdu import encode_exception
from tests.contract.bench import COUNT, TIMEOUT_S
from tests.support.modbus_server import HANG_UP, Answer, Asked, Fault, ModbusServer

LATE_S = 1.5 * TIMEOUT_S  # half a timeout after it


def late(asked: Asked) -> list[Answer]:
    """After the timeout; what is asked meanwhile waits for it."""
    return [(LATE_S, asked.good())]


def late_by(timeouts: float) -> Fault:
    """That many timeouts after the device began with it."""
    return lambda asked: [(timeouts * TIMEOUT_S, asked.good())]


def under_the_newest_transaction(server: ModbusServer, timeouts: float) -> Fault:
    """Late, from a converter that puts its newest request's transaction on whatever its serial line brings."""
    return lambda asked: [
        (timeouts * TIMEOUT_S, lambda: asked.wire(asked.pdu(), tid=server.asked[-1].frame.tid)),
    ]


def late_exception(asked: Asked) -> list[Answer]:
    """Busy, after the timeout."""
    return [(LATE_S, asked.wire(encode_exception(3, 6)))]


def silent(_asked: Asked) -> list[Answer]:
    """Never."""
    return []


def truncated(asked: Asked) -> list[Answer]:
    """The end never comes."""
    return [(0, asked.good()[:-4])]


def rest_with_the_next(asked: Asked) -> list[Answer]:
    """The end comes after the timeout, right before the next reply."""
    return [(0, asked.good()[:-4]), (LATE_S, asked.good()[-4:])]


def slow_bytes(asked: Asked) -> list[Answer]:
    """Byte by byte, in half a timeout."""
    return _spread(asked.good(), TIMEOUT_S / 2)


def too_slow_bytes(asked: Asked) -> list[Answer]:
    """Byte by byte, until after the timeout."""
    return _spread(asked.good(), LATE_S)


def wrong_crc(asked: Asked) -> list[Answer]:
    """One bit of the checksum."""
    return [(0, _flipped(asked.good(), -1, 0x10))]


def wrong_data_byte(asked: Asked) -> list[Answer]:
    """One bit of a register."""
    return [(0, _flipped(asked.good(), 8, 0x40))]


def wrong_length_byte(asked: Asked) -> list[Answer]:
    """One bit of the byte count, as the line may flip it."""
    return [(0, _flipped(asked.good(), -(2 * COUNT + (1 if asked.frame.tid is not None else 3)), 0x04))]


def wrong_mbap_length(asked: Asked) -> list[Answer]:
    """One bit of the length in the header of TCP."""
    return [(0, _flipped(asked.good(), 5, 0x04))]


def miscounted(asked: Asked) -> list[Answer]:
    """All registers, but the byte count says fewer, under a good checksum."""
    pdu = asked.pdu()
    return [(0, asked.wire(bytes((pdu[0], pdu[1] - 4)) + pdu[2:]))]


def wrong_unit(asked: Asked) -> list[Answer]:
    """Somebody else answers."""
    return [(0, asked.wire(asked.pdu(), unit_id=7))]


def wrong_function(asked: Asked) -> list[Answer]:
    """Input registers for holding registers."""
    return [(0, asked.wire(b"\x04" + asked.pdu()[1:]))]


def fewer_registers(asked: Asked) -> list[Answer]:
    """Two are missing; the frame is sound."""
    pdu = asked.pdu()
    return [(0, asked.wire(bytes((pdu[0], pdu[1] - 4)) + pdu[2:-4]))]


def more_registers(asked: Asked) -> list[Answer]:
    """Two more than asked for; the frame is sound."""
    pdu = asked.pdu()
    return [(0, asked.wire(bytes((pdu[0], pdu[1] + 4)) + pdu[2:] + b"\1\2\3\4"))]


def wrong_transaction(asked: Asked) -> list[Answer]:
    """The frame of nobody's request."""
    return [(0, asked.wire(asked.pdu(), tid=(asked.frame.tid or 0) + 77))]


def garbage_before(asked: Asked) -> list[Answer]:
    """Line noise that looks like the head of a reply."""
    return [(0, b"\xff\x01\x03" + asked.good())]


def unit_id_before(asked: Asked) -> list[Answer]:
    """One stray byte that looks like the unit_id."""
    return [(0, bytes((asked.frame.unit_id,)) + asked.good())]


def echo_before(asked: Asked) -> list[Answer]:
    """A two-wire adapter that hears itself."""
    return [(0, asked.raw + asked.good())]


def echo_only(asked: Asked) -> list[Answer]:
    """The same adapter, with nobody at the other end."""
    return [(0, asked.raw)]


def twice(asked: Asked) -> list[Answer]:
    """A repeater on the line: both in one segment."""
    return [(0, asked.good() + asked.good())]


def hang_up(asked: Asked) -> list[Answer]:
    """The server ends in the middle of its reply."""
    return [(0, asked.good()[:6]), (0.005, HANG_UP)]


EVERYWHERE: tuple[Fault, ...] = (
    late,
    late_exception,
    silent,
    truncated,
    rest_with_the_next,
    slow_bytes,
    too_slow_bytes,
    wrong_length_byte,
    miscounted,
    wrong_unit,
    wrong_function,
    fewer_registers,
    more_registers,
    garbage_before,
    unit_id_before,
    twice,
)
ON_TCP: tuple[Fault, ...] = (wrong_transaction, wrong_mbap_length)
ON_RTU: tuple[Fault, ...] = (wrong_crc, wrong_data_byte, echo_before, echo_only)
ON_SOCKETS: tuple[Fault, ...] = (hang_up,)


def faults_of(transport: str) -> dict[str, Fault]:
    """Those that a transport can have, by name."""
    faults = EVERYWHERE + (ON_TCP if transport == "tcp" else ON_RTU) + (() if transport == "rtu" else ON_SOCKETS)
    return {getattr(fault, "__name__", ""): fault for fault in faults}


def _spread(frame: bytes, over_s: float) -> list[Answer]:
    return [(over_s * at / len(frame), frame[at : at + 1]) for at in range(len(frame))]


def _flipped(frame: bytes, at: int, bit: int) -> bytes:
    flipped = bytearray(frame)
    flipped[at] ^= bit
    return bytes(flipped)
