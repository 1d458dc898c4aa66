"""The box: one gateway daemon as `app.daemon` builds it, over a simulated disk, clock and bus; it can be killed.

The stages are the real ones, started and stopped in the daemon's order; `app.collect` is the real data path. The
spool is a real SQLite file. kill -9 is a copy of the folder as it lies there (WAL and all): the next process opens the
copy, because SQLite's locks belong to this one process and the dead one cannot be made to let go of the original
without tidying it up. The file system keeps what was written, as it does when a process dies: power cuts that lose
unsynced sectors are tests/crash's. So the spool lies in memory (/dev/shm) where there is one, and fsync costs nothing.
"""

import asyncio
import itertools
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import TypeVar, cast

from gateway.app import push
from gateway.app.collect import Collector
from gateway.app.inbox import ITEMS_MAX, Inbox
from gateway.app.status import StatusBoard
from gateway.clock.follow import apply, follow, observe
from gateway.clock.timeline import Timeline, estimate
from gateway.counters import Counters
from gateway.errors import LinkDown, SpoolFailed
from gateway.model import BootMs, Draft, Event, Seq, SeqRanges, UtcMs
from gateway.north.uplink import Around, Uplink
from gateway.north.window import BATCHES_MAX
from gateway.pipeline.chain import Chain
from gateway.pipeline.packer import Packer
from gateway.pipeline.tally import Tally
from gateway.protocols.modbus_frame import Frame, encode_rtu
from gateway.seams import Broker, Clock
from gateway.site import Bus, Device, Site, SpoolSettings, UplinkSettings
from gateway.south.bus import BusLoop
from gateway.south.links.link import Link
from gateway.south.links.modbus_links import RtuWire, StreamLink
from gateway.south.links.trace import Trace
from gateway.spool.folder import Folder
from gateway.spool.home import Home
from gateway.spool.keeper import Keeper
from gateway.spool.spool import Spool
from gateway.spool.steps import Steps
from gateway.testing.memory import MemoryStream
from gateway.testing.simclock import SimClock
from gateway.testing.simloop import Process, SimLoop
from gateway.wire.topic import Topics
from simulators.device import ModbusDevice
from tests.sim.centre import GATEWAY, ROOT, SimBroker
from tests.sim.history import FIELD, History
from tests.sim.plan import Form
from tests.support import south

T = TypeVar("T")

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
QUOTA_BYTES = 512 << 10  # a few hundred batches
RESERVE_BYTES = 1 << 20
FREE_BYTES = 1 << 30
STATUS_MS = 4 * 3_600_000


class Wire:
    """One RS-485 bus with its devices. `dead`: they do not answer. `gone`: the port is not there."""

    def __init__(self, bus: Bus, history: History, random: Random) -> None:
        self.dead: set[int] = set()
        self.gone = False
        self._history, self._random = history, random
        self._devices = {
            device.unit_id: ModbusDevice(device, {FIELD: _numbered(history, device.name)}) for device in bus.devices
        }
        self._stream: MemoryStream | None = None

    async def open(self, _: Bus, clock: Clock, trace: Trace) -> Link:
        """For the bus loop."""
        if self.gone:
            raise LinkDown("no such port")
        self._stream = MemoryStream(clock, self._answer)
        return StreamLink(self._stream, RtuWire(), clock, trace)

    def vanish(self) -> None:
        """Unplugged."""
        self.gone = True
        if self._stream is not None:
            self._stream.vanish("unplugged")

    def _answer(self, sent: bytes) -> Iterable[tuple[float, bytes]]:
        unit_id, pdu = sent[0], sent[1:-2]
        if unit_id in self.dead:
            return
        answer = self._devices[unit_id].answer(pdu, UtcMs(self._history.now())).data
        yield self._random.uniform(5, 40), encode_rtu(Frame(unit_id, answer))


def _numbered(history: History, name: str) -> "Callable[[object], float]":
    """A signal: its value is the running number of the answer, which the history knows the time of."""
    return lambda moment: history.served(name, cast("SimpleNamespace", moment).n)


class Disk:
    """Under the spool. `failing`: EIO on everything; `free_bytes` is what statvfs would say."""

    def __init__(self, random: Random) -> None:
        self.failing = False
        self.free_bytes = FREE_BYTES
        self.random = random

    def check(self) -> None:
        """As the device answers."""
        if self.failing:
            raise SpoolFailed("disk I/O error")

    def folder(self, path: Path, *, reserve_bytes: int, quota_bytes: int) -> Folder:
        """For `Home`."""
        folder = Folder(path, reserve_bytes=reserve_bytes, quota_bytes=quota_bytes)
        folder.free_bytes = lambda: self.free_bytes  # type: ignore[method-assign]  # of the simulated disk
        return folder


