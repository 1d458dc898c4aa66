"""The protocol modules that are installed, by name: where a site is compiled, and for people. Not for the daemon.

`importlib.metadata` reads the metadata of every package that is installed: that costs a small box half a second, and
the daemon nothing, as it imports what the compiled site names. The modules that came with the gateway are not looked up
at all, so that no package can take their names.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points

from gateway.protocols import plugin
from gateway.protocols.plugin import SerialProtocol
from gateway.toml_file import nearest


@cache
def places() -> Mapping[str, str]:
    """Where each protocol is, "module:ATTRIBUTE"."""
    others = {point.name: point.value for point in entry_points(group=plugin.ENTRY_POINTS)}
    return {**others, **plugin.OWN}


def find(name: str) -> SerialProtocol:
    """The protocol of this name; raises LookupError, in words, and ProtocolFailed for one that cannot be loaded."""
    place = plugin.OWN.get(name) or places().get(name)
    if place is None:
        known = sorted(places())
        raise LookupError(f"{name!r} is none of {', '.join(known)}{nearest(name, known)}")
    return plugin.load(place)


def complaints(protocol: SerialProtocol, address: str, parts: Sequence[str]) -> Iterator[str]:
    """What it has against this address or these parts; whatever it raises is one."""
    try:
        protocol.check(address, parts)
    except ValueError as error:
        yield str(error)
    except Exception as error:  # noqa: BLE001 - a module of somebody else
        yield f"its check fails: {type(error).__name__}: {error}"
