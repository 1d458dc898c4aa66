"""`gateway.pipeline.chain`: a row's whole way, on sites with every policy."""

from dataclasses import replace

from gateway.model import BootMs, Event, Group, Quality, Row, Value
from gateway.pipeline.alarms import Alarms
from gateway.pipeline.chain import UNCHANGED, Chain, Passed, shapes
from gateway.pipeline.fast import Fasts
from gateway.profile.profile import Field, Line, ModbusSource, Profile
from gateway.site import Alarm, Bus, Correction, Derived, Device, Fast, Polled, Report, Site, SpoolSettings

LEVEL = Field("level", "water_level", "m", "f", 3, low=0.0, high=5.0)
OTHER = Field("temperature", "temperature", "Cel", "f", 1)
FLOW = Field("flow", "water_flow", "m3/h", "f", 2, low=0.0, high=100.0)
MINUTE = Report(60_000)


def a_device(name: str, *groups: tuple[tuple[Field, ...], Report | None], period_ms: int = 1000) -> Device:
    """One with these groups."""
    fields = tuple(field for group, _ in groups for field in group)
    profile = Profile("a/b@1", "thing", (), "", fields, ModbusSource(Line(), 1))
    polled = tuple(
        Polled(Group(name, "thing", "a/b@1", tuple(f.name for f in own), "f" * len(own)), own, period_ms, report)
        for own, report in groups
    )
    return Device(name, profile, 1, polled)


def a_chain(*devices: Device) -> Chain:
    """Of one bus."""
    bus = Bus("b", "rtu", "own", "/dev/x", Line(), devices)
    return Chain(Site("hc-0001", "dn", None, None, "system", SpoolSettings("/x", 1, 1), (), (bus,), ()))


def a_row(device: Device, at: int, *values: Value | None, group: int = 0, code: Quality = Quality.NO_REPLY) -> Row:
    """Of one of its groups; a null has the code."""
    quality = tuple((n, code) for n, value in enumerate(values) if value is None)
    return Row(device.polled[group].group, BootMs(at), values, quality)


def rows(passed: Passed) -> list[Row]:
    """Without events."""
    return [item for item in passed.items if isinstance(item, Row)]


def test_a_row_without_a_policy_passes_as_it_is() -> None:
    """And an event, and a row of a group that the site does not know."""
    device = a_device("d-1", ((LEVEL,), None))
    chain, row, event = a_chain(device), a_row(device, 5, 1.0), Event(BootMs(6), "d-1", "device_down")
    assert chain.take(row).items == (row,)
    assert chain.take(event).items == (event,)
    foreign = Row(Group("x", "thing", "a/b@1", ("y",), "f"), BootMs(7), (1.0,))
    assert chain.take(foreign).items == (foreign,)


def test_a_window_waits_for_rows_that_are_on_their_way() -> None:
    """Its end is in it; closed a poll later, by the time of what comes or by the clock, whichever is first."""
    device = a_device("d-1", ((LEVEL,), MINUTE))
    chain = a_chain(device)
    for at, value in ((1, 1.0), (59_000, 2.0), (60_500, 4.0), (60_900, 4.0)):
        assert chain.take(a_row(device, at, value)).items == ()
    assert chain.closes_at == 61_000
    assert chain.due(BootMs(60_999)).items == ()
    (folded,) = rows(chain.due(BootMs(61_000)))
    assert folded.at == 60_000
    assert dict(zip(folded.group.fields, folded.values, strict=True)) == {
        "level": 1.5, "level_min": 1.0, "level_max": 2.0, "level_n": 2.0,
    }  # fmt: skip
    assert chain.closes_at == 121_000
    chain.take(Event(BootMs(121_000), "", "x"))
    assert chain.closes_at is None


def test_groups_of_one_window_leave_together() -> None:
    """So that they share a batch."""
    one, two = a_device("d-1", ((LEVEL,), MINUTE)), a_device("d-2", ((LEVEL,), MINUTE))
    chain = a_chain(one, two)
    chain.take(a_row(one, 30_000, 1.0))
    chain.take(a_row(two, 30_010, 1.0))
    assert chain.take(a_row(one, 60_100, 1.0)).items == ()
    assert [row.at for row in rows(chain.take(a_row(one, 61_100, 1.0)))] == [60_000, 60_000]


def test_what_comes_too_late_counts_in_the_next_window() -> None:
    """A reading is told as late, and never lost; times still rise."""
    device = a_device("d-1", ((LEVEL,), MINUTE))
    chain = a_chain(device)
    chain.take(a_row(device, 1, 1.0))
    assert len(rows(chain.due(BootMs(70_000)))) == 1
    assert chain.take(a_row(device, 59_999, 3.0)).late == 1
    (folded,) = rows(chain.due(BootMs(121_000)))
    assert (folded.at, folded.values) == (120_000, (3.0, 3.0, 3.0, 1.0))


