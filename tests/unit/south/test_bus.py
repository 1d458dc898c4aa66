"""gateway.south.bus: a whole bus in virtual time, behind the real guard; and over a real socket and a real terminal."""

import asyncio
import importlib.metadata
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import pairwise
from random import Random
from typing import NoReturn

import pytest

from gateway.clock.kernel import SystemClock
from gateway.counters import Counters
from gateway.errors import BusBusy, LinkDown, NoReply
from gateway.model import Event, Row
from gateway.profile.profile import Line, SerialSource, Start
from gateway.protocols.framing import Framing
from gateway.protocols.modbus_pdu import ReadRequest, Table
from gateway.protocols.parse import Parse
from gateway.seams import Clock
from gateway.site import Bus, Device, Site, SpoolSettings
from gateway.south.bus import BusLoop, loops, open_link
from gateway.south.links.link import PLAIN, Link, Manner, NotSent, Reply
from gateway.south.links.pulse import LOST, Pulse
from gateway.south.links.trace import Trace
from gateway.south.stream import StreamLoop
from gateway.testing.clock import FakeClock, turns
from gateway.wire.documents import SouthStatus
from tests.support.modbus_server import ModbusServer
from tests.support.south import Slaves, a_bus, a_device, a_field, a_profile


class Bench:
    """A bus loop on scripted slaves."""

    def __init__(self, *devices: Device, transport: str = "rtu", owed: bool = False) -> None:
        self.clock, self.counters = FakeClock(), Counters()
        self.slaves = Slaves(self.clock)
        self.rows: list[Row] = []
        self.events: list[Event] = []
        self.missing = False
        self.deaf: set[int] = set()  # unit_ids that answer again on the next link
        self.loop = BusLoop(
            a_bus(*devices, transport=transport),
            self.clock,
            self.counters,
            Random(3),
            self.rows.append,
            self.events.append,
            self._open,
            owed=owed,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """`run` beside the test; stopped at its end, which it must survive."""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.loop.run())
            yield
            self.loop.stop()
            await self.clock.advance(1000)
            assert task.done()

    @property
    def told(self) -> list[tuple[str, str, object]]:
        """Subject, code, detail of every event."""
        return [(event.subject, event.code, event.detail) for event in self.events]

    async def _open(self, bus: Bus, clock: Clock, trace: Trace) -> Link:
        assert (bus.name, clock, trace) == ("bus-1", self.clock, self.loop.trace)
        if self.missing:
            raise LinkDown("no such port")
        self.slaves.unplugged = False
        self.slaves.dead = self.slaves.dead - self.deaf
        return self.slaves


def _meter(name: str, unit_id: int = 1, period_ms: int = 1000) -> Device:
    return a_device(name, ([a_field(7)], period_ms), unit_id=unit_id)


async def test_rows_leave_at_every_period() -> None:
    """Ten seconds, ten rows, each a period after the other, each counted."""
    bench = Bench(_meter("m"))
    async with bench.running():
        await bench.clock.advance(9_999)
        assert [row.values for row in bench.rows] == [(7,)] * 10
        assert {later.at - earlier.at for earlier, later in pairwise(bench.rows)} == {1000}
        assert bench.loop.status == SouthStatus()
        assert bench.loop.last_rows == (bench.rows[-1],)
    labels = {"bus": "bus-1", "device": "m"}
    assert [bench.counters.get(name, **labels) for name in ("polls", "reads", "rows", "readings")] == [10] * 4
    assert bench.slaves.closed == 1


async def test_a_dead_device_is_told_once_urgently_and_never_stalls_the_others() -> None:
    """Down with its cause after three misses, in status while it is, up at its first reply."""
    bench = Bench(_meter("alive", 1), _meter("dead", 2))
    bench.slaves.dead = {2}
    async with bench.running():
        await bench.clock.advance(30_000)
        assert bench.told == [("dead", "device_down", "no_reply")]
        assert bench.loop.status == SouthStatus((), ("dead",))
        assert len(bench.rows) == 30
        bench.slaves.dead.clear()
        await bench.clock.advance(75_000)
        assert bench.told[1:] == [("dead", "device_up", "")]
        assert bench.loop.status == SouthStatus()
        assert {row.group.device for row in bench.rows[-2:]} == {"alive", "dead"}
    assert all(event.urgent for event in bench.events)


