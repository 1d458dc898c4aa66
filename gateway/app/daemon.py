"""gateway.service: builds every stage from a site and runs them in one TaskGroup. The data path is `_collect`.

Start: clock and boot id, spool, then the timeline goes on from what the spool keeps; nothing is appended before the
batches of earlier boots are dated. Stop: buses finish their exchange, the inbox is emptied to disk, the uplink sends
for at most 2 s, the spool closes. A stage that fails takes all down: systemd starts again, the disk has what counts.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from gateway import __version__
from gateway.app import (
    commands,
    field_requests,
    journal,
    lastcount,
    lastrun,
    log,
    push,
    secrets,
    sites,
    spool_requests,
    trace_requests,
    watchdog,
)
from gateway.app.asked import USAGE, asked_of
from gateway.app.box import Box, LifeFile, in_site
from gateway.app.calibration import Calibration
from gateway.app.collect import Collector
from gateway.app.fields import Fields
from gateway.app.handlers import handlers
from gateway.app.inbox import Inbox
from gateway.app.jobs import job_handlers
from gateway.app.learned import Learned
from gateway.app.status import StatusBoard
from gateway.app.upgrades import Upgrades
from gateway.app.uplinks import PlainUplink, connect, first_uplink, plain_uplinks
from gateway.app.watch import Watch
from gateway.clock.boot import machine_identity, read_boot
from gateway.clock.follow import apply, follow, observe
from gateway.clock.kernel import SystemClock
from gateway.clock.receipts import ReceiptTime
from gateway.clock.timeline import Timeline, estimate
from gateway.control.server import Server
from gateway.counters import Counters
from gateway.errors import GatewayError, SpoolInUse
from gateway.model import Event
from gateway.north.uplink import Uplink
from gateway.pipeline.chain import Chain
from gateway.pipeline.packer import Packer
from gateway.pipeline.tally import Tally
from gateway.site import Site
from gateway.south.bus import Loop, loops
from gateway.south.served import BusServer
from gateway.spool.spool import Spool, open_spool
from gateway.worker import ThreadWorker

EXIT_WRONG_FILE = 2
EXIT_IN_USE = 4
DISK_STALLED_S = 30.0
OURS_ALONE = 0o077  # files of ours are nobody else's, also where no unit says UMask=
BUSES_STOP_S = 5.0  # of the 15 that systemd waits: disk and uplink need the rest
WRITE_STOP_S = 2.0  # that one which is on may take to end well
SOCKET = "control.sock"

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str]) -> int:
    """Exit status for systemd: 2 = the files are wrong and nothing was started, 4 = the spool is in use."""
    asked = asked_of(arguments)
    if asked is None:
        sys.stderr.write(f"{USAGE}\n")
        return EXIT_WRONG_FILE
    os.umask(OURS_ALONE)
    log.start("gateway")
    try:
        loaded = sites.load(asked.site, asked.profiles)
        asyncio.run(run(loaded.site, ("site_file_broken",) if loaded.broken else ()))
    except (sites.NoSite, secrets.SecretUnreadable, RunFolderUnusable) as error:
        return _refused(error)
    except SpoolInUse as error:
        _log.error("spool_in_use pid=%d", error.pid)
        return EXIT_IN_USE
    return 0


def _refused(error: GatewayError) -> int:
    from gateway.text import words  # noqa: PLC0415 - not for a daemon that runs

    _log.error("%s %s: %s", error.code, error, words.next_step(error, os.environ.get("GATEWAY_LANG", "en")))
    return EXIT_WRONG_FILE


class RunFolderUnusable(GatewayError):
    """Nothing can be kept or served in the run folder; says which, and why."""

    code = "run_folder_unusable"


async def run(site: Site, alarms: Sequence[str] = ()) -> None:
    """Until SIGTERM or SIGINT."""
    clock, counters = SystemClock(site.clock_trust), Counters()
    # before anything is opened: what is missing starts nothing
    brokers = [uplink.brokers(secrets.read) for uplink in site.uplinks]
    folder, boot = _run_folder(site, clock)
    owed = lastrun.begin(folder, boot)
    tally = Tally(site, lastcount.begin(folder, boot, clock.boot_ms()))
    watched = frozenset(device.name for bus in site.buses for device in bus.devices if device.alarms)
    inbox = Inbox(clock, counters, hurried=watched)
    async with _opened(site, boot, clock, counters, inbox) as (spool, timeline):
        random = Random()  # noqa: S311 - spreads retries; no secret depends on it
        learned = _learned(site, clock, counters, inbox)
        buses = loops(site, clock, counters, random, inbox.put, inbox.put, learned.memories, owed=owed)
        watch = Watch(site, buses, clock, counters, ThreadWorker("watch"), inbox.put)
        fields, kept = await _fields(site, buses, clock, counters, inbox)
        calibration = Calibration(site, clock, timeline.stamp, inbox.put, counters, ThreadWorker("calibration"))
        board = StatusBoard(
            site, boot, clock, timeline.stamp, buses, spool, alarms, clock_refused=lambda: clock.refused
        )
        upgrades = Upgrades(Path(site.spool.path), __version__, spool, clock, ThreadWorker("versions"), inbox.put)
        board.calibration = calibration
        receipts = ReceiptTime() if site.clock_trust == "ioc" else None
        uplink = first_uplink(
            *(site, brokers[0], spool, timeline, receipts, clock, counters, random, inbox, board, fields, watch, kept),
            upgrades.heard,
        )
        others = plain_uplinks(
            site, brokers, spool, connect(clock, timeline), clock, counters, random, inbox.put, board
        )
        lived = LifeFile(Path(site.spool.path), boot)
        doors = [door for doors in brokers for door in doors]
        boxes = in_site(site, lived, doors, timeline, clock, counters, inbox.put, board.status)
        board.north, board.others, board.watch = uplink, others, watch
        _announce(site, inbox, clock, alarms)
        parts = Parts(
            *(site, boot, clock, counters, inbox, spool, timeline, receipts),
            *(buses, fields, uplink, board, folder, learned, others),
            *(push.Waiting(clock, lambda: inbox.lost), boxes, upgrades, tally),
            *(Chain(site, watch.take), calibration, watch),
        )
        await _serve(parts, _told_to_stop())
        if not any(bus.owes for bus in buses):
            lastrun.end(folder)
        lived.end()
        lastcount.end(folder, boot, tally.told_at)
    for name, labels, value in counters:
        _log.info("counted name=%s labels=%s value=%g", name, labels, value)
    clock.close()


@dataclass(frozen=True, slots=True)
class Parts:
    """Every stage of one daemon, built and not yet running."""

    site: Site
    boot: str
    clock: SystemClock
    counters: Counters
    inbox: Inbox
    spool: Spool
    timeline: Timeline
    receipts: ReceiptTime | None  # the clock, where the centre's is
    buses: Sequence[Loop]
    fields: Fields
    uplink: Uplink
    board: StatusBoard
    folder: Path
    learned: Learned
    others: Sequence[PlainUplink]
    waiting: push.Waiting
    boxes: Sequence[Box]  # one, or none
    upgrades: Upgrades
    tally: Tally
    chain: Chain
    calibration: Calibration
    watch: Watch


async def _serve(parts: Parts, stopping: asyncio.Event) -> None:
    """Run all; when told to stop, stop in the order in which data flows."""
    clock, inbox, spool = parts.clock, parts.inbox, parts.spool
    answers = {
        **handlers(parts.board, [*parts.buses, *parts.boxes], parts.chain, parts.counters, clock),
        **field_requests.handlers(parts.fields, parts.boot, clock),
        **trace_requests.handlers(parts.site.buses, parts.buses, clock),
        **job_handlers(parts.site.buses, parts.buses),
        **spool_requests.handlers(parts.spool),
        **parts.watch.handlers(),
    }
    pushes = {**push.handlers(parts.buses, parts.waiting)}
    async with asyncio.TaskGroup() as tasks:
        services = [
            tasks.create_task(_follow(parts), name="clock"),
            tasks.create_task(spool.run(), name="spool"),
            tasks.create_task(parts.fields.run(), name="fields"),
            tasks.create_task(parts.learned.run(), name="learned"),
            tasks.create_task(parts.upgrades.run(), name="upgrades"),
            tasks.create_task(parts.watch.run(), name="watch"),
            tasks.create_task(parts.calibration.run(), name="calibration"),
            tasks.create_task(_control(Server(parts.folder / SOCKET, answers), parts), name="control"),
            *(
                tasks.create_task(_control(Server(parts.folder / push.SOCKET, pushes), parts), name="push")
                for _ in [bus for bus in parts.site.buses if bus.transport == "push"][:1]
            ),
            *(tasks.create_task(box.run(), name="box") for box in parts.boxes),
            tasks.create_task(watchdog.watch(clock, lambda: _moves(spool)), name="watchdog"),
            *(tasks.create_task(server.run(), name=f"serve {at}") for at, server in enumerate(_servers(parts))),
        ]
        collector = tasks.create_task(_collector(parts).run(), name="collect")
        uplinks = [tasks.create_task(parts.uplink.run(), name="uplink")]
        uplinks += [tasks.create_task(other.run(), name=f"uplink {other.name}") for other in parts.others]
        buses = [tasks.create_task(bus.run(), name=f"bus {at}") for at, bus in enumerate(parts.buses)]
        watchdog.notify("READY=1")
        await stopping.wait()
        watchdog.notify("STOPPING=1")
        await parts.fields.close(WRITE_STOP_S)
        for bus in parts.buses:
            bus.stop()
        await asyncio.wait(buses, timeout=BUSES_STOP_S) if buses else None  # a port that hangs is left behind
        await parts.fields.close(WRITE_STOP_S)  # one that had not ended has lost its bus by now
        inbox.close()
        await asyncio.wait([collector])
        parts.uplink.stop()
        for other in parts.others:
            other.stop()
        await asyncio.wait(uplinks)
        await parts.learned.keep()
        await parts.watch.keep()
        for left in (*buses, *services):
            left.cancel()


def _follow(parts: Parts) -> Coroutine[None, None, None]:
    """The clock that this site trusts."""
    clock, date, tell = parts.clock, parts.spool.date, parts.inbox.put
    return follow(clock, parts.timeline, date, tell, refused=lambda: clock.refused, receipts=parts.receipts)


def _servers(parts: Parts) -> Iterator[BusServer]:
    """Of the buses that others read through us."""
    for bus, loop in zip(parts.site.buses, parts.buses, strict=True):
        if bus.serve and loop.asks is not None:
            yield BusServer(bus, bus.serve, loop.asks, parts.clock, parts.counters, parts.inbox.put)


async def _control(server: Server, parts: Parts) -> None:
    """Serve the control socket; a box where that fails (a path too long, no room) still reads and sends."""
    try:
        await server.run()
    except OSError as error:
        _log.error("control_socket_failed error=%s", error)
        parts.inbox.put(Event(parts.clock.boot_ms(), "", "control_socket_failed", str(error)))


def _collector(parts: Parts) -> Collector:
    """The data path of these parts."""
    packer = Packer(parts.boot, max_age_ms=parts.site.uplinks[0].max_age_ms)
    return Collector(
        *(parts.inbox, parts.chain, parts.tally, packer, parts.spool, parts.waiting, parts.clock, parts.counters),
        lambda: parts.board.online,
    )


@asynccontextmanager
async def _opened(
    site: Site, boot: str, clock: SystemClock, counters: Counters, inbox: Inbox
) -> AsyncIterator[tuple[Spool, Timeline]]:
    """The spool with a timeline that goes on where it was; batches of earlier boots are dated before any append."""
    worker = ThreadWorker("disk")
    try:
        timeline = Timeline(boot, clock.word)
        spool = await open_spool(
            site.spool,
            site.gateway,
            machine_identity(),
            boot,
            worker,
            clock,
            counters,
            timeline.segment_of,
            inbox.put,
            estimate,
            [uplink.name for uplink in site.uplinks[1:]],
        )
        try:
            await spool.date(timeline.resume(clock.boot_ms(), spool.segments, spool.given))
            await spool.unpark_all("unanswered")  # tried hourly; the hours of the last run are not known
            await apply(observe(clock, timeline), spool.date, inbox.put)
            yield spool, timeline
        finally:
            await spool.close()
    finally:
        worker.close()


def _learned(site: Site, clock: SystemClock, counters: Counters, inbox: Inbox) -> Learned:
    """What the devices taught before this start."""
    learned = Learned(site, clock, counters, ThreadWorker("learned"))
    for event in learned.load():
        inbox.put(event)
    return learned


async def _fields(
    site: Site, buses: Sequence[Loop], clock: SystemClock, counters: Counters, inbox: Inbox
) -> tuple[Fields, journal.Kept]:
    """What is read and written on request, and what was so before this start: told, and not done again."""
    noted = journal.Journal(Path(site.spool.path) / journal.NAME, ThreadWorker("journal"))
    kept = await noted.open()
    commands.tell(kept, clock.boot_ms(), inbox.put)
    asks = {bus.name: loop.asks for bus, loop in zip(site.buses, buses, strict=True) if loop.asks is not None}
    visits = {bus.name: loop.visits for bus, loop in zip(site.buses, buses, strict=True) if loop.visits is not None}
    return Fields(site, asks, clock, counters, noted, inbox.put, visits), kept


def _announce(site: Site, inbox: Inbox, clock: SystemClock, alarms: Sequence[str]) -> None:
    """The first events of this run."""
    inbox.put(Event(clock.boot_ms(), "", "restart", __version__))
    for alarm in alarms:
        inbox.put(Event(clock.boot_ms(), "", alarm, urgent=True))
    _log.info("started gateway=%s buses=%d spool=%s", site.gateway, len(site.buses), site.spool.path)


def _run_folder(site: Site, clock: SystemClock) -> tuple[Path, str]:
    """For control socket and boot id, and that id: $RUNTIME_DIRECTORY under systemd, else beside the spool's file."""
    folder = Path(os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0] or site.spool.path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return folder, read_boot(folder, clock)
    except OSError as error:
        raise RunFolderUnusable(f"{folder}: {error.strerror or error}") from None


def _told_to_stop() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT; the second cancels what is left."""
    stopping, loop, task = asyncio.Event(), asyncio.get_running_loop(), asyncio.current_task()

    def told() -> None:
        if stopping.is_set() and task is not None:
            task.cancel()
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)
    return stopping


async def _moves(spool: Spool) -> bool:
    """Whether the disk thread answers: a hung disk is for systemd to end."""
    try:
        async with asyncio.timeout(DISK_STALLED_S):
            await spool.read(spool.last_order, None, 1)
    except TimeoutError:
        return False
    return True
