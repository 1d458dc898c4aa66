"""gateway.south.jobs.identify: what one device is asked, and how its silences are taken."""

import pytest

from gateway.profile.fingerprint import BASICS, PRESENCE, Fingerprints
from gateway.profile.profile import Identify, Line
from gateway.protocols.modbus_pdu import Table
from gateway.south.jobs.identify import Identifier, Portrait, owed_ms, readable
from gateway.south.jobs.ways import Way
from gateway.south.links.late import late_max_ns
from tests.support.cable import Cable, JumpingClock, Slave
from tests.support.south import a_field, a_profile, a_source

NINE = Way("rtu")
MARKED = a_profile([a_field(8)], a_source(identify=(Identify(Table.HOLDING, 4, "u16", 90, 90),)))


async def portrait(slave: Slave) -> Portrait:
    """Of a device at unit_id 1."""
    cable = Cable(JumpingClock(), {NINE: {1: slave}})
    async with cable.opens(NINE) as asks:
        return await Identifier(Fingerprints([MARKED]), cable.clock).portrait(asks, 1, 400, {PRESENCE: 2})


async def test_a_device_of_a_known_model() -> None:
    """Asked what tells it and a value of it, then what it says of itself."""
    slave = Slave({Table.HOLDING: {4: 90, 8: 1}}, texts=((0, b"Acme"), (1, b"X1\0")))
    told = await portrait(slave)
    assert [match.profile for match in told.matches] == [MARKED]
    assert told.texts == ((0, "Acme"), (1, "X1"))
    assert slave.asked == [3, 3, 43]


async def test_an_unknown_device() -> None:
    """No profile fits: at least it is known which functions it answers."""
    slave = Slave({Table.INPUT: {0: 1}, Table.COIL: {0: 1}})
    told = await portrait(slave)
    assert told.matches == ()
    assert set(told.tables) == {Table.INPUT, Table.COIL}
    assert set(BASICS) <= set(told.answers)


async def test_a_busy_device_is_asked_again() -> None:
    """Exception 6 is no answer to the question."""
    slave = Slave({Table.HOLDING: {4: 90, 8: 1}}, busy=1)
    assert (await portrait(slave)).matches


async def test_a_device_that_stays_silent() -> None:
    """It is left alone after a few questions: its late answers must not be taken for others'."""
    slave = Slave(silent_to=(1, 2, 3, 4, 43))
    told = await portrait(slave)
    assert told.matches == ()
    assert len(slave.asked) == 4


async def test_a_silence_does_not_spoil_the_next_answer() -> None:
    """An exception right after a silence would not be believed: it is waited for the silence to end."""
    slave = Slave({Table.COIL: {0: 1}}, silent_to=(4,))
    told = await portrait(slave)
    assert told.tables == (Table.COIL,)
    assert told.answers[BASICS[-1]] == 2


@pytest.mark.parametrize("timeout_ms", [60, 400, 1000])
def test_the_silence_is_as_long_as_the_guards(timeout_ms: int) -> None:
    """`late.late_max_ns`, counted from the question."""
    longest_ms = timeout_ms + 300  # on the line
    assert owed_ms(timeout_ms) >= longest_ms + late_max_ns(longest_ms * 1_000_000) / 1_000_000


@pytest.mark.parametrize(
    ("said", "shown"), [(b"SDM630 \0", "SDM630"), (b"a\x1b[31mb", "a [31mb"), (b"\xff" * 200, "\ufffd" * 64), (b"", "")]
)
def test_a_devices_text_is_made_harmless(said: bytes, shown: str) -> None:
    """Printable and short: it goes to a terminal."""
    assert readable(said) == shown


def test_the_line_of_the_tests() -> None:
    """What the times above are reckoned with."""
    assert NINE.line == Line(9600)
