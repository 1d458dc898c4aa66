"""gateway.south.turns: guests wait, go, are told why not; nobody waits for ever and nobody is forgotten."""

import asyncio

import pytest

from gateway.errors import BusBusy, DeviceException, LinkDown, NoReply
from gateway.model import BootMs
from gateway.profile.profile import Line
from gateway.protocols.modbus_pdu import ReadDeviceId, ReadRequest, Table
from gateway.south.links.link import NS_PER_MS, PLAIN, Manner, NotSent, Reply
from gateway.south.turns import WAIT_MS, WAITING_MAX, Alone, Guest, Turns, longest_ms
from gateway.testing.clock import FakeClock, turns
from tests.support.south import Slaves

READ = ReadRequest(Table.HOLDING, 7, 1)


class Queue:
    """A queue, the slaves behind it, and its guests' outcomes."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.slaves = Slaves(self.clock)
        self.called = 0
        self.turns = Turns(self.clock, None, self._on_guest)
        self.told: list[bytes | Exception] = []

    def visit(self, tasks: asyncio.TaskGroup, unit_id: int = 1, request: ReadRequest = READ) -> asyncio.Task[None]:
        """A guest that notes what it is told."""
        return tasks.create_task(self._ask(unit_id, request))

    def next(self) -> Guest | None:
        """The one whose turn it is."""
        return self.turns.look(self.clock.boot_ms(), self.slaves)[0]

    def look_again_at(self) -> int | None:
        """When it may be somebody's though nobody came."""
        return self.turns.look(self.clock.boot_ms(), self.slaves)[1]

    async def serve_next(self) -> None:
        """Make one exchange."""
        guest = self.next()
        assert guest is not None
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.turns.serve(guest, self.slaves))
            await self.clock.advance(250)

    def _on_guest(self) -> None:
        self.called += 1

    async def _ask(self, unit_id: int, request: ReadRequest) -> None:
        try:
            self.told.append((await self.turns.ask(unit_id, request, 200)).data)
        except (NoReply, DeviceException, LinkDown) as error:
            self.told.append(error)


async def test_a_guest_wakes_the_loop_waits_for_its_turn_and_gets_the_reply() -> None:
    """In the order they came."""
    queue = Queue()
    async with asyncio.TaskGroup() as tasks:
        queue.visit(tasks)
        queue.visit(tasks, request=ReadRequest(Table.HOLDING, 8, 1))
        await turns()
        assert queue.called == 2
        assert queue.turns
        assert queue.told == []
        await queue.serve_next()
        await queue.serve_next()
        assert queue.told == [b"\x00\x07", b"\x00\x08"]
        assert not queue.turns
        assert queue.next() is None


async def test_what_an_exchange_is_likely_to_take_follows_from_what_its_device_mostly_takes() -> None:
    """All of the timeout where that is not known, and never more."""
    guest = Guest(1, READ, PLAIN, 200, 230, BootMs(0), asyncio.get_running_loop().create_future())
    assert [guest.likely_ms(latency_ms) for latency_ms in (None, 12.5, 200.0, 900.0)] == [230, 43, 230, 230]


async def test_a_device_that_fails_is_the_guests_to_know_not_the_loops() -> None:
    """Silence and refusal reach who asked; the bus goes on."""
    queue = Queue()
    queue.slaves.dead, queue.slaves.illegal = {9}, {7}
    async with asyncio.TaskGroup() as tasks:
        queue.visit(tasks, unit_id=9)
        queue.visit(tasks)
        await turns()
        await queue.serve_next()
        await queue.serve_next()
    assert [type(told) for told in queue.told] == [NoReply, DeviceException]


async def test_no_time_in_a_bounded_while_is_told_as_busy() -> None:
    """By the loop, which is told when to look."""
    queue = Queue()
    async with asyncio.TaskGroup() as tasks:
        queue.visit(tasks)
        await turns()
        assert queue.look_again_at() == queue.clock.boot_ms() + WAIT_MS
        await queue.clock.advance(WAIT_MS - 1)
        assert queue.next() is not None
        await queue.clock.advance(1)
        assert queue.next() is None
    (told,) = queue.told
    assert isinstance(told, BusBusy)
    assert queue.look_again_at() is None


async def test_a_device_that_owes_a_reply_all_that_time_is_not_the_bus_without_time() -> None:
    """`no_reply`: a dead device is probed again and again, and what is owed after that bars what people ask it."""
    queue = Queue()
    queue.slaves.bars[READ.address, READ.count] = (queue.clock.boot_ms() + 2 * WAIT_MS) * NS_PER_MS
    async with asyncio.TaskGroup() as tasks:
        queue.visit(tasks)
        await turns()
        await queue.clock.advance(WAIT_MS)
        assert queue.next() is None
    (told,) = queue.told
    assert isinstance(told, NoReply)


async def test_a_full_queue_refuses_at_once() -> None:
    """The next one is busy before anyone has waited; those that wait are none the worse."""
    queue = Queue()
    async with asyncio.TaskGroup() as tasks:
        waiting = [queue.visit(tasks) for _ in range(WAITING_MAX)]
        await turns()
        with pytest.raises(BusBusy):
            await queue.turns.ask(1, READ, 200)
        assert queue.told == []
        for one in waiting:
            one.cancel()


async def test_a_cancelled_guest_leaves_the_queue() -> None:
    """Nothing is asked for it."""
    queue = Queue()
    async with asyncio.TaskGroup() as tasks:
        guest = queue.visit(tasks)
        await turns()
        guest.cancel()
        await turns()
        assert not queue.turns
    assert queue.slaves.asked == []


