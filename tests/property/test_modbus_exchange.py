"""gateway.protocols.modbus_exchange: whatever goes over the line, what is passed on is what was asked and answered.

A whole line in virtual time: a master that believes the first reply which fits, devices that answer in order and may be
late, and faults of all kinds. A register's content tells its unit_id and address, so a reply that is paired with
another's request is a wrong value.
"""

from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import groupby

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.protocols.modbus_exchange import Exchange, ExchangeReader
from gateway.protocols.modbus_frame import Frame, encode_rtu
from gateway.protocols.modbus_pdu import ReadRequest, Table, encode_exception, encode_reply, encode_request
from tests.support.modbus_server import content

MS = 1_000_000
CHAR_NS = 1_041_667  # 9600 8N1
REPLY_MAX_MS = 300
FAULTS = ["", "silent", "late", "exception", "request flipped", "request cut", "reply flipped", "reply cut", "noise"]
FAULTS += ["echo", "foreign function", "write"]


@dataclass
class Poll:
    """One exchange of the other master."""

    unit_id: int
    request: ReadRequest
    fault: str = ""
    late: float = 0.0  # timeouts
    damage: int = 0
    pause_ms: int = 5

    @property
    def reply(self) -> bytes:
        """As a device sends it."""
        pdu = encode_reply(self.request, content(self.unit_id, self.request))
        if self.fault == "exception":
            pdu = encode_exception(pdu[0], 4)
        return encode_rtu(Frame(self.unit_id, pdu))


@dataclass
class Wire:
    """Every byte with its time."""

    timeout_ms: int = 200
    latency_ms: int = 15
    bytes_at: list[tuple[int, int]] = field(default_factory=list)
    now_ns: int = 0
    owed: list[tuple[int, int, Poll]] = field(default_factory=list)  # (when it comes, order, to what)
    free_ns: dict[int, int] = field(default_factory=dict)

    def run(self, polls: list[Poll]) -> None:
        """One poll after the other, then all that is owed."""
        for order, poll in enumerate(polls):
            self._poll(order, poll)
        self._rest(100_000)
        self.bytes_at.sort()

    def pieces(self, piece_ms: int) -> list[tuple[bytes, int]]:
        """As an adapter hands them over that looks every `piece_ms`."""
        tick = piece_ms * MS
        grouped = groupby(self.bytes_at, key=lambda one: one[0] // tick)
        return [(bytes(byte for _, byte in group), (at + 1) * tick) for at, group in grouped]

    def _poll(self, order: int, poll: Poll) -> None:
        request = encode_rtu(Frame(poll.unit_id, encode_request(poll.request)))
        if poll.fault == "noise":
            self._send(bytes((poll.damage & 0xFF,)) * (1 + poll.damage % 9))
        if poll.fault == "foreign function":
            self._send(encode_rtu(Frame(poll.unit_id, bytes((0x17, poll.damage & 0xFF)))))
        if poll.fault == "write":
            written = encode_rtu(Frame(9, bytes((6, 0, poll.damage & 0xFF, 0, 1))))
            self._send(written)
            self.now_ns += self.latency_ms * MS
            self._send(written)
            self.now_ns += 5 * MS
        self._send(_damaged(request, poll) if poll.fault.startswith("request") else request)
        if poll.fault == "echo":
            self._send(request)
        latency_ms = poll.late * self.timeout_ms if poll.fault == "late" else self.latency_ms
        begins_ns = max(self.now_ns, self.free_ns.get(poll.unit_id, 0)) + round(latency_ms * MS)
        self.free_ns[poll.unit_id] = begins_ns + len(poll.reply) * CHAR_NS
        if poll.fault != "silent":
            heappush(self.owed, (begins_ns, order, poll))
        self._await(poll)
        self._rest(poll.pause_ms)

    def _await(self, poll: Poll) -> None:
        """The first reply that fits, whoever's it is; or the timeout."""
        until_ns = self.now_ns + self.timeout_ms * MS
        while self.owed and self.owed[0][0] <= until_ns:
            answered = self._deliver()
            if answered.unit_id == poll.unit_id and len(answered.reply) == len(poll.reply):
                return
        self.now_ns = max(self.now_ns, until_ns)

    def _rest(self, ms: int) -> None:
        """The master is silent; what is owed comes when it is ready."""
        until_ns = self.now_ns + ms * MS
        while self.owed and self.owed[0][0] <= until_ns:
            self._deliver()
        self.now_ns = max(self.now_ns, until_ns)

    def _deliver(self) -> Poll:
        begins_ns, _, poll = heappop(self.owed)
        self.now_ns = max(self.now_ns, begins_ns)
        self._send(_damaged(poll.reply, poll) if poll.fault.startswith("reply") else poll.reply)
        return poll

    def _send(self, data: bytes) -> None:
        for byte in data:
            self.now_ns += CHAR_NS
            self.bytes_at.append((self.now_ns, byte))


def _damaged(frame: bytes, poll: Poll) -> bytes:
    at = poll.damage % len(frame)
    if poll.fault.endswith("cut"):
        return frame[:at] + frame[at + 1 + poll.damage % 3 :]
    return frame[:at] + bytes((frame[at] ^ (1 << poll.damage % 8),)) + frame[at + 1 :]


def overheard(wire: Wire, piece_ms: int) -> tuple[list[Exchange], ExchangeReader]:
    """What a reader makes of a line."""
    reader = ExchangeReader(char_ns=CHAR_NS, reply_max_ns=REPLY_MAX_MS * MS, began_ns=0)
    found: list[Exchange] = []
    for data, at_ns in wire.pieces(piece_ms):
        while (wakes_ns := reader.wakes_ns) is not None and wakes_ns < at_ns:
            found += reader.quiet(wakes_ns)
            assert reader.wakes_ns is None or reader.wakes_ns > wakes_ns
        found += reader.feed(data, at_ns)
    found += reader.quiet(1 << 62)
    assert reader.wakes_ns is None
    return found, reader


def believed(found: list[Exchange]) -> list[tuple[int, ReadRequest, bytes]]:
    """The values among them."""
    return [
        (one.unit_id, one.request, one.data())
        for one in found
        if isinstance(one.request, ReadRequest) and one.pdu and not one.pdu[0] & 0x80
    ]


tables = st.sampled_from([Table.HOLDING, Table.INPUT, Table.COIL])
requests = st.builds(ReadRequest, tables, st.integers(0, 0x0400), st.sampled_from([1, 2, 2, 2, 17, 40]))
polls = st.builds(
    Poll,
    unit_id=st.integers(1, 2),
    request=requests,
    fault=st.sampled_from(["", *FAULTS]),
    late=st.sampled_from([1.2, 1.5, 2.2, 2.5, 3.5]),
    damage=st.integers(0, 255),
    pause_ms=st.sampled_from([2, 5, 20, 150, 1000]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(polls, max_size=40), st.sampled_from([1, 4, 16]), st.sampled_from([2, 15, 60]))
def test_only_true_values(asked: list[Poll], piece_ms: int, latency_ms: int) -> None:
    """Noise, echoes, lost bytes, late replies: what is passed on is what that device holds at that address."""
    wire = Wire(latency_ms=latency_ms)
    wire.run(asked)
    found, _ = overheard(wire, piece_ms)
    for unit_id, request, data in believed(found):
        assert data == content(unit_id, request)


few = st.sampled_from([ReadRequest(Table.HOLDING, address, 2) for address in (0, 2, 0x0200)])
same_shape = st.builds(
    Poll,
    unit_id=st.just(1),
    request=few,
    fault=st.sampled_from(["", "", "", "", "late", "silent", "reply flipped", "request cut", "echo"]),
    late=st.sampled_from([1.2, 1.5, 2.2, 2.5, 3.5]),
    damage=st.integers(0, 255),
    pause_ms=st.sampled_from([2, 5, 5, 5, 200]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(same_shape, max_size=60), st.sampled_from([1, 16]))
def test_late_replies_that_all_look_alike(asked: list[Poll], piece_ms: int) -> None:
    """One device, one length, few addresses: where a shifted reply fits best."""
    wire = Wire()
    wire.run([Poll(1, ReadRequest(Table.HOLDING, 0, 2), pause_ms=1000)] * 3 + asked)
    found, _ = overheard(wire, piece_ms)
    for unit_id, request, data in believed(found):
        assert data == content(unit_id, request)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=300), st.integers(0, 400)), max_size=20))
