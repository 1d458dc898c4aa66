"""Every way to answer wrongly, as a function of the right answer. Pure.

A `[fault.NAME]` table of a simulator's file, or the command `fault NAME ...` of `simctl`, makes one `Fault`. NAME is a
device, "device.field" or a bus; a list of tables `[[fault.NAME]]` makes several, of which the first that is on counts.

    [fault.meter-1]
    kind = "late"
    by_ms = 800
    after = "10s"    # when: see `simulators.timetable`

    of a device (its reply, or the frame of a stream: s; of RTU framing: r; of TCP framing: t); whatever is said of
    streams is said of serial devices that are asked, too, and they can be late, and heard to echo
    silent             rts  -                       nothing is said
    truncated          rts  keep                    the first `keep` bytes (default half), no more
    torn               rts  keep                    the same; the rest comes right before the device's next reply
    wrong_crc          r    -                       the checksum's last bit is wrong
    bit_flip           rts  byte, bit               one bit; default the lowest of the length (stream: of the middle)
    wrong_unit_id      rt   by                      in the name of another device
    wrong_tid          t    by                      of another transaction
    wrong_function     rt   -                       function 4 answers 3, and so on; checksum right
    short, long        rt   by                      so many bytes of data less or more, and the byte count says so
    wrong_count        rt   by                      the byte count alone is wrong
    late               rt   by_ms | by_timeouts, queue  after so long (a list: in turns); a device that queues (default)
                                                    answers what it is asked meanwhile afterwards, in order;
                                                    another one does not hear it
    exception          rt   code, by_ms | by_timeouts, queue
    echo               r    -                       the request comes back first, as on two wires
    slow               rts  byte_ms                 each byte so long after the one before
    garbage            rts  size | hex | unit_id    so many bytes of noise before (default 3), these, or the unit_id
    hang_up            rt   keep                    the first `keep` bytes, then the connection is closed (not on a pty)
    refuse_registers   rt   addresses               exception 2 to a request that touches one: 5 or [5, 9]
    refuse_functions   rt   functions               exception 1 to these function codes, as [43]
    of a field
    jump               -    by                      so much more
    stuck              -    -                       the first value of the window, until its end
    no_value           -    -                       NaN, or what the profile says for "no value"
    of a bus
    vanish             -    -                       a pty: hung up, its link removed; back under another number
    refuse             -    -                       TCP: connections are cut, new ones refused
    half_open          -    -                       TCP: connections are accepted, nothing is ever said
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.protocols.modbus_frame import RTU_MAX
from gateway.protocols.modbus_pdu import EXCEPTION, ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, encode_exception
from simulators import timetable
from simulators.entry import Entry
from simulators.fault import Act, Bent, Exchange, Fault, Refused, Spoiled, State, Step, Steps, Target, Then
from simulators.timetable import Timetable

PDU_MAX = 253
DELAY_MAX_MS = 600_000
READS = frozenset({1, 2, 3, 4})


def fault(name: str, target: Target, table: Mapping[str, object], now_ms: int = 0) -> Fault:
    """From one table; its timetable counts from `now_ms`; raises WrongEntry."""
    entry = Entry(name, table)
    kind = table.get("kind")
    known = {word: one for word, one in _KINDS.items() if target.what == one.what and target.transport in one.on}
    if not isinstance(kind, str) or kind not in known:
        raise entry.wrong(f"kind {kind!r} is none of {', '.join(sorted(known))}, which this {target.what} can have")
    entry.only(known[kind].keys | timetable.KEYS | {"kind"})
    written = " ".join(f"{key}={_shown(value)}" for key, value in table.items() if key != "kind")
    return Fault(name, kind, Timetable.of(entry, now_ms), known[kind].make(entry), written)


# of a reply ----------------------------------------------------------------------------------------------------------


def _spoiled(spoil: Callable[[Exchange], bytes | Steps], *, may_be_right: bool = False) -> Spoiled:
    def steps(exchange: Exchange) -> Steps:
        made = spoil(exchange)
        return (Step(0, made),) if isinstance(made, bytes) else made

    return Spoiled(steps, may_be_right)


def _silent(_: Entry) -> Act:
    return _spoiled(lambda _: ())


def _truncated(entry: Entry) -> Act:
    keep = _keep(entry)
    return _spoiled(lambda exchange: exchange.good[: keep(exchange)])


def _torn(entry: Entry) -> Act:
    keep = _keep(entry)

    def steps(exchange: Exchange) -> Steps:
        good, at = exchange.good, keep(exchange)
        return Step(0, good[:at]), Step(0, good[at:], Then.HOLD)

    return _spoiled(steps)


def _hang_up(entry: Entry) -> Act:
    keep = _keep(entry)
    return _spoiled(lambda exchange: (Step(0, exchange.good[: keep(exchange)], Then.HANG_UP),))


def _keep(entry: Entry) -> Callable[[Exchange], int]:
    """How many bytes of the right answer are said; never all."""
    if "keep" not in entry.table:
        return lambda exchange: len(exchange.good) // 2
    keep = entry.whole("keep", 0, 0, RTU_MAX)
    return lambda exchange: min(keep, len(exchange.good) - 1)


def _wrong_crc(_: Entry) -> Act:
    return _spoiled(lambda exchange: _flipped(exchange.good, len(exchange.good) - 1, 0))


def _bit_flip(entry: Entry) -> Act:
    bit, byte = entry.whole("bit", 0, 0, 7), entry.whole("byte", 0, 0, RTU_MAX) if "byte" in entry.table else None

    def spoil(exchange: Exchange) -> bytes:
        length_at = {"tcp": 5, "rtu": 2}.get(exchange.framing, len(exchange.good) // 2)
        return _flipped(exchange.good, length_at if byte is None else byte, bit)

    return _spoiled(spoil)


def _flipped(data: bytes, byte: int, bit: int) -> bytes:
    spoiled = bytearray(data)
    spoiled[min(byte, len(data) - 1)] ^= 1 << bit
    return bytes(spoiled)


def _wrong_unit_id(entry: Entry) -> Act:
    by = entry.whole("by", 1, 1, 255)
    return _spoiled(lambda exchange: exchange.wire(exchange.frame.pdu, unit_id=by))


def _wrong_tid(entry: Entry) -> Act:
    by = entry.whole("by", 1, 1, 0xFFFF)
    return _spoiled(lambda exchange: exchange.wire(exchange.frame.pdu, tid=by))


def _wrong_function(_: Entry) -> Act:
    """3 and 4, 1 and 2, 5 and 6, 15 and 16 are mistaken for each other."""

    def spoil(exchange: Exchange) -> bytes:
        code, rest = exchange.frame.pdu[0], exchange.frame.pdu[1:]
        other = ((code & ~EXCEPTION) - 1 ^ 1) + 1
        return exchange.wire(bytes((other | code & EXCEPTION,)) + rest)

    return _spoiled(spoil)


def _short(entry: Entry) -> Act:
    by = entry.whole("by", 2, 1, 250)
    return _recounted(lambda data: data[: max(0, len(data) - by)])


def _long(entry: Entry) -> Act:
    by = entry.whole("by", 2, 1, 250)
    return _recounted(lambda data: (data + bytes(by))[: PDU_MAX - 2])


def _recounted(change: Callable[[bytes], bytes]) -> Act:
    """Other data in a read's reply, counted rightly; what is no read's reply is left as it is."""

    def spoil(exchange: Exchange) -> bytes:
        pdu = exchange.frame.pdu
        if pdu[0] not in READS:
            return exchange.good
        data = change(pdu[2:])
        return exchange.wire(bytes((pdu[0], len(data))) + data)

    return _spoiled(spoil)


def _wrong_count(entry: Entry) -> Act:
    by = entry.whole("by", 2, 1, 255)

    def spoil(exchange: Exchange) -> bytes:
        pdu = exchange.frame.pdu
        return exchange.wire(pdu[:1] + bytes((pdu[1] + by & 0xFF,)) + pdu[2:]) if pdu[0] in READS else exchange.good

    return _spoiled(spoil)


def _late(entry: Entry) -> Act:
    delay = _delay(entry)
    steps = _spoiled(lambda exchange: (Step(delay(exchange), exchange.good),), may_be_right=True).steps
    return Spoiled(steps, may_be_right=True, queue=entry.flag("queue", otherwise=True))


def _exception(entry: Entry) -> Act:
    code, late = entry.whole("code", 4, 1, 255), "by_ms" in entry.table or "by_timeouts" in entry.table
    delay = _delay(entry) if late else lambda _: 0.0

    def steps(exchange: Exchange) -> Steps:
        refused = encode_exception(exchange.frame.pdu[0] & ~EXCEPTION, code)
        return (Step(delay(exchange), exchange.wire(refused)),)

    return Spoiled(steps, queue=entry.flag("queue", otherwise=True))


def _delay(entry: Entry) -> Callable[[Exchange], float]:
    """In ms: of a list, each in its turn."""
    key = "by_timeouts" if "by_timeouts" in entry.table else "by_ms"
    given = entry.several(key)
    if not given or {"by_ms", "by_timeouts"} <= set(entry.table):
        raise entry.wrong("late by how much? by_ms or by_timeouts")
    by = [Entry(entry.name, {key: one}).number(key, 0, 0, DELAY_MAX_MS) for one in given]
    times_timeout = key == "by_timeouts"
    return lambda exchange: by[exchange.turn % len(by)] * (exchange.timeout_ms if times_timeout else 1)


def _echo(_: Entry) -> Act:
    return _spoiled(lambda exchange: exchange.request + exchange.good, may_be_right=True)


def _slow(entry: Entry) -> Act:
    byte_ms = entry.number("byte_ms", 10, 0, 10_000)

    def steps(exchange: Exchange) -> Steps:
        return tuple(Step(byte_ms * at, bytes((byte,))) for at, byte in enumerate(exchange.good))

    return _spoiled(steps, may_be_right=True)


def _garbage(entry: Entry) -> Act:
    if len({"size", "hex", "unit_id"} & set(entry.table)) > 1:
        raise entry.wrong("size, hex or unit_id: one of them")
    size, given = entry.whole("size", 3, 1, RTU_MAX), entry.hexed("hex")
    looks_real = entry.flag("unit_id", otherwise=False)

    def spoil(exchange: Exchange) -> bytes:
        noise = exchange.chance.randbytes(size) if given is None else given
        return (bytes((exchange.frame.unit_id,)) if looks_real else noise) + exchange.good

    return _spoiled(spoil, may_be_right=True)


def _refuse_registers(entry: Entry) -> Act:
    spans = []
    for one in entry.several("addresses"):
        ends = one if isinstance(one, list | tuple) else (one, one)
        if len(ends) != 2 or not all(type(end) is int and 0 <= end <= 0xFFFF for end in ends):  # noqa: PLR2004
            raise entry.wrong("addresses: a list of numbers and of [first, last]")
        spans.append((ends[0], ends[1]))
    if not spans:
        raise entry.wrong("which addresses?")
    return Refused(ILLEGAL_ADDRESS, addresses=tuple(spans))


def _refuse_functions(entry: Entry) -> Act:
    codes = [Entry(entry.name, {"functions": one}).whole("functions", 0, 1, 127) for one in entry.several("functions")]
    if not codes:
        raise entry.wrong("which functions?")
    return Refused(ILLEGAL_FUNCTION, functions=frozenset(codes))


# of a field, of a bus ------------------------------------------------------------------------------------------------


def _jump(entry: Entry) -> Act:
    return Bent(shift=entry.number("by", 100.0))


@dataclass(frozen=True, slots=True)
class _Kind:
    what: str
    on: frozenset[str]  # transports
    keys: frozenset[str]
    make: Callable[[Entry], Act]


def _kind(what: str, on: str, keys: str, make: Callable[[Entry], Act]) -> _Kind:
    return _Kind(what, frozenset(on.split()), frozenset(keys.split()), make)


_RTU = "rtu rtu_over_tcp"
_MODBUS = f"{_RTU} tcp"
_TALK = "talk talk_over_tcp"
_ALL = f"{_MODBUS} stream {_TALK}"
_TCP = "tcp rtu_over_tcp"
_DELAYS = "by_ms by_timeouts queue"
_KINDS: Mapping[str, _Kind] = {
    "silent": _kind("device", _ALL, "", _silent),
    "truncated": _kind("device", _ALL, "keep", _truncated),
    "torn": _kind("device", _ALL, "keep", _torn),
    "wrong_crc": _kind("device", _RTU, "", _wrong_crc),
    "bit_flip": _kind("device", _ALL, "byte bit", _bit_flip),
    "wrong_unit_id": _kind("device", _MODBUS, "by", _wrong_unit_id),
    "wrong_tid": _kind("device", "tcp", "by", _wrong_tid),
    "wrong_function": _kind("device", _MODBUS, "", _wrong_function),
    "short": _kind("device", _MODBUS, "by", _short),
    "long": _kind("device", _MODBUS, "by", _long),
    "wrong_count": _kind("device", _MODBUS, "by", _wrong_count),
    "late": _kind("device", f"{_MODBUS} {_TALK}", _DELAYS, _late),
    "exception": _kind("device", _MODBUS, f"code {_DELAYS}", _exception),
    "echo": _kind("device", f"{_RTU} {_TALK}", "", _echo),
    "slow": _kind("device", _ALL, "byte_ms", _slow),
    "garbage": _kind("device", _ALL, "size hex unit_id", _garbage),
    "hang_up": _kind("device", _TCP, "keep", _hang_up),
    "refuse_registers": _kind("device", _MODBUS, "addresses", _refuse_registers),
    "refuse_functions": _kind("device", _MODBUS, "functions", _refuse_functions),
    "jump": _kind("field", _ALL, "by", _jump),
    "stuck": _kind("field", _ALL, "", lambda _: Bent(stuck=True)),
    "no_value": _kind("field", _ALL, "", lambda _: Bent(none=True)),
    "vanish": _kind("bus", "rtu stream talk", "", lambda _: State("vanish")),
    "refuse": _kind("bus", f"{_TCP} talk_over_tcp", "", lambda _: State("refuse")),
    "half_open": _kind("bus", f"{_TCP} talk_over_tcp", "", lambda _: State("half_open")),
}


def _shown(value: object) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value).replace(" ", "")
