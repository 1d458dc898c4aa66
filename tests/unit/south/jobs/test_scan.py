"""gateway.south.jobs.scan: who is found, in which order, at what cost; and who is never made up."""

from collections.abc import Sequence

import pytest

from gateway.errors import LinkDown
from gateway.profile.profile import Line, Profile
from gateway.protocols.modbus_pdu import Table
from gateway.south.jobs.scan import Chatter, Finding, Found, Garbled, Nobody, Progress, Scan, Skipped, rest_ms
from gateway.south.jobs.ways import TCP_WAYS, UNIT_IDS, Way, serial_ways
from tests.support.cable import Cable, JumpingClock, Slave
from tests.support.south import a_field, a_profile, a_source

NINE, FOUR = Way("rtu"), Way("rtu", Line(4800))
TCP, RTU_OVER_TCP = TCP_WAYS
PROFILES: Sequence[Profile] = [a_profile([a_field(0)], a_source(unit_id=144))]


def slave(**manners: object) -> Slave:
    """One that refuses everything, and so shows that it is there."""
    return Slave(**manners)  # type: ignore[arg-type]


async def scanned(cable: Cable, *ways: Way, **options: object) -> list[Finding]:
    """All findings but progress."""
    found: list[Finding] = []
    await Scan(cable.opens, ways, PROFILES, cable.clock, **options).run(found.append)  # type: ignore[arg-type]
    return [one for one in found if not isinstance(one, Progress)]


def numbers(findings: Sequence[Finding]) -> list[tuple[Way, int]]:
    """Who was found, as it came."""
    return [(one.way, one.unit_id) for one in findings if isinstance(one, Found)]


async def test_a_bus_whose_line_is_not_known() -> None:
    """Likely ones first on each line; all unit_ids at once where somebody answers; then on with the other lines."""
    cable = Cable(JumpingClock(), {FOUR: {1: slave(), 77: slave(), 144: slave()}})
    found = await scanned(cable, NINE, FOUR, Way("rtu", Line(2400)))
    assert numbers(found) == [(FOUR, 1), (FOUR, 144), (FOUR, 77)]
    lines = list(dict.fromkeys(way for way, _ in cable.asked))
    assert lines == [NINE, FOUR, Way("rtu", Line(2400))]
    assert [unit_id for way, unit_id in cable.asked if way == NINE] == [1, 144, *range(2, 11)]


async def test_devices_that_are_set_differently_on_one_cable() -> None:
    """The new one still has its factory speed: both are found, each with its line."""
    cable = Cable(JumpingClock(), {NINE: {1: slave()}, FOUR: {1: slave()}})
    assert numbers(await scanned(cable, NINE, FOUR)) == [(NINE, 1), (FOUR, 1)]


async def test_the_same_device_at_another_parity_is_told_once() -> None:
    """A port or device that does not care about parity shows it on both lines."""
    even = Way("rtu", Line(9600, parity="E"))
    one = slave()
    cable = Cable(JumpingClock(), {NINE: {1: one, 2: slave()}, even: {1: one, 3: slave()}})
    assert numbers(await scanned(cable, NINE, even)) == [(NINE, 1), (NINE, 2), (even, 3)]


async def test_a_silent_bus_costs_less_than_30_s_for_all_unit_ids() -> None:
    """At 9600 baud, one that answers among them."""
    clock = JumpingClock()
    began_ms = clock.boot_ms()
    await scanned(Cable(clock, {NINE: {1: slave(latency_ms=45)}}), NINE)
    assert (
        clock.boot_ms() - began_ms < 36_000
    )  # of which 10 likely ones are asked again, patiently: 4 s; one introduced
    assert rest_ms([NINE], PROFILES, tuple(UNIT_IDS)) < 30_000


@pytest.mark.parametrize("latency_ms", [95, 130, 210, 290])
async def test_a_slow_device_is_found_where_it_is(latency_ms: float) -> None:
    """Its answer comes while another unit_id is asked: it is never credited to that one."""
    cable = Cable(JumpingClock(), {NINE: {1: slave(), 100: slave(latency_ms=latency_ms)}})
    found = await scanned(cable, NINE)
    assert numbers(found) == [(NINE, 1), (NINE, 100)]
    assert not [one for one in found if isinstance(one, Garbled)]


async def test_a_slow_device_that_is_alone_shows_its_line() -> None:
    """Nobody answers in time: what came late is followed up, and the whole line is walked."""
    cable = Cable(JumpingClock(), {FOUR: {1: slave(latency_ms=150), 90: slave()}})
    assert numbers(await scanned(cable, NINE, FOUR)) == [(FOUR, 1), (FOUR, 90)]


async def test_a_device_that_is_silent_to_function_3() -> None:
    """A likely one is asked otherwise, patiently, in the end; also where nobody else is."""
    mute = {"registers": {Table.INPUT: {0: 1}}, "silent_to": (3,)}
    assert numbers(await scanned(Cable(JumpingClock(), {NINE: {1: slave(), 5: slave(**mute)}}), NINE)) == [
        (NINE, 1),
        (NINE, 5),
    ]
    assert numbers(await scanned(Cable(JumpingClock(), {FOUR: {5: slave(**mute)}}), NINE, FOUR)) == [(FOUR, 5)]


async def test_two_devices_with_one_number() -> None:
    """Garbled twice, after a silence too: told as such, and nobody is called found."""
    cable = Cable(JumpingClock(), {NINE: {1: slave(), 7: slave(garbles=True)}})
    found = await scanned(cable, NINE)
    assert numbers(found) == [(NINE, 1)]
    assert [one for one in found if not isinstance(one, Found)] == [Garbled(NINE, 7)]


