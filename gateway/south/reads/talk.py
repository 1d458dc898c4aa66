"""One visit to a serial device that is asked in its own way: a talk, and what it means for each group that is due.

All groups of a device are answered by the same talk. A field whose part did not come, or is not as declared, is null,
`bad_reply`; one good field makes the row of its group. A device that still owes a reply is not asked (`waits_until`).
"""

from collections.abc import Sequence
from dataclasses import replace

from gateway.counters import Counters
from gateway.errors import BadReply, DeviceError, LinkDown, NoReply, ProtocolFailed
from gateway.model import BootMs, Event, Quality, Row
from gateway.profile.parts import decode_parts
from gateway.profile.profile import ProtocolSource, SerialSource
from gateway.protocols import bounded, declared
from gateway.protocols.conversation import Talk
from gateway.seams import Clock
from gateway.site import Device, Polled
from gateway.south.links.conversation_link import ConversationLink, Told
from gateway.south.links.link import NS_PER_MS
from gateway.south.links.owed import Owed
from gateway.south.reads.poll import Outcome
from gateway.south.reads.set_up import SettingUp


class Talker:
    """Makes the talks of one device."""

    def __init__(
        self,
        bus: str,
        device: Device,
        clock: Clock,
        counters: Counters,
        owed: Owed,
        setting_up: SettingUp | None = None,
    ) -> None:
        self._bus = bus
        talk_of(device, device.polled).close()
        self._device = device
        self._clock = clock
        self._counters = counters
        self._owed = owed
        self._barren: set[Polled] = set()
        self._setting_up = setting_up or SettingUp.of(device.profile.source)
        self._failure = ""  # of its protocol module: told once

    def uncounted(self) -> "Talker":
        """For a visit that somebody else asks for: what is told and owed is the same, the bus is not judged by it."""
        return Talker(self._bus, self._device, self._clock, Counters(), self._owed, self._setting_up)

    async def visit(self, link: ConversationLink, groups: Sequence[Polled]) -> list[Outcome]:
        """One talk for these groups, an outcome for each; never raises: a lost bus is in the outcomes."""
        name = self._device.name
        try:
            link.listen()
        except LinkDown as error:
            return [Outcome(None, None, answered=False, link_down=error) for _ in groups]
        until_ns = self._owed.until_ns(name, self._clock.boot_ns())
        if until_ns is not None:
            waits_until = BootMs(-(-until_ns // NS_PER_MS))
            return [Outcome(None, None, answered=False, waits_until=waits_until) for _ in groups]
        self._counters.add("reads", bus=self._bus, device=name)
        told = await self._told(link, groups)
        if isinstance(told, LinkDown):
            self._count_failure(told.code)
            return [Outcome(None, None, answered=False, link_down=told) for _ in groups]
        if isinstance(told, DeviceError):
            self._count_failure(told.code)
            return self._failed(groups, told)
        self._failure = ""
        if told.latency_ns is not None:  # what speaks by itself answers nothing
            self._counters.set("latency_ms", told.latency_ns / NS_PER_MS, bus=self._bus, device=name)
        return [self._outcome(polled, told) for polled in groups]

    async def _told(self, link: ConversationLink, groups: Sequence[Polled]) -> Told | DeviceError | LinkDown:
        """One talk, with the setup of the device before it where that is due."""
        setting_up, now = self._setting_up, self._clock.boot_ms()
        talk = talk_of(self._device, groups)
        if setting_up and setting_up.is_due(now):
            self._counters.add("setups", bus=self._bus, device=self._device.name)
            talk = setting_up.before(talk, self._device.address, now)
        try:
            told = await link.talk(self._device.name, talk)
        except (DeviceError, LinkDown) as error:
            if setting_up:
                setting_up.failed()
            return error
        if setting_up:
            setting_up.answered()
        return told

    def _outcome(self, polled: Polled, told: Told) -> Outcome:
        at = BootMs(told.t_first_ns // NS_PER_MS)
        decoded = decode_parts(polled.fields, bounded.told(told.parts))
        if any(value is not None for value in decoded.values):
            self._barren.discard(polled)
            return Outcome(Row(polled.group, at, decoded.values, decoded.quality), None, answered=True)
        cause = decoded.quality[0][1]
        news = () if polled in self._barren else (Event(at, self._device.name, "no_good_field", str(cause)),)
        self._barren.add(polled)
        return Outcome(None, cause, answered=True, events=news)

    def _failed(self, groups: Sequence[Polled], error: DeviceError) -> list[Outcome]:
        """What a failed talk means. A protocol module that fails makes its device as good as dead; why is told once."""
        if isinstance(error, NoReply | BadReply):
            return [Outcome(None, Quality(error.code), answered=False) for _ in groups]
        if not isinstance(error, ProtocolFailed):  # a protocol module's: the device said no
            return [Outcome(None, Quality.REFUSED, answered=True) for _ in groups]
        why, known = str(error), self._failure
        self._failure = why
        event = Event(self._clock.boot_ms(), self._device.name, error.code, why, urgent=True)
        first, *others = (Outcome(None, Quality.BAD_REPLY, answered=False) for _ in groups)
        return [replace(first, events=() if why == known else (event,)), *others]

    def _count_failure(self, cause: str) -> None:
        self._counters.add("read_failures", bus=self._bus, device=self._device.name, cause=cause)


def talk_of(device: Device, groups: Sequence[Polled]) -> Talk:
    """What is said to it in one visit for these groups; raises TypeError for a device that is not asked so."""
    source = device.profile.source
    if isinstance(source, ProtocolSource):
        return bounded.visit(source.place, device.address, parts_of(groups))
    if not isinstance(source, SerialSource) or source.poll is None:
        raise TypeError(f"{device.name} is not asked")
    return declared.talk(source.poll, source.framing, source.parse, device.address)


def parts_of(groups: Sequence[Polled]) -> tuple[str, ...]:
    """Those that their fields name, each once."""
    return tuple(dict.fromkeys(field.part for polled in groups for field in polled.fields))
