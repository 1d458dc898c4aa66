"""Asks one device who it is: the registers that tell its model, then its own identification (function 43/14).

Only reads. A device that leaves a question unanswered may still answer it late: its exceptions are not believed for a
while (`late`), so nothing more is asked of it until then, and after SILENCES_MAX such waits nothing at all. Its own
identification comes last, because many cheap devices are silent to a function that they do not know.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.errors import BadReply, DeviceException, NoReply
from gateway.model import BootMs
from gateway.profile.fingerprint import BASICS, Answer, Fingerprints, Match, functions_answered
from gateway.protocols.modbus_pdu import ReadDeviceId, ReadRequest, Table, device_id
from gateway.seams import Clock
from gateway.south.links.late import LATE_MIN_NS, LATE_TIMEOUTS
from gateway.south.links.link import NS_PER_MS
from gateway.south.turns import Asks

BUSY = (5, 6)  # exceptions: acknowledge, device busy: ask again
BUSY_TRIES = 3
BUSY_PAUSE_MS = 200
SILENCES_MAX = 2
OBJECTS_MAX = 16  # texts of 43/14
TEXT_MAX = 64  # characters of each
ON_THE_LINE_MS = 500  # more than any frame takes beside its timeout


@dataclass(frozen=True, slots=True)
class Portrait:
    """What a device answered, and what that makes of it."""

    answers: Mapping[ReadRequest, Answer]
    texts: tuple[tuple[int, str], ...]  # (object id, text) of 43/14: 0 vendor, 1 product, 2 revision ...
    matches: tuple[Match, ...]  # best first
    tables: tuple[Table, ...]  # that gave data


class Identifier:
    """Asks the devices of one bus."""

    def __init__(self, fingerprints: Fingerprints, clock: Clock) -> None:
        self._fingerprints = fingerprints
        self._clock = clock

    async def portrait(
        self, asks: Asks, unit_id: int, timeout_ms: float, known: Mapping[ReadRequest, Answer]
    ) -> Portrait:
        """Ask until nothing more would change the verdict; raises LinkDown. `known` = what it has answered already."""
        answers = dict(known)
        silences = 0
        while silences <= SILENCES_MAX and (question := self._next(unit_id, answers)) is not None:
            answers[question] = await self._answer(asks, unit_id, question, timeout_ms)
            if answers[question] is None:
                silences += 1
                await self._until_nothing_is_owed(timeout_ms)
        texts = await self.texts(asks, unit_id, timeout_ms)
        matches = self._fingerprints.matches(unit_id, answers, [text for _, text in texts])
        return Portrait(answers, texts, matches, functions_answered(answers))

    async def texts(self, asks: Asks, unit_id: int, timeout_ms: float) -> tuple[tuple[int, str], ...]:
        """What a device says of itself; () where it does not know the function. Raises LinkDown."""
        found: dict[int, str] = {}
        following: int | None = 0
        while following is not None and len(found) < OBJECTS_MAX:
            try:
                said = device_id((await asks.ask(unit_id, ReadDeviceId(1, following), timeout_ms)).data)
            except (NoReply, BadReply, DeviceException):
                break
            fresh = {number: readable(text) for number, text in said.objects if number not in found}
            found |= fresh
            following = said.next_object if fresh else None
        return tuple(sorted(found.items()))[:OBJECTS_MAX]

    def _next(self, unit_id: int, answers: Mapping[ReadRequest, Answer]) -> ReadRequest | None:
        """The next of the fingerprints' questions; where no profile fits, what at least tells what can be read."""
        question = self._fingerprints.next_question(unit_id, answers)
        if question is None and not self._fingerprints.matches(unit_id, answers):
            return next((basic for basic in BASICS if basic not in answers), None)
        return question

    async def _answer(self, asks: Asks, unit_id: int, question: ReadRequest, timeout_ms: float) -> Answer:
        for _ in range(BUSY_TRIES):
            try:
                return (await asks.ask(unit_id, question, timeout_ms)).data
            except DeviceException as refusal:
                if refusal.exception not in BUSY:
                    return refusal.exception
                await self._clock.sleep_until(BootMs(self._clock.boot_ms() + BUSY_PAUSE_MS))
            except (NoReply, BadReply):
                return None
        return BUSY[-1]

    async def _until_nothing_is_owed(self, timeout_ms: float) -> None:
        await self._clock.sleep_until(BootMs(self._clock.boot_ms() + owed_ms(timeout_ms)))


def owed_ms(timeout_ms: float) -> int:
    """How long after a question without an answer the answer may still come (`late.late_max_ns`)."""
    longest_ms = timeout_ms + ON_THE_LINE_MS
    return round(longest_ms + max(LATE_MIN_NS / NS_PER_MS, LATE_TIMEOUTS * longest_ms))


def readable(text: bytes) -> str:
    """A device's text as it may be shown: printable, bounded."""
    shown = "".join(sign if sign.isprintable() else " " for sign in text.decode("utf-8", "replace"))
    return shown.strip()[:TEXT_MAX]
