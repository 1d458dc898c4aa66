"""A protocol module: what it offers, and how it is found again by its place, "package.module:ATTRIBUTE". Pure.

Those of this package are named here; others come with a package that is installed beside it, and has an entry point of
the group `gateway.protocols`. Entry points are looked up where a site is compiled (`profile.plugins`); the compiled
site says the place, and the daemon imports that one module and no other.
"""

from collections.abc import Generator, Mapping, Sequence
from importlib import import_module
from typing import Protocol, TypeAlias, runtime_checkable

from gateway.errors import ProtocolFailed
from gateway.protocols.conversation import Step, Talk

ENTRY_POINTS = "gateway.protocols"
OWN: Mapping[str, str] = {
    "dlt645-2007": "gateway.protocols.dlt645:PROTOCOL",
    "iec62056-21": "gateway.protocols.iec62056:PROTOCOL",
    "mbus": "gateway.protocols.mbus:PROTOCOL",  # needs the extra [mbus]
    "umb": "gateway.protocols.umb:PROTOCOL",
    "vedirect": "gateway.protocols.vedirect:PROTOCOL",
}
Twin: TypeAlias = Generator[Step, bytes, None]


@runtime_checkable
class SerialProtocol(Protocol):
    """One protocol on a serial line, both sides of it. Pure: its waits are in the steps that it yields."""

    def check(self, address: str, parts: Sequence[str]) -> None:
        """Raises ValueError, in words, for an address or a part that no device of this protocol can have."""
        ...

    def alone(self, address: str) -> bool:
        """Whether a device with this address has to be alone on its line."""
        ...

    def poll(self, address: str, parts: Sequence[str]) -> Talk:
        """One visit to the device, for these parts; "" is the address of one that has none."""
        ...

    def answer(self, address: str, told: Mapping[str, str | int | float]) -> Twin:
        """The device's side of one question, or of one beat of what speaks by itself; for simulators.

        `told` is what the device measures; it is looked up when the answer is made.
        """
        ...


def needs_port(protocol: SerialProtocol) -> str:
    """Why its devices cannot stand behind a converter that passes bytes on; "" when they can.

    It says so by an attribute, true: `changes_baud` where its talks have a `SetBaud` in them, `sends_by_itself` where
    what it hears need not be new.
    """
    if getattr(protocol, "changes_baud", False) is True:
        return "changes the speed, and a converter does not"
    if getattr(protocol, "sends_by_itself", False) is True:
        return "sends by itself, and a converter may keep what it sent"
    return ""


def load(place: str) -> SerialProtocol:
    """The protocol at "package.module:ATTRIBUTE"; raises ProtocolFailed, whatever the module does."""
    module, _, attribute = place.partition(":")
    try:
        protocol = getattr(import_module(module), attribute)
    except Exception as error:
        raise ProtocolFailed(f"{place}: {type(error).__name__}: {error}") from error
    if not isinstance(protocol, SerialProtocol):
        raise ProtocolFailed(f"{place} is no protocol: check, alone, poll and answer are needed")
    return protocol