async def test_one_lost_reply_costs_no_row_when_the_period_has_room() -> None:
    """Ten seconds of period: the reply is lost, the retry comes in the same period, nothing is told."""
    bench = Bench(_meter("m", period_ms=10_000))
    async with bench.running():
        await bench.clock.advance(5000)
        bench.slaves.dead = {1}
        await bench.clock.advance(5300)
        bench.slaves.dead.clear()
        await bench.clock.advance(49_600)
        assert len(bench.rows) == 6
    assert bench.told == []


async def test_a_missing_port_is_waited_for_and_no_device_is_blamed() -> None:
    """Told once with its cause; when it comes, polling begins in the old rhythm and the return is told."""
    bench = Bench(_meter("m"))
    bench.missing = True
    async with bench.running():
        await bench.clock.advance(30_500)
        assert bench.told == [("bus-1", "bus_down", "no such port")]
        assert bench.loop.status == SouthStatus(("bus-1",), ())
        bench.missing = False
        await bench.clock.advance(11_000)
        assert bench.told[1:] == [("bus-1", "bus_up", "")]
        assert bench.loop.status == SouthStatus()
        assert bench.rows[-1].at % 1000 == bench.slaves.latency_ms
    assert bench.counters.get("polls_missed", bus="bus-1", device="m", cause="bus_down") >= 29


async def test_an_adapter_that_is_pulled_and_plugged_in_again() -> None:
    """Lost in the middle of polling: down at the failed reopening, up at the first exchange, nobody else to blame."""
    bench = Bench(_meter("m"))
    async with bench.running():
        await bench.clock.advance(5000)
        bench.slaves.unplugged = bench.missing = True
        await bench.clock.advance(20_000)
        assert bench.told == [("bus-1", "bus_down", "no such port")]
        bench.missing = False
        await bench.clock.advance(12_000)
        assert bench.told[1:] == [("bus-1", "bus_up", "")]
        assert bench.rows[-1].at > bench.rows[4].at + 20_000


async def test_a_device_that_has_to_be_told_to_measure() -> None:
    """Told before its first row and after an outage of the bus; rows come from the end of its pause on."""
    start = Start(ReadRequest(Table.HOLDING, 500, 1), pause_ms=2000)
    bench = Bench(a_device("m", ([a_field(7)], 1000), start=start))
    async with bench.running():
        await bench.clock.advance(10_000)
        began = bench.slaves.sent_at[0][0]
        assert [address for _, address, _ in bench.slaves.asked].count(500) == 1
        assert bench.rows[0].at >= began + start.pause_ms
        assert len(bench.rows) >= 7
        bench.missing, bench.slaves.answers[7, 1] = True, NotSent("gone before the request went out")
        await bench.clock.advance(20_000)
        bench.missing = False
        bench.slaves.answers.clear()
        await bench.clock.advance(20_000)
        asked = [address for _, address, _ in bench.slaves.asked]
        assert asked.count(500) == 2
        assert bench.told[-1] == ("bus-1", "bus_up", "")
    assert bench.counters.get("polls_missed", bus="bus-1", device="m", cause="starting") >= 1


async def test_a_bus_that_is_lost_in_the_middle_of_a_poll() -> None:
    """The first read got no reply because the bus was going: its device is not blamed, and the poll is made again."""
    bench = Bench(a_device("m", ([a_field(0), a_field(100, "f32")], 10_000)))
    answers = iter([NoReply(), LinkDown("gone"), None, None])
    bench.slaves.answers = dict.fromkeys([(0, 1), (100, 2)], lambda: next(answers, None))
    async with bench.running():
        await bench.clock.advance(400)
        assert len(bench.slaves.asked) == 2
        assert not bench.loop._schedule._devices[0].health.suspect
        await bench.clock.advance(8_600)
        assert bench.told == []
        assert len(bench.rows) == 1
        assert bench.counters.total("polls_missed") == 0