class StepWorker:
    """`seams.Worker` inline. After step number `doom_at` the process is killed before it learns of it."""

    def __init__(self, killed: Callable[[], object]) -> None:
        self.doomed_in = -1
        self.buried = False
        self._killed = killed

    async def run(self, step: Callable[[], T]) -> T:
        """What `step` returns or raises, unless the end comes first."""
        if self.buried:
            raise asyncio.CancelledError
        result = step()
        if self.doomed_in == 0:
            self._killed()
            await asyncio.Event().wait()
        self.doomed_in -= 1
        return result

    def close(self) -> None:
        """Nothing to end."""


class SimSteps(Steps):
    """The real ones; the disk may fail under them."""

    disk: Disk

    async def act(self, act: Callable[[Keeper], T]) -> T:
        """As the real one, if the disk answers, before or after."""
        if self.failing:
            return await super().act(act)
        late = self.disk.random.random() < 0.5
        if not late:
            self.disk.check()
        result = await super().act(act)
        self.disk.check()
        return result


class SimSpool(Spool):
    """The real one; the history watches."""

    history: History

    async def append(self, draft: Draft) -> Seq:
        """As the real one."""
        seq = await super().append(draft)
        self.history.append_returned(self.epoch, seq, draft.enc, draft.body)
        return seq

    def settle(self, epoch: str, seqs: SeqRanges) -> None:
        """As the real one."""
        self.history.settles(epoch, seqs)
        super().settle(epoch, seqs)


class SimHome(Home):
    """The real one, over the simulated disk."""

    disk: Disk

    def open_disk(self, *, damaged: bool = False) -> tuple[Keeper, bool]:
        """As the real one, if the disk answers."""
        self.disk.check()
        return super().open_disk(damaged=damaged)


