"""gateway.south.outlook.remedies: each one was tried, the cheapest comes first, and there are few."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gateway.profile.profile import Field, Line
from gateway.site import Bus, Device
from gateway.south.outlook.outlook import outlook, verdict
from gateway.south.outlook.remedies import REMEDIES_MAX, Remedy, remedies
from tests.support.south import a_bus, a_device, a_field

WIDE = [a_field(n) for n in range(100)]  # 230 ms at 9600
FAR = [a_field(200 * n) for n in range(6)]


def devices(n: int, fields: Sequence[Field], period_ms: int, **settings: object) -> list[Device]:
    """So many of one profile."""
    return [a_device(f"m-{at}", (fields, period_ms), unit_id=at, **settings) for at in range(1, n + 1)]


def found(bus: Bus) -> dict[str, Remedy]:
    """By kind."""
    return {remedy.kind: remedy for remedy in remedies(outlook(bus))}


def test_a_bus_that_holds_needs_none() -> None:
    """Nothing is suggested where nothing is wrong."""
    assert remedies(outlook(a_bus(*devices(3, WIDE, 1000)))) == ()


def test_one_group_less_often() -> None:
    """The one that costs most, as seldom as it takes; what is promised is what the test says of the changed bus."""
    bus = a_bus(a_device("greedy", (WIDE, 200)), *devices(2, FAR[:2], 1000))
    remedy = remedies(outlook(bus))[0]
    assert (remedy.kind, remedy.what, remedy.before, remedy.after) == ("period", ("greedy",), 200, 1000)
    greedy = replace(bus.devices[0], polled=(replace(bus.devices[0].polled[0], period_ms=1000),))
    changed = verdict(replace(bus, devices=(greedy, *bus.devices[1:])))
    assert changed.holds
    assert remedy.load == pytest.approx(changed.load)


def test_all_groups_less_often() -> None:
    """When one alone would not do."""
    every = found(a_bus(*devices(8, WIDE, 1000)))
    assert "period" not in every
    assert (every["periods"].before, every["periods"].after) == (1, 2)


def test_a_faster_line() -> None:
    """The first standard baud that is fast enough; its load is that at this speed."""
    bus = a_bus(*devices(8, WIDE, 1000))
    line = found(bus)["line"]
    assert (line.before, line.after) == (9600, 19_200)
    assert line.load == pytest.approx(verdict(replace(bus, line=Line(baud=19_200))).load)


def test_behind_a_converter_the_line_is_that_of_the_devices() -> None:
    """TCP itself has none."""
    assert found(a_bus(*devices(8, WIDE, 1000), transport="rtu_over_tcp"))["line"].after == 19_200
    assert "line" not in found(a_bus(*devices(3, FAR, 50), transport="tcp"))


def test_longer_reads_where_a_profile_forbids_them() -> None:
    """Ten registers at a time cost ten requests."""
    every = found(a_bus(*devices(4, WIDE, 1000, max_registers=5)))
    assert (every["max_registers"].what, every["max_registers"].before) == (("test/thing@1",), 5)
    assert every["max_registers"].after == 125


def test_devices_that_move_to_a_bus_of_their_own() -> None:
    """As few as will do, those that need most first; both buses hold then."""
    big = a_device("big", ([a_field(200 * n) for n in range(199)], 1000), unit_id=9)
    bus = a_bus(*devices(3, WIDE, 1000), big, transport="tcp")
    move = found(bus)["move"]
    assert move.what == ("big",)
    assert move.load == pytest.approx(verdict(replace(bus, devices=bus.devices[:3])).load)


def test_a_poll_that_blocks_is_not_made_less_often_but_its_victim_is() -> None:
    """A long poll stays as long: whoever comes too late by it has to be content with less."""
    bus = a_bus(a_device("long", (WIDE, 10_000)), a_device("quick", ([a_field(0)], 200), unit_id=2))
    assert outlook(bus).verdict.load < 1
    remedy = remedies(outlook(bus))[0]
    assert (remedy.kind, remedy.what, remedy.before, remedy.after) == ("period", ("quick",), 200, 1000)


def test_there_are_few() -> None:
    """Three at most, in the order of the work they are."""
    kinds = [remedy.kind for remedy in remedies(outlook(a_bus(*devices(6, WIDE, 1000, max_registers=5))))]
    assert len(kinds) <= REMEDIES_MAX
    assert kinds == sorted(kinds, key=["period", "periods", "max_registers", "line", "move"].index)


def test_what_cannot_be_helped_is_not() -> None:
    """Three devices, each of which needs 150 times the time there is."""
    many = [a_field(200 * n) for n in range(300)]
    assert remedies(outlook(a_bus(*devices(3, many, 10), transport="tcp"))) == ()