async def test_a_late_reply_may_come_on_the_next_link() -> None:
    """A link that went away in the middle of an exchange leaves a reply owed: its shape stays barred on the new one."""
    bench = Bench(_meter("m", period_ms=10_000))
    answers = iter([LinkDown("gone")])
    bench.slaves.answers[7, 1] = lambda: next(answers, None)
    async with bench.running():
        await bench.clock.advance(9_000)
        (lost, _), (again, _) = bench.slaves.sent_at
        assert again - lost >= 2000
        assert len(bench.rows) == 1


async def test_a_converter_that_hangs_up_between_polls_is_no_news() -> None:
    """Every time: the connection is made again at once, and the poll is made on it, so that not one row is lost."""
    bench = Bench(_meter("m", period_ms=10_000))
    async with bench.running():
        for _ in range(5):
            await bench.clock.advance(10_000)
            bench.slaves.unplugged = True
        assert bench.told == []
        assert len(bench.rows) == 5
    assert bench.slaves.closed == 5


async def test_a_device_that_kills_the_connection_does_not_keep_the_others_from_their_polls() -> None:
    """Its poll is made once more; then it is asked like a silent one, and it is called down, not the bus."""
    bench = Bench(_meter("good", 1, 10_000), _meter("poison", 2, 10_000))
    bench.slaves.killers = {2}
    async with bench.running():
        await bench.clock.advance(199_000)
        assert [row.group.device for row in bench.rows] == ["good"] * 20
        assert len([unit_id for unit_id, _, _ in bench.slaves.asked if unit_id == 2]) <= 10
        assert bench.told == [("poison", "device_down", "link_down")]
        assert bench.loop.status == SouthStatus((), ("poison",))
        bench.slaves.killers.clear()
        await bench.clock.advance(75_000)
    assert bench.told[1:] == [("poison", "device_up", "")]


async def test_a_cut_cable_is_told_of_the_bus() -> None:
    """Once, urgently, with its cause; no device is blamed, and status names the bus, until somebody answers."""
    bench = Bench(_meter("a", 1), _meter("b", 2))
    async with bench.running():
        await bench.clock.advance(5000)
        bench.slaves.dead = {1, 2}
        await bench.clock.advance(120_000)
        assert bench.told == [("bus-1", "bus_silent", "no_reply")]
        assert bench.events[0].urgent
        assert bench.loop.status == SouthStatus(("bus-1",), (), ("bus-1",))
        bench.slaves.dead.clear()
        await bench.clock.advance(15_000)
        assert bench.told[1:] == [("bus-1", "bus_heard", "")]
        assert bench.loop.status == SouthStatus()
        assert {row.group.device for row in bench.rows[-2:]} == {"a", "b"}
    assert bench.slaves.closed == 1


async def test_a_half_open_connection_is_made_again_before_anyone_is_told() -> None:
    """The converter restarted and nobody said so: all answer on the next connection."""
    bench = Bench(_meter("a", 1), _meter("b", 2), transport="tcp")
    async with bench.running():
        await bench.clock.advance(5000)
        bench.slaves.dead = bench.deaf = {1, 2}
        await bench.clock.advance(20_000)
        assert {row.group.device for row in bench.rows[-2:]} == {"a", "b"}
        assert bench.rows[-1].at >= bench.clock.boot_ms() - 1000
    assert bench.told == []
    assert bench.counters.get("bus_reopened", bus="bus-1") == 1
    assert bench.counters.get("bus_losses", bus="bus-1") == 0


async def test_a_bus_that_was_silent_from_the_start_is_told_though_its_connection_is_lost_again_and_again() -> None:
    """A mute connection is given up by the link itself (`pulse`): that is no new hope for the devices behind it."""
    bench = Bench(_meter("a", 1, 10_000), _meter("b", 2, 10_000), transport="tcp")
    bench.slaves.dead = {1, 2}
    ask, pulse = bench.slaves.request, Pulse()

    async def request(unit_id: int, request: ReadRequest, deadline_ns: int, manner: Manner = PLAIN) -> Reply:
        nonlocal pulse
        asked_ns = bench.clock.boot_ns()
        try:
            return await ask(unit_id, request, deadline_ns, manner)
        except NoReply:
            if not pulse.missed(asked_ns, bench.clock.boot_ns()):
                raise
            pulse = Pulse()
            raise LinkDown(LOST) from None

    bench.slaves.request = request  # type: ignore[method-assign, assignment]
    async with bench.running():
        await bench.clock.advance(120_000)
        assert bench.told == [("bus-1", "bus_silent", "no_reply")]
        assert bench.loop.status == SouthStatus(("bus-1",), (), ("bus-1",))
        bench.slaves.dead.clear()
        await bench.clock.advance(15_000)
        assert bench.told[1:] == [("bus-1", "bus_heard", "")]


