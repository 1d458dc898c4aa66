"""The rule for late replies against devices as slow as they may be: no reply is ever taken for another request's."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.protocols.modbus_frame import Frame
from gateway.protocols.modbus_pdu import ReadRequest, Table, encode_exception, encode_reply
from gateway.south.links.late import QUEUED_MAX, LateReplies, late_max_ns, shape_of

S = 1_000_000_000
TIMEOUT_NS = S
LONGEST_NS = TIMEOUT_NS + late_max_ns(TIMEOUT_NS)
SLOW_MAX = QUEUED_MAX  # requests in a row that one queue is slow with

Asks = st.lists(
    st.tuples(
        st.integers(1, 2),  # unit_id
        st.integers(1, 3),  # registers
        st.one_of(st.just(0.01), st.floats(0.01, 0.99)),  # how long it takes, of the longest that it may
        st.booleans(),  # refused
        st.integers(0, 1500),  # ms until the next
    ),
    max_size=30,
)


@dataclass
class Line:
    """A master by the rule, and devices that answer in order: each by itself, all in one queue, or overtaking."""

    queues: str
    now_ns: int = S
    busy_ns: dict[int, int] = field(default_factory=dict)
    slow: dict[int, int] = field(default_factory=dict)
    coming: list[tuple[int, int, Frame]] = field(default_factory=list)  # when, number of the request, reply
    believed: list[tuple[int, int]] = field(default_factory=list)  # (number asked, number that answered)

    def __post_init__(self) -> None:
        self.late = LateReplies(shared_queue=self.queues != "unit")

    def ask(self, number: int, unit_id: int, count: int, takes: float, *, refuse: bool) -> None:
        """As the guard does, on a link that shows what it hears."""
        request = ReadRequest(Table.HOLDING, 0, count)
        shape = shape_of(unit_id, request)
        self.drain()
        if self.late.barred_ns(shape, self.now_ns) is not None:
            return
        deadline_ns = self.now_ns + TIMEOUT_NS
        pdu = encode_exception(3, 6) if refuse else encode_reply(request, bytes(2 * count))
        self.take_up(number, unit_id, takes, pdu)
        asked_ns = self.now_ns
        answer = self.answer(unit_id, count, deadline_ns)
        if answer is None:
            self.now_ns = deadline_ns
            self.late.bar(shape, asked_ns, deadline_ns)
            return
        self.now_ns, answered, frame = answer
        if frame.pdu[0] & 0x80 and self.late.holds(unit_id, self.now_ns):
            self.late.bar(shape, asked_ns, deadline_ns, disbelieved=True)
            return
        self.believed.append((number, answered))
        self.late.answered(unit_id)

    def take_up(self, number: int, unit_id: int, takes: float, pdu: bytes) -> None:
        """When its reply will come: nobody is slow for more than it may be, nor more often in a row."""
        queue = {"unit": unit_id, "shared": 0, "none": -number}[self.queues]
        begins_ns = max(self.now_ns, self.busy_ns.get(queue, 0))
        idle = begins_ns == self.now_ns
        self.slow[queue] = (0 if idle else self.slow.get(queue, 0)) + (takes > 0.01)
        if self.slow[queue] >= SLOW_MAX:
            takes = 0.01
        done_ns = begins_ns + int(takes * LONGEST_NS)
        self.busy_ns[queue] = done_ns
        self.coming.append((done_ns, number, Frame(unit_id, pdu)))
        self.coming.sort()

    def answer(self, unit_id: int, count: int, deadline_ns: int) -> tuple[int, int, Frame] | None:
        """The first that fits before the deadline; what does not is shown to the rule."""
        while self.coming and self.coming[0][0] < deadline_ns:
            at_ns, number, frame = self.coming.pop(0)
            fits = frame.pdu[0] & 0x80 or len(frame.pdu) == 2 + 2 * count
            if frame.unit_id == unit_id and fits:
                return at_ns, number, frame
            self.late.heard(frame, at_ns)
        return None

    def drain(self) -> None:
        """What came while nobody asked."""
        while self.coming and self.coming[0][0] <= self.now_ns:
            self.late.heard(self.coming.pop(0)[2], self.now_ns)


@pytest.mark.parametrize("queues", ["unit", "shared", "none"])
@given(asks=Asks)
@settings(max_examples=300, deadline=None)
def test_no_reply_is_anothers(queues: str, asks: list[tuple[int, int, float, bool, int]]) -> None:
    """Whatever is late, by as much as may be, as often in a row. Exceptions do not overtake: they tell too little."""
    line = Line(queues)
    for number, (unit_id, count, takes, refuse, pause_ms) in enumerate(asks, start=1):
        line.ask(number, unit_id, count, takes, refuse=refuse and queues != "none")
        line.now_ns += pause_ms * 1_000_000
    assert [pair for pair in line.believed if pair[0] != pair[1]] == []
