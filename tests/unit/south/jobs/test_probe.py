"""gateway.south.jobs.probe: a stretch of registers, holes and all."""

import pytest

from gateway.errors import NoReply
from gateway.protocols.modbus_pdu import Table
from gateway.south.jobs.probe import Ended, Refused, Step, Words, read_stretch
from gateway.south.jobs.ways import Way
from tests.support.cable import Cable, JumpingClock, Slave

NINE = Way("rtu")


async def probed(slave: Slave, first: int, last: int, table: Table = Table.HOLDING) -> list[Step]:
    """Every step of one probe."""
    cable = Cable(JumpingClock(), {NINE: {1: slave}})
    async with cable.opens(NINE) as asks:
        return [step async for step in read_stretch(asks, 1, table, first, last, 300)]


def holding(*addresses: int) -> Slave:
    """Each register holds its own address."""
    return Slave({Table.HOLDING: {address: address for address in addresses}})


async def test_a_whole_stretch_in_reads_of_125() -> None:
    """In rising order."""
    slave = holding(*range(300))
    steps = await probed(slave, 3, 279)
    assert [(step.address, len(step.words)) for step in steps if isinstance(step, Words)] == [
        (3, 125),
        (128, 125),
        (253, 27),
    ]
    assert len(slave.asked) == 3


async def test_around_a_hole() -> None:
    """Every register that there is, every one refused that there is not, each once."""
    steps = await probed(holding(0, 1, 2, 5, 6), 0, 7)
    words = {step.address + n: word for step in steps if isinstance(step, Words) for n, word in enumerate(step.words)}
    assert words == {0: 0, 1: 1, 2: 2, 5: 5, 6: 6}
    assert [step for step in steps if isinstance(step, Refused)] == [Refused(3, 2), Refused(4, 2), Refused(7, 2)]


async def test_a_device_that_refuses_all() -> None:
    """For another reason than the address: it is not asked in halves."""
    slave = Slave(exception=1)
    assert await probed(slave, 0, 3) == [Refused(address, 1) for address in range(4)]
    assert len(slave.asked) == 1


async def test_a_busy_device_is_asked_again() -> None:
    """Within a bound."""
    patient = holding(0)
    patient.busy = 2
    assert await probed(patient, 0, 0) == [Words(0, (0,))]
    stubborn = holding(0)
    stubborn.busy = 99
    assert await probed(stubborn, 0, 0) == [Refused(0, 6)]
    assert len(stubborn.asked) == 4


async def test_a_device_that_stops_answering() -> None:
    """Two reads without an answer end it; what was read before is there."""
    (ended,) = await probed(Slave(silent_to=(3,)), 0, 9)
    assert isinstance(ended, Ended)
    assert ended.address == 0
    assert isinstance(ended.cause, NoReply)


async def test_coils() -> None:
    """As 0 and 1."""
    slave = Slave({Table.COIL: {0: 1, 1: 0, 2: 1}})
    assert await probed(slave, 0, 2, Table.COIL) == [Words(0, (1, 0, 1))]


@pytest.mark.parametrize(("first", "last"), [(0xFFFF, 0xFFFF), (0xFFF0, 0xFFFF)])
async def test_the_last_register(first: int, last: int) -> None:
    """No read goes beyond it."""
    steps = await probed(holding(*range(first, last + 1)), first, last)
    assert [step.address for step in steps] == [first]
