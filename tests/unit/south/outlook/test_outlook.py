"""gateway.south.outlook.outlook: what a bus will be asked, and whether that can be done."""

from dataclasses import replace

import pytest

from gateway.profile.profile import Line, SerialSource
from gateway.protocols.framing import Framing
from gateway.protocols.parse import Parse
from gateway.site import Device
from gateway.south.outlook.outlook import at_once_ms, outlook, verdict
from gateway.south.reads.plan import bus_ms, line_cost
from tests.support.south import a_bus, a_device, a_field, a_profile, a_source

NEAR = [a_field(n) for n in range(8)]


def test_each_read_with_its_time() -> None:
    """Two groups of one device; the load is the sum of what each costs in its period."""
    bus = a_bus(a_device("m", (NEAR[:4], 1000), (NEAR[4:], 10_000)))
    now = outlook(bus)
    cost = line_cost(bus, a_source())
    assert [[read.request.count for read, _ in group.reads] for group in now.groups] == [[4], [4]]
    assert all(ms == bus_ms(read, cost) for group in now.groups for read, ms in group.reads)
    one_ms = now.groups[0].cost_ms
    assert now.verdict.load == pytest.approx(one_ms / 1000 + one_ms / 10_000)
    assert now.verdict == verdict(bus)


def test_groups_that_are_due_together_share_reads() -> None:
    """Four registers more in a read that is made anyway: 8 characters, no request, no silence."""
    bus = a_bus(a_device("m", (NEAR[:4], 1000), (NEAR[4:], 10_000)))
    now = outlook(bus)
    char_ms = 10 / 9.6
    assert now.shared_load == pytest.approx(now.groups[0].load + 8 * char_ms / 10_000)
    apart = outlook(a_bus(a_device("m", (NEAR[:4], 1000), (NEAR[4:], 1500))))
    assert apart.shared_load == pytest.approx(apart.verdict.load)


def test_a_visit_may_take_the_less_frequent_groups_with_it() -> None:
    """The others wait for all of them at once: that counts in the test, though no one poll is so long."""
    far = [a_field(200 * n) for n in range(16)]
    slow = a_device("slow", (far[:8], 5000), (far[8:], 5000))
    quick = a_device("quick", ([a_field(0)], 300), unit_id=2)
    now = outlook(a_bus(slow, quick))
    one_ms, both_ms = now.groups[0].cost_ms, at_once_ms(now.groups[0], now.groups)
    assert both_ms == pytest.approx(2 * one_ms)
    assert one_ms + now.groups[2].cost_ms < 300 < both_ms + now.groups[2].cost_ms
    assert not now.verdict.holds
    assert now.verdict.load < 1
    assert outlook(a_bus(replace(slow, polled=slow.polled[:1]), quick)).verdict.holds


def test_a_stream_is_not_asked() -> None:
    """It has no groups here, and no load."""
    serial = SerialSource(Line(), Framing("line", 80, end=b"\n"), Parse("split"), 1000)
    device = a_device("m", (NEAR, 1000))
    stream = Device("s", a_profile([], serial), 0, device.polled)
    now = outlook(a_bus(stream, transport="stream"))
    assert (now.groups, now.verdict.load, now.verdict.holds, now.shared_load) == ((), 0, True, 0)