READ_OTHER = ReadRequest(Table.HOLDING, 1234, 1)


async def test_a_guest_is_served_between_polls_and_wakes_an_idle_bus() -> None:
    """At once, though nothing is due for an hour; the reply is the device's."""
    bench = Bench(_meter("m", period_ms=3_600_000))
    async with bench.running():
        await bench.clock.advance(1000)
        async with asyncio.TaskGroup() as tasks:
            turn = tasks.create_task(bench.loop.asks.ask(1, READ_OTHER, 200))
            await bench.clock.advance(11)
            assert turn.done()
        assert turn.result().data == (1234).to_bytes(2)
    assert bench.counters.get("turns", bus="bus-1") == 1


async def test_guests_between_fast_polls_need_not_the_room_of_a_timeout() -> None:
    """A period of 250 ms and a timeout of 200: once it is known that 10 ms are enough, many go between two polls."""
    bench = Bench(_meter("m", period_ms=250))
    async with bench.running():
        await bench.clock.advance(5000)
        asked = len(bench.slaves.asked)
        async with asyncio.TaskGroup() as tasks:
            guests = [tasks.create_task(_asked(bench, 1)) for _ in range(30)]
            await bench.clock.advance(1000)
            assert all(guest.done() for guest in guests)
        assert len(bench.slaves.asked) - asked == 30 + 4
    assert bench.counters.total("polls_missed") == 0


async def test_a_guest_on_a_bus_that_is_down_is_told_why_at_once() -> None:
    """And one that waits when it goes; after the end of the loop too."""
    bench = Bench(_meter("m"))
    bench.missing = True
    async with bench.running():
        await bench.clock.advance(100)
        with pytest.raises(LinkDown, match="no such port"):
            await bench.loop.asks.ask(1, READ_OTHER, 200)
        bench.missing = False
        await bench.clock.advance(20_000)
    with pytest.raises(LinkDown, match="not read any more"):
        await bench.loop.asks.ask(1, READ_OTHER, 200)


async def test_a_scan_of_unit_ids_that_nobody_has_does_not_delay_the_polls() -> None:
    """Silence after silence, 200 ms each, while ten devices fill nine tenths of the bus: no poll is lost by it."""
    bench = Bench(*(_meter(f"m{n}", n + 1) for n in range(10)))
    bench.slaves.latency_ms, bench.slaves.dead = 90, set(range(100, 248))
    async with bench.running():
        async with asyncio.TaskGroup() as tasks:
            scan = tasks.create_task(_scan(bench, range(100, 248)))
            await bench.clock.advance(100_000)
            assert not scan.done()
            scan.cancel()
        asked = [unit_id for unit_id, _, _ in bench.slaves.asked if unit_id >= 100]
        assert 15 <= len(asked) <= 25
        assert bench.counters.total("polls_missed") == 0
        assert len(bench.rows) >= 995


async def test_a_guest_that_kills_the_connection_is_told_and_the_bus_goes_on() -> None:
    """The next one is served on the next link."""
    bench = Bench(_meter("m"))
    bench.slaves.killers = {9}
    async with bench.running():
        await bench.clock.advance(500)
        async with asyncio.TaskGroup() as tasks:
            bad = tasks.create_task(_asked(bench, 9))
            good = tasks.create_task(_asked(bench, 1))
            await bench.clock.advance(2000)
        assert isinstance(bad.result(), LinkDown)
        assert good.result() == (1234).to_bytes(2)
        await bench.clock.advance(5000)
        assert len(bench.rows) >= 7
    assert bench.told == []


