"""The silences of a serial line, by the clock: a pseudo-terminal whose other end stamps what it gives and takes.

The other end is a thread that only waits, so that its stamps are of the wire and not of our event loop. It takes its
stamp before it sends, and after it has received: a gap that is measured is never shorter than the gap that was.
"""

import os
import pty
import threading
import tty
from statistics import median
from time import CLOCK_BOOTTIME, clock_gettime_ns

import pytest

from gateway.clock.kernel import SystemClock
from gateway.counters import Counters
from gateway.profile.profile import Line
from gateway.protocols.modbus_frame import Frame, RtuReader, encode_rtu, request_length
from gateway.protocols.modbus_pdu import ReadRequest, Table, decode_request, encode_reply
from gateway.south.links.guard import Guard, silence_ns
from gateway.south.links.link import Manner
from gateway.south.links.modbus_links import RtuWire, StreamLink
from gateway.south.links.ports import open_serial

READS = 60
TIMEOUT_NS = 20_000_000_000
MS = 1_000_000
SLACK_NS = 2 * MS  # of half of the gaps, on a machine that does other things too; alone it is a tenth of that


class Slave(threading.Thread):
    """Answers at once, and keeps the time from each reply to the next request."""

    def __init__(self) -> None:
        super().__init__(name="slave", daemon=True)
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self.gaps_ns: list[int] = []

    def run(self) -> None:
        """Until `stop`."""
        reader, replied_ns = RtuReader(request_length), 0
        while data := self._read():
            came_ns = clock_gettime_ns(CLOCK_BOOTTIME)
            if replied_ns:
                self.gaps_ns.append(came_ns - replied_ns)
                replied_ns = 0
            for frame in reader.feed(data):
                request = decode_request(frame.pdu)
                assert isinstance(request, ReadRequest)
                reply = encode_rtu(Frame(frame.unit_id, encode_reply(request, bytes(2 * request.count))))
                replied_ns = clock_gettime_ns(CLOCK_BOOTTIME)
                os.write(self._master, reply)

    def stop(self) -> None:
        """Take the port away, and wait for the thread."""
        os.close(self._slave)
        self.join()
        os.close(self._master)

    def _read(self) -> bytes:
        try:
            return os.read(self._master, 256)
        except OSError:
            return b""  # the last of the other side has closed


@pytest.mark.parametrize(
    ("baud", "min_gap_ms", "due_ns"),
    [
        (1200, 0, 32_083_333),
        (9600, 0, 4_010_416),
        (19_200, 0, 2_005_208),
        (115_200, 0, 1_750_000),
        (115_200, 7.5, 7_500_000),
    ],
)
async def test_the_silence_before_a_request_is_kept_and_not_exceeded(baud: int, min_gap_ms: float, due_ns: int) -> None:
    """max(3.5 characters of 11 bits, 1.75 ms, min_gap) from the last byte of a reply to the first of a request."""
    clock, slave = SystemClock("system"), Slave()
    slave.start()
    stream = await open_serial(slave.path, Line(baud), clock)
    link = StreamLink(stream, RtuWire(), clock)
    guard = Guard(link, clock, Counters(), bus="b", silence_ns=silence_ns("rtu", Line(baud)))
    manner = Manner(min_gap_ns=round(min_gap_ms * MS))
    for at in range(READS):
        await guard.request(1, ReadRequest(Table.HOLDING, at, 2), clock.boot_ns() + TIMEOUT_NS, manner)
    await guard.close()
    slave.stop()
    clock.close()
    late_ns = sorted(gap_ns - due_ns for gap_ns in slave.gaps_ns)
    print(f"{baud} baud: due {due_ns / MS:.3f} ms, beyond it {late_ns[0] / MS:.3f} to {median(late_ns) / MS:.3f} ms")
    assert len(late_ns) == READS - 1
    assert late_ns[0] >= 0
    assert median(late_ns) < SLACK_NS


async def test_time_spent_elsewhere_counts_for_the_silence() -> None:
    """The gap runs while rows are made: a request that comes after it waits for nothing more."""
    clock, slave = SystemClock("system"), Slave()
    slave.start()
    stream = await open_serial(slave.path, Line(9600), clock)
    guard = Guard(StreamLink(stream, RtuWire(), clock), clock, Counters(), bus="b", silence_ns=5 * MS)
    waited_ns = []
    for at in range(20):
        reply = await guard.request(1, ReadRequest(Table.HOLDING, at, 2), clock.boot_ns() + TIMEOUT_NS)
        await clock.wire_wait(reply.t_done_ns + 5 * MS)
        asked_ns = clock.boot_ns()
        reply = await guard.request(1, ReadRequest(Table.HOLDING, at, 2), clock.boot_ns() + TIMEOUT_NS)
        waited_ns.append(reply.t_sent_ns - asked_ns)
    await guard.close()
    slave.stop()
    clock.close()
    assert median(waited_ns) < SLACK_NS