async def test_a_guest_that_is_cancelled_in_its_exchange_does_not_cut_it() -> None:
    """The exchange goes to its end, and nobody is told."""
    queue = Queue()
    async with asyncio.TaskGroup() as tasks:
        guest = queue.visit(tasks)
        await turns()
        serving = tasks.create_task(queue.turns.serve(queue.next() or pytest.fail("nobody waits"), queue.slaves))
        await turns()
        assert len(queue.slaves.asked) == 1
        guest.cancel()
        await queue.clock.advance(10)
        assert serving.done()
        assert not queue.slaves.busy
    assert queue.told == []


async def test_while_the_bus_is_away_the_cause_is_told_at_once() -> None:
    """To those who wait and to those who come; from `admit` on they wait again."""
    queue = Queue()
    async with asyncio.TaskGroup() as tasks:
        queue.visit(tasks)
        await turns()
        queue.turns.refuse(LinkDown("no such port"))
        await turns()
        queue.visit(tasks)
        await turns()
        assert [str(told) for told in queue.told] == ["no such port"] * 2
        queue.turns.admit()
        queue.visit(tasks)
        await turns()
        await queue.serve_next()
    assert queue.told[2] == b"\x00\x07"


async def test_a_link_that_dies_in_a_visit_is_told_to_both() -> None:
    """The guest knows the cause, the loop opens the bus again."""
    queue = Queue()
    queue.slaves.killers = {1}
    async with asyncio.TaskGroup() as tasks:
        queue.visit(tasks)
        await turns()
        with pytest.raises(LinkDown):
            await queue.turns.serve(queue.next() or pytest.fail("nobody waits"), queue.slaves)
    assert [type(told) for told in queue.told] == [LinkDown]


async def test_a_request_that_did_not_go_out_is_made_once_more_on_the_next_link() -> None:
    """A converter hangs up on the idle: the first guest after that must not pay for it, nor go round for ever."""
    queue = Queue()
    queue.slaves.answers[7, 1] = NotSent("hung up")
    passing = queue.clock.advance
    async with asyncio.TaskGroup() as tasks:
        queue.visit(tasks)
        await turns()
        for left in (True, False):
            with pytest.raises(NotSent):
                await asyncio.gather(queue.turns.serve(queue.next() or pytest.fail("none"), queue.slaves), passing(10))
            await turns()
            assert (len(queue.told) == 0) is left
    assert [type(told) for told in queue.told] == [NotSent]


async def test_who_asks_for_a_reply_that_may_still_be_owed_lets_the_others_pass() -> None:
    """Its turn comes when its bar ends; the loop is told when."""
    queue = Queue()
    until = queue.clock.boot_ms() + 900
    queue.slaves.bars[7, 1] = until * NS_PER_MS
    other = ReadRequest(Table.HOLDING, 8, 1)
    async with asyncio.TaskGroup() as tasks:
        queue.visit(tasks)
        queue.visit(tasks, request=other)
        await turns()
        first = queue.next()
        assert first is not None
        assert first.request == other
        assert queue.look_again_at() == until
        await queue.serve_next()
        assert queue.next() is None
        assert queue.look_again_at() == until
        queue.slaves.bars.clear()
        await turns()
        queue.turns.refuse(LinkDown("enough"))


async def test_alone_every_exchange_goes_at_once() -> None:
    """With the device's timeout from then on, and the time that the line takes."""
    clock = FakeClock()
    guard = _Noted()
    alone = Alone(guard, clock, Line(9600))
    await alone.ask(1, READ, 200, Manner(min_gap_ns=5 * NS_PER_MS))
    (deadline_ns,) = guard.deadlines
    line_ms = (8 + 7 + 3.5) * 10 / 9.6
    assert deadline_ns - clock.boot_ns() == pytest.approx((200 + 5 + line_ms) * NS_PER_MS)


@pytest.mark.parametrize(
    ("line", "manner", "wanted_ms"),
    [
        (None, PLAIN, 200.0),
        (None, Manner(wake=b"\xfe", wake_ns=20 * NS_PER_MS), 220.0),
        (None, Manner(wake_ns=20 * NS_PER_MS), 200.0),
        (Line(9600, 8, "E", 1), PLAIN, 200 + (8 + 7 + 3.5) * 11 / 9.6),
        (Line(115_200), Manner(wake=b"\xfe\xfe"), 200 + (2 + 8 + 7 + 3.5) * 10 / 115.2),
    ],
)
def test_the_longest_an_exchange_takes(line: Line | None, manner: Manner, wanted_ms: float) -> None:
    """Characters of request and reply with their own bits, the wake-up, the pauses, the timeout."""
    assert longest_ms(READ, 200, manner, line) == pytest.approx(wanted_ms)


def test_a_reply_of_unknown_length_may_be_the_longest_there_is() -> None:
    """Identification: up to 253 bytes."""
    request = ReadDeviceId(1)
    assert longest_ms(request, 0, PLAIN, Line(9600)) > 253 * 10 / 9.6


class _Noted:
    """Answers, and notes deadlines."""

    def __init__(self) -> None:
        self.deadlines: list[int] = []

    async def request(self, unit_id: int, request: object, deadline_ns: int, manner: Manner = PLAIN) -> Reply:
        assert (unit_id, request, manner.wake) == (1, READ, b"")
        self.deadlines.append(deadline_ns)
        return Reply(b"\x00\x07", 1, 2, 3)

    def barred(self, unit_id: int, request: object) -> int | None:
        raise AssertionError((unit_id, request))