async def test_while_a_flapping_bus_waits_to_be_opened_guests_are_told_why() -> None:
    """The second loss in a row is followed by a wait: who waits is told at once, not when it is over."""
    bench = Bench(_meter("m"))
    bench.slaves.killers = {1}
    async with bench.running():
        await bench.clock.advance(100)
        with pytest.raises(LinkDown, match="unplugged"):
            await bench.loop.asks.ask(1, READ_OTHER, 200)


async def _scan(bench: Bench, unit_ids: Iterable[int]) -> None:
    """As a job does: what has no time now is asked for again."""
    for unit_id in unit_ids:
        while True:
            try:
                await bench.loop.asks.ask(unit_id, READ_OTHER, 200)
            except BusBusy:
                continue
            except NoReply:
                break


async def _asked(bench: Bench, unit_id: int) -> bytes | LinkDown:
    try:
        return (await bench.loop.asks.ask(unit_id, READ_OTHER, 200)).data
    except LinkDown as error:
        return error


async def test_a_slow_group_does_not_leave_the_bus_called_down() -> None:
    """The port is back but nothing is due for an hour: it is believed after ten seconds."""
    bench = Bench(_meter("m", period_ms=3_600_000))
    async with bench.running():
        await bench.clock.advance(1000)
        assert len(bench.rows) == 1
        for _ in range(3):
            bench.loop._door.lost(LinkDown("a"))
        bench.loop._door._opened_at = bench.clock.boot_ms()
        assert bench.loop.status.buses_down
        await bench.clock.advance(3_700_000)
        assert not bench.loop.status.buses_down


async def test_a_stop_finishes_the_exchange_in_flight() -> None:
    """The answer that is under way becomes a row; then the link is closed and `run` returns."""
    bench = Bench(_meter("m"))
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(bench.loop.run())
        await bench.clock.advance(5)
        assert bench.slaves.busy
        bench.loop.stop()
        await turns()
        assert not task.done()
        await bench.clock.advance(5)
        assert task.done()
    assert [row.values for row in bench.rows] == [(7,)]
    assert bench.slaves.closed == 1


async def test_a_stop_ends_an_idle_bus_and_a_missing_one_at_once() -> None:
    """No time passes."""
    for missing in (False, True):
        bench = Bench(_meter("m"))
        bench.missing = missing
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(bench.loop.run())
            await bench.clock.advance(500)
            bench.loop.stop()
            await turns()
            assert task.done()


async def test_a_late_reply_bars_only_its_own_shape() -> None:
    """After a lost reply of eight registers the probe asks by halves, and the row is whole before the bar ends."""
    bench = Bench(a_device("m", ([a_field(n) for n in range(8)], 1000)))
    bench.slaves.dead = {1}
    async with bench.running():
        await bench.clock.advance(300)
        bench.slaves.dead.clear()
        bench.slaves.asked.clear()
        await bench.clock.advance(1400)
        assert [(address, count) for _, address, count in bench.slaves.asked] == [(0, 4), (4, 4)]
        assert bench.rows[0].values == tuple(range(8))


async def test_refused_fields_are_told_and_do_not_take_the_device_down() -> None:
    """A device that answers only by exceptions is alive."""
    bench = Bench(_meter("m"))
    bench.slaves.illegal = {7}
    async with bench.running():
        await bench.clock.advance(300_000)
    assert bench.told == [("m", "field_refused", "holding_7"), ("m", "no_good_field", "refused")]
    assert len(bench.slaves.asked) < 10
    missed = bench.counters.get("polls_missed", bus="bus-1", device="m", cause="refused")
    assert missed + len(bench.slaves.asked) == 301


def test_only_modbus_devices_belong_on_a_bus_that_is_asked() -> None:
    """A serial sensor among them is a mistake of the compiler."""
    serial = SerialSource(Line(), Framing("line", 80, end=b"\n"), Parse("split"), 1000)
    device = Device("s", a_profile([], serial), 0, _meter("x").polled)
    with pytest.raises(TypeError):
        Bench(device)


