"""Serial devices that are asked in their own way: how one is asked, and who may share its line. Pure."""

from collections.abc import Sequence

from gateway.profile import plugins
from gateway.profile.profile import ProtocolSource, SerialSource
from gateway.protocols import declared
from gateway.protocols.declared import Poll
from gateway.site import Device


def first_request(poll: Poll, address: str) -> bytes:
    """The first one; raises ValueError for an address that does not fit."""
    return declared.request(poll, address, poll.channels[0][1] if poll.channels else "")


def poll_of(device: Device) -> Poll | None:
    """How it is asked by declaration; None for all others."""
    source = device.profile.source
    return source.poll if isinstance(source, SerialSource) else None


def is_asked(device: Device) -> bool:
    """Whether it speaks when it is spoken to, and no Modbus."""
    return isinstance(device.profile.source, ProtocolSource) or poll_of(device) is not None


def not_shared(device: Device, others: Sequence[Device]) -> str:
    """Why this serial device has to be alone; "" when it may share its line with these."""
    source = device.profile.source
    if isinstance(source, ProtocolSource):
        alike = all(
            isinstance(other.profile.source, ProtocolSource) and other.profile.source.protocol == source.protocol
            for other in others
        )
        alone = plugins.find(source.protocol).alone(device.address)
        return f"{device.name} does not say its address" if alone else "" if alike else f"{device.name} is another kind"
    poll = poll_of(device)
    if poll is None:
        return f"{device.name} sends by itself"
    if not poll.shares:
        return f"{device.name} does not say its address"
    return "" if all(poll_of(other) for other in others) else f"{device.name} does not speak Modbus"
