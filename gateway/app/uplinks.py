"""The ways out: the first uplink to the IOC, and those behind it: plain messages for somebody else, from one spool.

Each of those has its own connection, client id, window and settled ranges, and nothing of the first waits for it: what
it reads goes through the disk's thread in turn, what it has open is bounded by its window, and what it never takes
gives way when the disk needs room. Its events name it as their subject.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from gateway.app import commands, journal, maintained, renewal
from gateway.app.fields import Fields
from gateway.app.inbox import Inbox
from gateway.app.resends import RESEND, resend
from gateway.app.status import StatusBoard
from gateway.app.watch import Watch
from gateway.clock.kernel import SystemClock
from gateway.clock.receipts import ReceiptTime
from gateway.clock.timeline import Timeline
from gateway.counters import Counters
from gateway.model import BootMs, Event, UtcMs
from gateway.mqtt.connection import PahoConnect
from gateway.north.uplink import Around, Commands, Uplink
from gateway.seams import Broker, Clock, Connect
from gateway.site import Site, UplinkSettings
from gateway.spool.branch import Branch
from gateway.spool.spool import Spool
from gateway.wire.command import Command, Outcome
from gateway.wire.documents import UplinkStatus
from gateway.wire.topic import Topics


def first_uplink(
    site: Site,
    brokers: tuple[Broker, ...],
    spool: Spool,
    timeline: Timeline,
    receipts: ReceiptTime | None,
    clock: SystemClock,
    counters: Counters,
    random: Random,
    inbox: Inbox,
    board: StatusBoard,
    fields: Fields,
    watch: Watch,
    kept: journal.Kept,
    on_version: Callable[[str], None],
) -> Uplink:
    """The IOC's way out: batches, receipts, commands."""

    def on_receipt_now(sent: BootMs, arrived: BootMs, now: UtcMs) -> None:
        if receipts is not None:
            receipts.told(sent, arrived, now)
        for event in timeline.told_by_ioc(sent, arrived, now).events:
            inbox.put(event)

    def trusted_now() -> UtcMs | None:
        return timeline.trusted_utc(clock.boot_ms())

    async def again(command: Command) -> Outcome:
        return await resend(command, spool, uplink, fields.note)

    carry_out = {
        **commands.steps(fields),
        RESEND: again,
        commands.RENEW: renewal.step(spool, fields.journal),
        commands.MAINTENANCE: maintained.step(watch, fields.journal),
    }
    uplink = Uplink(
        replace(site.uplinks[0], servers=brokers, password_files=()),
        Around(
            Topics(site.root, site.gateway),
            connect(clock, timeline),
            spool,
            clock,
            counters,
            random,
            inbox.put,
            board.documents,
            on_receipt_now,
            on_version,
        ),
        Commands(carry_out, commands.gate(site.commands, kept), trusted_now),
    )
    return uplink


def connect(clock: SystemClock, timeline: Timeline) -> Connect:
    """Certificates are held against the time as far as it is trusted."""
    return PahoConnect(lambda: (timeline.trusted_utc(clock.boot_ms()), timeline.floor))


@dataclass(frozen=True, slots=True)
class PlainUplink:
    """One of them, with its view of the spool."""

    settings: UplinkSettings
    uplink: Uplink
    branch: Branch

    @property
    def name(self) -> str:
        """As the site says."""
        return self.settings.name

    @property
    def status(self) -> UplinkStatus:
        """All that is told of it."""
        pending, settled, parked = self.branch.counts
        north = self.uplink.status
        return UplinkStatus(
            name=self.name,
            format=self.settings.format,
            settle=north.settle,
            connected=north.connected,
            pending=pending,
            settled=settled,
            parked=parked,
            refusal=north.refusal,
            alarms=tuple(sorted(self.uplink.alarms)),
        )

    async def run(self) -> None:
        """Until `stop`."""
        await self.uplink.run()

    def stop(self) -> None:
        """`run` returns soon."""
        self.uplink.stop()


def plain_uplinks(
    site: Site,
    brokers: Sequence[tuple[Broker, ...]],
    spool: Spool,
    connect: Connect,
    clock: Clock,
    counters: Counters,
    random: Random,
    on_event: Callable[[Event], None],
    board: StatusBoard,
) -> tuple[PlainUplink, ...]:
    """All but the first of `site.uplinks`; `brokers` has the servers of each, the first's too."""
    made = []
    for settings, servers in zip(site.uplinks[1:], brokers[1:], strict=True):
        branch = spool.branch(settings.name)
        uplink = Uplink(
            replace(settings, servers=servers, password_files=()),
            Around(
                Topics(site.root, site.gateway),
                connect,
                branch,
                clock,
                counters,
                random,
                _named(settings.name, on_event),
                board.documents,
            ),
        )
        made.append(PlainUplink(settings, uplink, branch))
    return tuple(made)


def _named(name: str, on_event: Callable[[Event], None]) -> Callable[[Event], None]:
    """Events of this uplink say whose they are."""
    return lambda event: on_event(replace(event, subject=name))