def test_any_bytes(pieces: list[tuple[bytes, int]]) -> None:
    """Never a crash, never more than a frame held, and every byte accounted for when nothing of it was one."""
    reader = ExchangeReader(char_ns=CHAR_NS, reply_max_ns=REPLY_MAX_MS * MS, began_ns=0)
    now_ns, came, found = 0, 0, []
    for data, after_ms in pieces:
        now_ns += after_ms * MS
        came += len(data)
        found += reader.feed(data, now_ns)
    found += reader.quiet(1 << 62)
    if not found and not reader.unpaired:
        assert reader.skipped_bytes + reader.late_bytes <= came
    assert believed(found) == []
    assert reader.wakes_ns is None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), requests), min_size=1, max_size=30), st.sampled_from([1, 4, 16]))
def test_a_good_line_is_understood_whole(asked: list[tuple[int, ReadRequest]], piece_ms: int) -> None:
    """Without faults every exchange is passed on, but for those whose reply could be a request."""
    wire = Wire()
    settling = [Poll(unit_id, ReadRequest(Table.HOLDING, 0, 2), pause_ms=1000) for unit_id in (1, 2, 3, 1, 2, 3)]
    wire.run(settling + [Poll(unit_id, request) for unit_id, request in asked])
    found, reader = overheard(wire, piece_ms)
    whole = [(unit_id, request, content(unit_id, request)) for unit_id, request in asked]
    got = believed(found)[-len(whole) :] if not reader.unpaired else believed(found)
    if not reader.unpaired:
        assert got == whole
        assert reader.skipped_bytes == 0
