"""gateway.south.reads.start: a device that has to be told to measure: when, and what is not read before it may be."""

from dataclasses import replace

import pytest

from gateway.errors import BadReply, DeviceException, LinkDown, NoReply
from gateway.model import BootMs, Quality
from gateway.profile.profile import Start
from gateway.protocols.modbus_pdu import ReadRequest, Table
from gateway.south.links.link import NotSent
from gateway.south.reads.poll import Outcome
from gateway.south.reads.start import Starting
from tests.support.polls import NEAR, Bench, Groups, codes

TELL = (500, 1)
START = Start(ReadRequest(Table.HOLDING, *TELL), pause_ms=8000, again_ms=60_000)


def bench(start: Start = START) -> Bench:
    """One group of a device that has to be told."""
    made = Bench(NEAR)
    made.poller.starting = Starting(start)
    return made


async def ready() -> Bench:
    """Told, and its pause is over."""
    made = bench()
    await made.poll()
    await made.clock.advance(START.pause_ms)
    return made


def told(made: Bench) -> int:
    """How often it was told so far."""
    return round(made.counters.get("starts", bus="bus-1", device="m"))


async def test_it_is_told_first_and_read_when_the_pause_is_over() -> None:
    """No value before that, though it would answer; and it is told once."""
    made = bench()
    outcome = await made.poll()
    assert made.asked == [TELL]
    assert outcome == Outcome(None, None, answered=False, waits_until=outcome.waits_until, waits_for="starting")
    assert outcome.waits_until is not None
    await made.clock.advance(outcome.waits_until - made.clock.boot_ms() - 1)
    assert (await made.poll()).row is None
    assert made.asked == []
    outcome = await made.poll()
    assert (outcome.row is not None, made.asked) == (True, [(0, 8)])
    assert told(made) == 1


async def test_groups_of_a_device_share_its_start() -> None:
    """Both wait for the one."""
    made = Groups(NEAR[:4], NEAR[4:])
    starting = Starting(START)
    for poller in made.pollers:
        poller.starting = starting
    first, second = await made.together()
    assert first.waits_until == second.waits_until
    await made.clock.advance(START.pause_ms)
    assert all(outcome.row for outcome in await made.together())
    assert told(made) == 1


@pytest.mark.parametrize("error", [NoReply(), BadReply(), LinkDown("gone"), DeviceException(11)])
async def test_a_lost_reply_is_followed_by_another_start(error: Exception) -> None:
    """It may have lost its power meanwhile: what it says now would be old."""
    made = await ready()
    made.slaves.answers[0, 8] = error
    await made.poll()
    made.slaves.answers.clear()
    assert (await made.poll()).row is None
    assert made.asked == [TELL]


@pytest.mark.parametrize("error", [NotSent("hung up"), DeviceException(4)])
async def test_what_says_nothing_of_the_device_is_no_reason(error: Exception) -> None:
    """A converter that hung up before the request, a device that answers no."""
    made = await ready()
    made.slaves.answers[0, 8] = error
    await made.poll()
    made.slaves.answers.clear()
    assert (await made.poll()).row is not None
    assert told(made) == 1


async def test_an_old_start_is_made_again() -> None:
    """Nobody sees a device lose its power between two polls."""
    made = await ready()
    assert (await made.poll()).row is not None
    await made.clock.advance(START.again_ms)
    assert (await made.poll()).row is None
    assert (made.asked, told(made)) == ([TELL], 2)


async def test_without_again_a_start_is_for_ever() -> None:
    """As long as it answers."""
    made = bench(replace(START, again_ms=0))
    await made.poll()
    await made.clock.advance(10 * START.again_ms)
    assert (await made.poll()).row is not None


@pytest.mark.parametrize(
    ("error", "cause", "answered"),
    [
        (NoReply(), Quality.NO_REPLY, False),
        (BadReply(), Quality.BAD_REPLY, False),
        (DeviceException(2), Quality.REFUSED, True),
        (DeviceException(11), Quality.NO_REPLY, False),
    ],
)
async def test_a_device_that_was_not_told_is_not_read(error: Exception, cause: Quality, *, answered: bool) -> None:
    """One request a poll, told again at the next; a refusal is an answer, and news once."""
    made = bench()
    made.slaves.answers[TELL] = error
    outcome = await made.poll()
    assert (outcome.row, outcome.cause, outcome.answered, made.asked) == (None, cause, answered, [TELL])
    assert codes(outcome) == ([("no_good_field", "refused")] if answered else [])
    outcome = await made.poll()
    assert (made.asked, codes(outcome)) == ([TELL], [])
    made.slaves.answers.clear()
    await made.poll()
    await made.clock.advance(START.pause_ms)
    assert (await made.poll()).row is not None


async def test_a_bus_that_goes_away_meanwhile_is_told_as_such() -> None:
    """No device is to blame."""
    made = bench()
    made.slaves.answers[TELL] = LinkDown("gone")
    outcome = await made.poll()
    assert (str(outcome.link_down), outcome.cause) == ("gone", None)


async def test_a_late_answer_to_an_older_request_is_not_taken_for_the_start() -> None:
    """While one like it may still come, it waits."""
    made = bench()
    until = BootMs(made.clock.boot_ms() + 700)
    made.slaves.bars[TELL] = until * 1_000_000
    outcome = await made.poll()
    assert (outcome.waits_until, made.asked, told(made)) == (until, [], 0)