class Box:
    """One machine. Power it on, start it, kill it; `wire` and `disk` outlive the process."""

    def __init__(self, loop: SimLoop, broker: SimBroker, history: History, folder: Path, seed: int, form: Form) -> None:
        self.random = Random(f"box {seed}")
        self.disk = Disk(self.random)
        self.site = _site(form)
        self.wire = Wire(self.site.buses[0], history, self.random)
        self.clock: SimClock
        self.spool: SimSpool | None = None
        self.uplink: Uplink
        self.counters = Counters()
        self._loop, self._broker, self._history, self._form = loop, broker, history, form
        self._folder, self._lives = folder, itertools.count(1)
        self._process: Process | None = None
        self._worker = StepWorker(int)
        self._stopping = asyncio.Event()
        self._here = folder / "spool-0"
        self._boot = ""

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    @property
    def size_bytes(self) -> int:
        """What the spool's folder takes."""
        return sum(path.stat().st_size for path in self._here.iterdir())

    def power_on(self, wall_ms: int, *, synchronised: bool) -> None:
        """A boot: its own clock, its own id."""
        self.clock = SimClock(self._loop, wall_ms, synchronised=synchronised)
        self._boot = f"{self.random.getrandbits(48):012x}"

    def start(self) -> None:
        """The daemon, if it does not run."""
        if self._process is None:
            self._process = Process(GATEWAY)
            self._stopping = asyncio.Event()
            self._worker = StepWorker(lambda: self._loop.call_soon(self.kill))
            self._history.note("start", self._boot)
            self._task = self._loop.spawn(self._process, self._run())
            self._task.add_done_callback(self._ended)

    def doom(self, steps: int) -> None:
        """Kill it just after the disk has done that many more steps, before anyone hears of the last."""
        self._worker.doomed_in = steps

    def kill(self) -> None:
        """As kill -9."""
        process, self._process = self._process, None
        if process is None:
            return
        self._history.note("kill")
        self._history.count("kills")
        there, self._here = self._here, self._folder / f"spool-{next(self._lives)}"
        if there.exists():
            shutil.copytree(there, self._here)
        self._loop.kill(process)
        self._worker.buried = True
        self._broker.cut(GATEWAY)
        self._bury()
        shutil.rmtree(there, ignore_errors=True)

    async def stop(self) -> None:
        """As SIGTERM; returns when it is over."""
        if self._process is not None:
            self._stopping.set()
            await asyncio.wait([self._task])

    def _bury(self) -> None:
        """What the kernel closes for a dead process."""
        spool, self.spool = self.spool, None
        if spool is None:
            return
        self._note_ring(spool)
        if spool.steps._keeper is not None:
            spool.steps._keeper.close()
        spool.steps.home.close()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._process = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._history.breaks("run", f"the daemon died of {error!r}: {_inner(error)!r}")

    async def _run(self) -> None:
        """`daemon.run`, `_opened` and `_serve`, with simulated edges."""
        site, clock, counters = self.site, self.clock, self.counters
        lazy = clock.every(self._form.grain_ms)
        inbox = Inbox(clock, counters)
        timeline = Timeline(self._boot)
        settings = SpoolSettings(str(self._here), QUOTA_BYTES, 60, RESERVE_BYTES)
        home = SimHome(settings, GATEWAY, "machine", self._epoch, self.random.randrange, self.disk.folder)
        home.disk = self.disk
        segment_of = timeline.segment_of
        steps = SimSteps(home, self._boot, self._worker, lazy, counters, segment_of, inbox.put, estimate)
        spool, steps.disk = SimSpool(steps), self.disk
        spool.history = self._history
        self.spool = spool
        await spool.open()
        self._history.blind |= bool(spool.steps.failing)
        await spool.date(timeline.resume(clock.boot_ms(), spool.segments, spool.given))
        await spool.unpark_all("unanswered")
        await apply(observe(clock, timeline), spool.date, inbox.put)
        buses = [self._bus(bus, lazy, counters, inbox) for bus in site.buses]
        board = StatusBoard(site, self._boot, clock, timeline.stamp, buses, spool, ())
        self.uplink = board.north = self._uplink(spool, timeline, lazy, counters, inbox, board)
        inbox.put(Event(clock.boot_ms(), "", "restart", "sim"))
        path = Collector(
            inbox=inbox,
            chain=Chain(site),
            tally=Tally(site, clock.boot_ms()),
            packer=Packer(self._boot, max_age_ms=site.uplinks[0].max_age_ms),
            spool=spool,
            waiting=push.Waiting(lazy, lambda: inbox.lost),
            clock=clock,
            counters=counters,
            online=lambda: board.online,
        )
        async with asyncio.TaskGroup() as tasks:
            services = [
                tasks.create_task(follow(lazy, timeline, spool.date, inbox.put), name="clock"),
                tasks.create_task(spool.run(), name="spool"),
                tasks.create_task(self._look(inbox), name="look"),
            ]
            collector = tasks.create_task(path.run(), name="collect")
            uplink = tasks.create_task(self.uplink.run(), name="uplink")
            running = [tasks.create_task(bus.run(), name=f"bus {bus.name}") for bus in buses]
            await self._stopping.wait()
            for bus in buses:
                bus.stop()
            await asyncio.wait(running)
            inbox.close()
            await asyncio.wait([collector])
            self.uplink.stop()
            await asyncio.wait([uplink])
            for service in services:
                service.cancel()
        await spool.close()
        self._note_ring(spool)
        self.spool = None

    def _note_ring(self, spool: Spool) -> None:
        """A ring dies; one that began without its disk had nowhere to leave a note."""
        keeper = spool.steps._keeper
        if spool.steps.failing and keeper is not None:
            self._history.count("rings lost")
            if keeper._ring_mark is None:
                self._history.ring_untold.add(spool.epoch)

    def _bus(self, bus: Bus, clock: SimClock, counters: Counters, inbox: Inbox) -> BusLoop:
        return BusLoop(bus, clock, counters, self.random, inbox.put, inbox.put, self.wire.open)

    def _uplink(
        self, spool: Spool, timeline: Timeline, clock: SimClock, counters: Counters, inbox: Inbox, board: StatusBoard
    ) -> Uplink:
        def on_receipt_now(sent: BootMs, arrived: BootMs, now: UtcMs) -> None:
            for event in timeline.told_by_ioc(sent, arrived, now).events:
                inbox.put(event)

        return Uplink(
            self.site.uplinks[0],
            Around(
                Topics(ROOT, GATEWAY),
                self._broker.connect,
                spool,
                clock,
                counters,
                self.random,
                inbox.put,
                board.documents,
                on_receipt_now,
            ),
        )

    async def _look(self, inbox: Inbox) -> None:
        """P6, while it runs."""
        while True:
            await asyncio.sleep(self._form.period_ms / 1000)  # noqa: TID251 - virtual time
            out, waiting = len(self.uplink._window._held.slots), len(inbox._items)
            if out > BATCHES_MAX or waiting > ITEMS_MAX or self.size_bytes > 2 * QUOTA_BYTES + (9 << 20):
                self._history.breaks("P6", f"{out} batches out, {waiting} items, {self.size_bytes} bytes")

    def _epoch(self) -> str:
        return "".join(self.random.choice(LETTERS) for _ in range(6))


def _site(form: Form) -> Site:
    devices = tuple(_device(f"meter-{unit_id}", unit_id, form) for unit_id in range(1, form.devices + 1))
    uplink = UplinkSettings("ioc", (Broker("broker", 8883, GATEWAY),), "wired", 1_000, STATUS_MS)
    site = south.a_site(south.a_bus(*devices))
    return Site(site.gateway, ROOT, None, None, "kernel", site.spool, (uplink,), site.buses, ())


def _device(name: str, unit_id: int, form: Form) -> Device:
    group = ([south.a_field(0, "u32", name=FIELD)], form.period_ms)
    return south.a_device(name, group, unit_id=unit_id, timeout_ms=form.timeout_ms)


def _inner(error: BaseException) -> BaseException:
    return _inner(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
