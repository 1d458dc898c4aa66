"""The uplinks behind the first: plain messages for somebody else, from the same spool.

Each has its own connection, client id, window and settled ranges, and nothing of the first waits for it: what it reads
goes through the disk's thread in turn, what it has open is bounded by its window, and what it never takes gives way
when the disk needs room. Its events name it as their subject.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from gateway.app.status import StatusBoard
from gateway.counters import Counters
from gateway.model import Event
from gateway.north.uplink import Uplink
from gateway.seams import Broker, Clock, Connect
from gateway.site import Site, UplinkSettings
from gateway.spool.branch import Branch
from gateway.spool.spool import Spool
from gateway.wire.documents import UplinkStatus
from gateway.wire.topic import Topics


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
            Topics(site.root, site.gateway),
            connect,
            branch,
            clock,
            counters,
            random,
            _named(settings.name, on_event),
            board.documents,
            lambda _sent, _arrived, _now: None,  # a broker tells no time
        )
        made.append(PlainUplink(settings, uplink, branch))
    return tuple(made)


def _named(name: str, on_event: Callable[[Event], None]) -> Callable[[Event], None]:
    """Events of this uplink say whose they are."""
    return lambda event: on_event(replace(event, subject=name))
