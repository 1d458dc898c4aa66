"""What a visit to a serial device takes of its line. Pure; modelled, nothing is measured."""

from gateway.errors import DeviceError
from gateway.profile.profile import ProtocolSource, SerialSource
from gateway.protocols import bounded, declared, rehearsal
from gateway.protocols.plugin import load
from gateway.site import Bus, Device

SILENCE_CHARS = 3.5  # before each request


def unanswered_ms(bus: Bus, device: Device, source: SerialSource | ProtocolSource) -> float:
    """How long a visit takes when nothing comes."""
    if isinstance(source, ProtocolSource):
        return rehearsal.silent_ms(
            bounded.visit(source.place, device.address, _parts(device)), _bits(bus), bus.line.baud
        )
    poll = source.poll
    if poll is None:
        return 0.0
    _, channel = poll.channels[0] if poll.channels else ("", "")
    sent = len(poll.wake) + len(declared.request(poll, device.address, channel)) + SILENCE_CHARS
    return poll.timeout_ms + poll.wake_ms + sent * _char_ms(bus) + _setup_ms(bus, device, source)


def answered_ms(bus: Bus, device: Device, source: SerialSource | ProtocolSource, latency_ms: float) -> float:
    """How long one takes at most when each request is answered after so long; by its own twin, with a protocol."""
    if isinstance(source, ProtocolSource):
        return _rehearsed_ms(bus, device, source)
    poll = source.poll
    if poll is None:
        return 0.0
    sent: float = len(poll.wake)
    for _, channel in poll.channels or (("", ""),):
        sent += len(declared.request(poll, device.address, channel)) + source.framing.max_bytes + SILENCE_CHARS
    return poll.wake_ms + sent * _char_ms(bus) + latency_ms * max(len(poll.channels), 1)


def _setup_ms(bus: Bus, device: Device, source: SerialSource) -> float:
    """At most; it is said before the first visits."""
    waits = sum(step.timeout_ms * bool(step.reply) + step.pause_ms for step in source.setup)
    sent = sum(len(declared.told(step, device.address)[0]) + SILENCE_CHARS for step in source.setup)
    return waits + sent * _char_ms(bus)


def _char_ms(bus: Bus) -> float:
    return 1000 * _bits(bus) / bus.line.baud


def _bits(bus: Bus) -> int:
    line = bus.line
    return 1 + line.bits + (line.parity != "N") + line.stop_bits


def _parts(device: Device) -> tuple[str, ...]:
    return tuple(dict.fromkeys(field.part for polled in device.polled for field in polled.fields))


def _rehearsed_ms(bus: Bus, device: Device, source: ProtocolSource) -> float:
    """As long as it takes with a device that measures 0; with a module that fails, what is asked in vain."""
    parts = _parts(device)
    try:
        twin = rehearsal.device(load(source.place), device.address, dict.fromkeys(parts, "0"))
        return rehearsal.took_ms(bounded.visit(source.place, device.address, parts), twin, _bits(bus), bus.line.baud)
    except (DeviceError, ValueError):
        return unanswered_ms(bus, device, source)
