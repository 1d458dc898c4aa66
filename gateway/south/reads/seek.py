"""The questions of a walk to where a device's registers stand (`place`): a few in each visit, before its reads."""

from dataclasses import dataclass

from gateway.errors import BadReply, DeviceException, LinkDown, NoReply
from gateway.model import BootMs, Quality
from gateway.protocols.modbus_pdu import ReadRequest
from gateway.protocols.sunspec import Answer
from gateway.south.reads.plan import Span
from gateway.south.reads.visit import BUSY, NS_PER_MS, UNREACHABLE, Caller, Guarded

QUESTIONS = 4  # of one visit: on a line of 9600 they take less time than one read of 125 registers
BUSY_NOW = -1  # in the place of an exception code


@dataclass(frozen=True, slots=True)
class Sought:
    """Why a visit ended before its reads."""

    cause: Quality | None = None
    answered: bool = False
    waits_until: BootMs | None = None
    link_down: LinkDown | None = None
    missing: str | None = None  # the chain that has not the model, when that is news


async def seek(caller: Caller, link: Guarded, patience: int) -> Sought | None:
    """Ask on until the place is known: then None, and the reads may be made. Never raises."""
    place, clock = caller.memory.place, caller.clock
    answered, lost = False, 0
    for _ in range(QUESTIONS):
        question = place.question
        if question is None or lost >= patience:
            break
        if (until := _held_until(caller, link, question)) is not None:
            return Sought(answered=answered, waits_until=until)
        caller.count("reads")
        answer = await _answer(caller, link, question)
        if isinstance(answer, LinkDown):
            return Sought(answered=answered, link_down=answer)
        if answer == BUSY_NOW:
            return Sought(Quality.NO_REPLY, answered=True)
        answered, lost = answered or answer is not None, 0 if answer is not None else lost + 1
        missing = place.answered(question, answer, clock.boot_ms())
        if place.not_before > clock.boot_ms():
            return Sought(Quality.REFUSED, answered=True, missing=missing)
    if place.question is not None:
        return Sought(None if answered else Quality.NO_REPLY, answered)
    caller.memory.changes += 1
    return None


def _held_until(caller: Caller, link: Guarded, question: ReadRequest) -> BootMs | None:
    """When it may be asked: a walk that failed waits, as does what a late answer could be taken for."""
    if caller.memory.place.not_before > caller.clock.boot_ms():
        return caller.memory.place.not_before
    until_ns = link.barred(caller.device.unit_id, question)
    return None if until_ns is None else BootMs(-(-until_ns // NS_PER_MS))


async def _answer(caller: Caller, link: Guarded, question: ReadRequest) -> Answer | LinkDown:
    """What came; BUSY_NOW for a device, or a converter, that says to ask later."""
    span = Span(question.table, question.address, question.address + question.count - 1)
    try:
        reply = await link.request(caller.device.unit_id, question, caller.deadline_ns(span), caller.manner)
    except LinkDown as error:
        caller.count_failure(error.code)
        return error
    except (NoReply, BadReply) as error:
        caller.count_failure(error.code)
        return None
    except DeviceException as error:
        caller.count_failure(f"exception_{error.exception}")
        if error.exception in UNREACHABLE:
            return None
        return BUSY_NOW if error.exception in BUSY else error.exception
    return reply.data