def test_one_loop_for_each_bus_by_its_transport() -> None:
    """Streams listen, all others ask."""
    serial = SerialSource(Line(), Framing("line", 80, end=b"\n"), Parse("split"), 1000)
    polled = _meter("x").polled
    stream = Bus("s", "stream", "own", "/dev/s", Line(), (Device("s", a_profile([], serial), 0, polled),))
    site = Site("g", "city", None, None, "system", SpoolSettings("/x", 1, 1), (), (a_bus(_meter("m")), stream), ())
    made = loops(site, FakeClock(), Counters(), Random(1), lambda _row: None, lambda _event: None)
    assert [type(loop) for loop in made] == [BusLoop, StreamLoop]


async def test_a_driver_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """By group and name; one that is not installed is a bus that is down, with that cause."""
    slaves = Slaves(FakeClock())

    async def opener(_bus: Bus, _clock: Clock, _trace: Trace) -> Link:
        return slaves

    class Driver:
        def __init__(self, name: str) -> None:
            self.name = name

        def load(self) -> object:
            if self.name == "broken":
                raise ImportError("no module of that library")
            return opener

    def found(*, group: str, name: str) -> list[Driver]:
        return [Driver(name)] if group == "gateway.links" and name != "nobody" else []

    monkeypatch.setattr(importlib.metadata, "entry_points", found)
    assert await open_link(_driven_by("other"), slaves.clock, Trace()) is slaves
    for name, why in [("nobody", "'nobody' is installed"), ("broken", "no module of that library")]:
        with pytest.raises(LinkDown, match=why):
            await open_link(_driven_by(name), slaves.clock, Trace())


@pytest.mark.parametrize("transport", ["rtu", "tcp", "rtu_over_tcp"])
async def test_over_a_real_wire(transport: str) -> None:
    """Terminal or socket, our own link, guard and clock: right values, a refused register, a clean stop."""
    device = a_device("m", ([a_field(1), a_field(2), a_field(30)], 100), unit_id=5, min_gap_ms=1.0)
    rows: asyncio.Queue[Row] = asyncio.Queue()
    events: list[Event] = []
    async with ModbusServer(transport) as server:
        bus = Bus("bus-1", transport, "own", server.endpoint, Line(115_200), (device,))
        loop = BusLoop(bus, SystemClock("system"), Counters(), Random(1), rows.put_nowait, events.append)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(loop.run())
            got = [await rows.get() for _ in range(3)]
            loop.stop()
    salt = 5000 + 17 * 3
    assert [row.values for row in got] == [(salt + 3, salt + 6, salt + 90)] * 3
    assert events == []


async def test_a_real_port_that_does_not_exist() -> None:
    """Down, with the path in the cause; a stop ends the wait."""
    told: asyncio.Queue[Event] = asyncio.Queue()
    bus = Bus("bus-1", "rtu", "own", "/dev/serial/by-id/none", Line(), (_meter("m"),))
    loop = BusLoop(bus, SystemClock("system"), Counters(), Random(1), _no_row, told.put_nowait)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loop.run())
        event = await told.get()
        loop.stop()
    assert (event.code, event.urgent) == ("bus_down", True)
    assert "/dev/serial/by-id/none" in str(event.detail)


def _driven_by(driver: str) -> Bus:
    return Bus("bus-1", "tcp", driver, "127.0.0.1:1", Line(), ())


def _no_row(row: Row) -> NoReturn:
    raise AssertionError(row)


async def test_after_a_run_that_was_cut_off_its_late_replies_are_waited_out() -> None:
    """What the killed process asked is answered into this one's first exchange: it is not there yet."""
    bench = Bench(_meter("meter-1"), owed=True)
    async with bench.running():
        await bench.clock.advance(2_100)  # its timeout, and the 2 s that a reply may be late
        assert bench.slaves.asked == []
        assert bench.loop.owes
        await bench.clock.advance(1_200)
        assert bench.slaves.asked
        assert not bench.loop.owes


async def test_a_reply_that_is_owed_at_the_stop_is_told_to_the_next_run() -> None:
    """A device that did not answer a moment ago may do so in the next process."""
    bench = Bench(_meter("meter-1"))
    async with bench.running():
        await bench.clock.advance(1_000)
        assert not bench.loop.owes
        bench.slaves.dead = {1}
        await bench.clock.advance(3_000)
        assert bench.loop.owes