async def test_a_line_where_another_master_talks() -> None:
    """Told once, not as 247 garbled devices; the rest of such a line is not asked."""
    cable = Cable(JumpingClock(), {})
    cable.chatter = bytes(range(40))
    found = await scanned(cable, NINE)
    assert [one for one in found if isinstance(one, Chatter)] == [Chatter(NINE)]
    assert isinstance(found[-1], Nobody)
    assert len(cable.asked) < 60


async def test_nobody() -> None:
    """Quickly, patiently, then told; `everything` goes on with all unit_ids, `likely=False` begins there."""
    cable = Cable(JumpingClock(), {NINE: {200: slave()}})
    assert await scanned(cable, NINE, FOUR) == [Nobody((NINE, FOUR))]
    assert len(cable.asked) == 4 * 11
    assert numbers(await scanned(cable, NINE, everything=True)) == [(NINE, 200)]
    cable.asked.clear()
    assert numbers(await scanned(cable, NINE, likely=False, everything=True)) == [(NINE, 200)]
    assert (NINE, 1) not in cable.asked


async def test_only_the_wanted_ones_are_asked() -> None:
    """--unit-ids."""
    cable = Cable(JumpingClock(), {NINE: {3: slave(), 60: slave(), 61: slave()}})
    assert numbers(await scanned(cable, NINE, wanted=(2, 3, 60))) == [(NINE, 3), (NINE, 60)]
    assert {unit_id for _, unit_id in cable.asked} == {2, 3, 60}


async def test_progress_goes_to_its_end() -> None:
    """What is left only ever grows by what was found; at the end next to nothing is."""
    cable = Cable(JumpingClock(), {NINE: {1: slave()}})
    told: list[Finding] = []
    await Scan(cable.opens, [NINE, FOUR], PROFILES, cable.clock).run(told.append)
    steps = [one for one in told if isinstance(one, Progress)]
    assert steps[0].done_ms == 0
    assert [step.done_ms for step in steps] == sorted(step.done_ms for step in steps)
    assert steps[-1].left_ms < 600
    assert len(steps) == len({(way, unit_id) for way, unit_id in cable.asked}) + 10  # ten are asked twice


async def test_a_port_that_does_not_know_one_line() -> None:
    """The line is passed over, with its cause; a port that opens no more ends the scan."""
    cable = Cable(JumpingClock(), {FOUR: {1: slave()}})
    even = Way("rtu", Line(9600, parity="E"))
    cable.cannot = lambda way: "no parity" if way == even else ""
    found = await scanned(cable, NINE, even, FOUR)
    assert Skipped(even, "no parity") in found
    assert numbers(found) == [(FOUR, 1)]
    cable.cannot = lambda _: "in use"
    with pytest.raises(LinkDown, match="in use"):
        await scanned(cable, NINE)


async def test_every_port_is_closed_again() -> None:
    """Also when the scan is broken off in the middle."""
    cable = Cable(JumpingClock(), {NINE: {1: slave()}})
    await scanned(cable, NINE)
    assert all(stream.closed for stream in cable.streams)

    def stop(finding: Finding) -> None:
        if isinstance(finding, Progress) and finding.unit_id == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await Scan(cable.opens, [NINE], PROFILES, cable.clock).run(stop)
    assert all(stream.closed for stream in cable.streams)


async def test_a_host_that_does_not_look_at_the_unit_id() -> None:
    """One device, not 247."""
    cable = Cable(JumpingClock(), {}, everyone={TCP: slave()})
    (found,) = await scanned(cable, *TCP_WAYS)
    assert isinstance(found, Found)
    assert (found.way, found.unit_id, found.any_unit_id) == (TCP, 1, True)
    assert RTU_OVER_TCP not in cable.opened


@pytest.mark.parametrize("word_for_nobody", [10, 11, 4])
async def test_a_converter_that_has_a_word_for_nobody(word_for_nobody: int) -> None:
    """Exceptions 10 and 11, or what it says for unit_ids that cannot all be there: absent, and cheap."""
    clock = JumpingClock()
    everyone = {TCP: slave(exception=word_for_nobody)}
    cable = Cable(clock, {TCP: {1: slave(), 30: slave(exception=1)}}, everyone=everyone)
    began_ms = clock.boot_ms()
    assert numbers(await scanned(cable, *TCP_WAYS)) == [(TCP, 1), (TCP, 30)]
    assert clock.boot_ms() - began_ms < 20_000


async def test_devices_behind_a_silent_converter() -> None:
    """Each silent unit_id costs a converter's patience; those that answer are found."""
    cable = Cable(JumpingClock(), {TCP: {2: slave(latency_ms=80), 9: slave(latency_ms=200)}})
    assert numbers(await scanned(cable, *TCP_WAYS)) == [(TCP, 2), (TCP, 9)]


async def test_rtu_frames_over_tcp() -> None:
    """Tried where nobody speaks Modbus TCP."""
    cable = Cable(JumpingClock(), {RTU_OVER_TCP: {1: slave()}})
    assert numbers(await scanned(cable, *TCP_WAYS)) == [(RTU_OVER_TCP, 1)]


async def test_the_found_are_introduced() -> None:
    """With the profile that fits, and what else is known."""
    cable = Cable(JumpingClock(), {NINE: {1: slave(registers={Table.HOLDING: {0: 7}}, texts=((0, b"Acme"),))}})
    (found,) = await scanned(cable, NINE)
    assert isinstance(found, Found)
    assert found.portrait.texts == ((0, "Acme"),)
    assert found.portrait.tables == (Table.HOLDING,)


def test_the_lines_of_a_library() -> None:
    """The scan's default: every speed and parity, once."""
    assert len(serial_ways(PROFILES)) == len(set(serial_ways(PROFILES))) == 24
