"""A site without a file: one device of the library, alone on one bus. Pure."""

from collections.abc import Mapping

from gateway.config.compile import compile_site
from gateway.config.findings import Findings
from gateway.config.gateway import SimulatorConfig
from gateway.errors import Invalid, Problem
from gateway.profile.load import Library
from gateway.profile.profile import ModbusSource
from gateway.site import Site
from gateway.toml_file import Places, nearest

WHO = "--profile"  # where problems are said to stand
BUS = "bench"
NAME_MAX = 32


def bench(library: Library, wanted: str, where: Mapping[str, str], variant: str | None, unit_id: int | None) -> Site:
    """`wanted` is `vendor/model` with or without `@version`; `where` is the bus's port or host.

    Raises Invalid: no such profile or variant, or a device that cannot be on such a bus.
    """
    ref = library.newest(wanted)
    if ref is None:
        detail = f"{wanted}{nearest(wanted, sorted(library.profiles))}"
        raise Invalid((Problem(WHO, 1, "profile", "unknown_profile", detail),))
    device = {"name": name_of(ref), "bus": BUS, "profile": ref}
    chosen = {key: value for key, value in {"variant": variant, "unit_id": unit_id}.items() if value is not None}
    config = SimulatorConfig.model_validate(
        {
            "config_version": 1,
            "gateway": {"id": BUS},
            "uplink": ({"name": "none", "server": ({"url": "mqtt://127.0.0.1:1"},)},),
            "bus": ({"name": BUS, **where},),
            "device": ({**device, **chosen},),
        }
    )
    findings = Findings(Places(WHO, {}))
    return compile_site(config, library.profiles, findings, variants=library.variants)


def name_of(ref: str) -> str:
    """As a device, and as a link to its port: acme/th10@1 is acme-th10."""
    return ref.partition("@")[0].replace("/", "-")[:NAME_MAX]


def to_copy(site: Site, endpoint: str) -> str:
    """What goes into the site file of a gateway that shall read it."""
    (bus,) = site.buses
    (device,) = bus.devices
    line = f"{bus.line.baud} {bus.line.bits}{bus.line.parity}{bus.line.stop_bits}"
    place = f'port = "{endpoint}"\nline = "{line}"' if bus.serial else f'host = "{endpoint}"'
    more = f"unit_id = {device.unit_id}\n" if isinstance(device.profile.source, ModbusSource) else ""
    more += f'address = "{device.address}"\n' if device.address else ""
    more += f'variant = "{device.variant}"\n' if device.variant else ""
    return f"""[[bus]]
name = "{bus.name}"
{place}
[[device]]
name = "{device.name}"
bus = "{bus.name}"
profile = "{device.profile.ref}"
{more}"""