def test_a_stop_reports_open_windows_and_a_restart_goes_on() -> None:
    """The first part ends at the stop, the second at the end of the window: together they have every reading."""
    device = a_device("d-1", ((LEVEL,), MINUTE))
    chain = a_chain(device)
    chain.take(a_row(device, 10_000, 1.0))
    (part,) = rows(chain.flush(BootMs(20_000)))
    assert (part.at, part.values[-1]) == (20_000, 1.0)
    assert chain.flush(BootMs(20_001)).items == ()
    again = a_chain(device)
    again.take(a_row(device, 30_000, 2.0))
    (rest,) = rows(again.due(BootMs(61_000)))
    assert (rest.at, rest.values[-1]) == (60_000, 1.0)


def test_a_dead_device_never_looks_steady() -> None:
    """No row comes of a policy's own accord: not from at_least, and not from a window into which nothing came."""
    device = a_device("d-1", ((LEVEL,), Report(60_000, 0.02, 120_000)))
    chain = a_chain(device)
    chain.take(a_row(device, 1000, 1.0))
    assert len(rows(chain.due(BootMs(61_000)))) == 1
    for at in range(62_000, 1_000_000, 10_000):
        assert rows(chain.take(a_row(device, at, None))) == []
        assert rows(chain.due(BootMs(at))) == []
    assert chain.closes_at is None
    down = Event(BootMs(1_000_000), "d-1", "device_down", urgent=True)
    assert chain.take(down).items == (down,)


def test_a_steady_device_is_told_at_least_so_often() -> None:
    """Every second minute here; what is in between is dropped whole, and counted."""
    device = a_device("d-1", ((LEVEL,), Report(60_000, 0.02, 120_000)))
    chain, told, dropped = a_chain(device), list[int](), list[str]()
    for at in range(1000, 600_001, 1000):
        passed = chain.take(a_row(device, at, 1.0))
        told += [row.at for row in rows(passed)]
        dropped += [why for _, why in passed.dropped]
    assert told == [60_000, 180_000, 300_000, 420_000, 540_000]
    assert set(dropped) == {UNCHANGED}


def test_an_outage_of_one_field_is_news() -> None:
    """A null, another code, and the value that comes back are never inside a deadband."""
    device = a_device("d-1", ((LEVEL, OTHER), Report(0, 1.0, 3_600_000)))
    chain = a_chain(device)
    steps: list[tuple[float | None, Quality, bool]] = [
        (1.0, Quality.NO_REPLY, True),
        (1.0, Quality.NO_REPLY, False),
        (None, Quality.NO_REPLY, True),
        (None, Quality.NO_REPLY, False),
        (None, Quality.REFUSED, True),
        (1.0, Quality.NO_REPLY, True),
    ]
    for n, (level, code, passes) in enumerate(steps, 1):
        assert bool(chain.take(a_row(device, n * 1000, level, 20.0, code=code)).items) is passes


def test_the_deadband_of_a_direction_goes_round() -> None:
    """From 359 to 1 are two degrees."""
    direction = Field("direction", "wind_direction", "deg", "f", 0, aggregate="vector_mean")
    device = a_device("d-1", ((direction,), Report(0, 5.0, 3_600_000)))
    chain = a_chain(device)
    passed = [bool(chain.take(a_row(device, n, value)).items) for n, value in enumerate((359.0, 1.0, 4.0), 1)]
    assert passed == [True, False, True]


def test_a_window_with_an_outage_says_why() -> None:
    """A field without one good value is null with its newest code, and its count is 0."""
    device = a_device("d-1", ((LEVEL, OTHER), MINUTE))
    chain = a_chain(device)
    chain.take(a_row(device, 1000, None, 20.0, code=Quality.NO_REPLY))
    chain.take(a_row(device, 2000, None, 21.0, code=Quality.REFUSED))
    (folded,) = rows(chain.due(BootMs(61_000)))
    assert folded.values == (None, None, None, 0.0, 20.5, 20.0, 21.0, 2.0)
    assert folded.quality == tuple((n, Quality.REFUSED) for n in range(3))


def test_folded_rows_with_nulls_lie_apart() -> None:
    """W-35: two groups of one device end at the same ms; their codes must not share a point."""
    device = a_device("d-1", ((LEVEL, OTHER), MINUTE), ((FLOW, replace(OTHER, name="b")), Report(60_000, 1.0, 60_000)))
    chain = a_chain(device)
    chain.take(a_row(device, 1000, None, 20.0))
    chain.take(a_row(device, 1000, None, 20.0, group=1))
    assert [row.at for row in rows(chain.due(BootMs(61_000)))] == [60_000, 60_001]


