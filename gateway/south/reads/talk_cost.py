"""What a visit to a serial device takes of its line. Pure; modelled, nothing is measured."""

from gateway.profile.profile import SerialSource
from gateway.protocols import declared
from gateway.site import Bus, Device

SILENCE_CHARS = 3.5  # before each request


def unanswered_ms(bus: Bus, device: Device, source: SerialSource) -> float:
    """How long a visit takes when nothing comes."""
    poll = source.poll
    if poll is None:
        return 0.0
    _, channel = poll.channels[0] if poll.channels else ("", "")
    sent = len(poll.wake) + len(declared.request(poll, device.address, channel)) + SILENCE_CHARS
    return poll.timeout_ms + poll.wake_ms + sent * _char_ms(bus)


def answered_ms(bus: Bus, device: Device, source: SerialSource, latency_ms: float) -> float:
    """How long one takes at most when each request is answered after so long."""
    poll = source.poll
    if poll is None:
        return 0.0
    sent: float = len(poll.wake)
    for _, channel in poll.channels or (("", ""),):
        sent += len(declared.request(poll, device.address, channel)) + source.framing.max_bytes + SILENCE_CHARS
    return poll.wake_ms + sent * _char_ms(bus) + latency_ms * max(len(poll.channels), 1)


def _char_ms(bus: Bus) -> float:
    line = bus.line
    return 1000 * (1 + line.bits + (line.parity != "N") + line.stop_bits) / line.baud
