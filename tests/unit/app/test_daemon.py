"""gateway.app.daemon: which buses are served."""

from dataclasses import replace
from random import Random
from types import SimpleNamespace
from typing import cast

from gateway.app.daemon import Parts, _servers
from gateway.app.inbox import Inbox
from gateway.counters import Counters
from gateway.site import Serve
from gateway.south.bus import BusLoop
from gateway.testing.clock import FakeClock
from tests.support.south import a_bus, a_device, a_field, a_site


def test_a_bus_that_is_served_has_a_server_before_anyone_asks() -> None:
    """Also while its queue is empty, and so is false; a bus that nobody is asked on has none."""
    polled = replace(a_bus(a_device("m", ([a_field(0)], 1000))), serve=Serve("127.0.0.1", 1502))
    clock, counters = FakeClock(), Counters()
    asked = [
        BusLoop(bus, clock, counters, Random(1), lambda _row: None, lambda _event: None)
        for bus in (polled, replace(polled, serve=None))
    ]
    site = a_site(polled, replace(polled, serve=None))
    parts = SimpleNamespace(site=site, buses=asked, clock=clock, counters=counters, inbox=Inbox(clock, counters))
    assert len(list(_servers(cast("Parts", parts)))) == 1