def test_a_derived_field_needs_what_is_corrected() -> None:
    """A flow from a level above the datum: the raw value is judged, the corrected one is computed with and folded."""
    device = replace(
        a_device("d-1", ((LEVEL,), MINUTE)),
        corrections=(Correction("level", datum=10.0, keep_raw=True),),
        derived=(Derived(FLOW, "table(level, 10:0, 12:50)", "level"),),
    )
    chain = a_chain(device)
    (shape,) = shapes(device)
    assert shape.group.fields == ("level", "level_raw", "flow")
    assert [(field.low, field.high) for field in shape.fields] == [(10.0, 15.0), (0.0, 5.0), (0.0, 100.0)]
    chain.take(a_row(device, 1000, 1.0))
    chain.take(a_row(device, 2000, 6.0))  # the sensor cannot say that
    chain.take(a_row(device, 3000, 4.0))  # true, and beyond the table
    (folded,) = rows(chain.due(BootMs(61_000)))
    values = dict(zip(folded.group.fields, folded.values, strict=True))
    assert (values["level"], values["level_raw"], values["level_n"]) == (12.5, 2.5, 2.0)
    assert (values["flow"], values["flow_n"]) == (25.0, 1.0)


def test_limits_of_what_is_computed_are_watched() -> None:
    """From the corrected level: alarms and `fast` see the column that leaves, though a window keeps its rows back."""
    alarms = tuple(
        Alarm("flow", level, kind, at, at, per_ms=per_ms)
        for level, kind, at, per_ms in (
            ("high", "above", 40.0, 0),
            ("surge", "rise", 15.0, 60_000),
            ("frozen", "stuck", 2.0, 0),
        )
    )
    device = replace(
        a_device("d-1", ((LEVEL,), MINUTE)),
        corrections=(Correction("level", datum=10.0),),
        derived=(Derived(FLOW, "table(level, 10:0, 12:50)", "level"),),
        alarms=alarms,
        fast=Fast("flow > 30", "", "flow", 1, 30.0, 200, 60_000),
    )
    bus = Bus("b", "rtu", "own", "/dev/x", Line(), (device,))
    site = Site("hc-0001", "dn", None, None, "system", SpoolSettings("/x", 1, 1), (), (bus,), ())
    watched, fasts = Alarms(site), Fasts(site, lambda *_: False)

    def watch(row: Row) -> list[Event]:
        change = fasts.watch(row)
        return [*watched.watch(row), *([change] if change else [])]

    chain = Chain(site, watch)
    told = []
    for at, level in enumerate([1.0, 1.7, 1.7, 1.7]):
        events = [item for item in chain.take(a_row(device, 1000 * at, level)).items if isinstance(item, Event)]
        told.append([(event.code, event.detail[event.code.startswith("alarm")]) for event in events])
    assert told == [
        [],
        [("alarm_on", "high"), ("alarm_on", "surge"), ("fast_on", "flow > 30")],
        [],
        [("alarm_on", "frozen")],
    ]


def test_what_it_computes_from_another_device_may_be_two_periods_old() -> None:
    """Then it is stale: a level difference with a dead gauge is no difference."""
    tide = a_device("tide-1", ((LEVEL,), None))
    drain = replace(
        a_device("drain-1", ((LEVEL,), None)),
        derived=(Derived(replace(FLOW, name="head", low=None), "level - tide-1.level", "level"),),
    )
    chain = a_chain(tide, drain)
    (first,) = rows(chain.take(a_row(drain, 500, 2.0)))
    assert (first.values, first.quality) == ((2.0, None), ((1, Quality.STALE),))
    chain.take(a_row(tide, 1000, 0.5))
    assert rows(chain.take(a_row(drain, 1500, 2.0)))[0].values == (2.0, 1.5)
    assert rows(chain.take(a_row(drain, 3000, 2.0)))[0].values == (2.0, 1.5)
    assert rows(chain.take(a_row(drain, 3001, 2.0)))[0].quality == ((1, Quality.STALE),)


def test_the_code_of_an_input_is_the_code_of_what_is_computed() -> None:
    """Null in, null out, for the same reason; beyond its own range it is out_of_range."""
    device = replace(
        a_device("d-1", ((LEVEL, OTHER), None)), derived=(Derived(FLOW, "level * 1000 / temperature", "level"),)
    )
    chain = a_chain(device)
    wanted = [
        ((None, 20.0), Quality.NO_REPLY),
        ((1.0, 0.0), Quality.NOT_A_NUMBER),
        ((1.0, 1.0), Quality.OUT_OF_RANGE),
    ]
    for n, (values, code) in enumerate(wanted, 1):
        (row,) = rows(chain.take(a_row(device, n, *values)))
        assert (row.values[2], dict(row.quality)[2]) == (None, code)


def test_a_row_that_a_correction_leaves_without_a_value_is_counted() -> None:
    """W-42: no row without a good value."""
    device = replace(a_device("d-1", ((LEVEL,), None)), corrections=(Correction("level", slope=1e308),))
    passed = a_chain(device).take(a_row(device, 1, 5.0))
    assert (passed.items, passed.dropped) == ((), (("d-1", "no_values"),))


def test_people_are_shown_what_would_leave_now() -> None:
    """Corrected and computed, before any policy; nothing is remembered."""
    device = replace(a_device("d-1", ((LEVEL,), MINUTE)), corrections=(Correction("level", offset=0.5),))
    chain, row = a_chain(device), a_row(device, 5, 1.0)
    assert chain.believed(row).values == (1.5,)
    assert chain.closes_at is None
