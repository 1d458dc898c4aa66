"""gateway.toml + the profiles it pins -> a `Site`: where config ends and the gateway begins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Generic, TypeVar

from gateway import sources, toml_file
from gateway.config.buses import Variants, compile_box, compile_buses
from gateway.config.findings import Findings
from gateway.config.gateway import GatewayConfig, SimulatorConfig, size_bytes
from gateway.config.uplinks import compile_uplinks
from gateway.errors import Invalid, Problem
from gateway.profile import load
from gateway.profile.profile import Profile
from gateway.site import Area, Location, Site, SpoolSettings
from gateway.toml_file import Examined, Places

C = TypeVar("C", bound=GatewayConfig)


@dataclass(frozen=True, slots=True)
class Compiled(Generic[C]):
    """A site, the file it is from, and what one should know but need not change."""

    site: Site
    config: C
    notes: tuple[Problem, ...]


def compile_file(path: Path, folders: Sequence[Path] = ()) -> Compiled[GatewayConfig]:
    """The site of one file; raises Invalid with every problem of it and of all profiles.

    `folders` of profiles come after those of `sources.search_path`; one that is not there is a problem.
    """
    return _compile_file(path, folders, GatewayConfig)


def compile_simulator_file(path: Path, folders: Sequence[Path] = ()) -> Compiled[SimulatorConfig]:
    """The same for a simulator: `config.signal` says what its devices measure."""
    return _compile_file(path, folders, SimulatorConfig)


def library_of(folders: Sequence[Path] = ()) -> load.Library:
    """The profiles that a site finds with these folders; raises Invalid."""
    load.check_folders(folders)
    return load.load(sources.search_path(folders))


def compile_site(
    config: GatewayConfig,
    profiles: Mapping[str, Profile],
    findings: Findings | None = None,
    from_sources: tuple[tuple[str, str], ...] = (),
    variants: Variants = MappingProxyType({}),
) -> Site:
    """Raises Invalid with every problem: unknown profile, doubled name, doubled unit_id, impossible period, ..."""
    findings = findings or Findings(Places("", {}))
    folder = Path(findings.places.file).resolve().parent
    _check_names(config, findings)
    site = Site(
        gateway=config.gateway.id,
        root=config.gateway.root,
        area=_area(config),
        location=_location(config),
        clock_trust=config.clock.trust,
        spool=SpoolSettings(
            path=str(folder / config.spool.path),
            quota_bytes=size_bytes(config.spool.quota),
            archive_days=config.spool.archive_days,
        ),
        uplinks=compile_uplinks(config, folder, findings),
        buses=compile_buses(config, profiles, findings, variants),
        sources=from_sources,
        commands=tuple(dict.fromkeys(config.gateway.commands)),
        box=compile_box(config, profiles, findings),
    )
    if findings.problems:
        raise Invalid(tuple(sorted(findings.problems, key=lambda problem: (problem.file, problem.line))))
    return site


def _compile_file(path: Path, folders: Sequence[Path], model: type[C]) -> Compiled[C]:
    now = sources.of(path, folders)  # before anything is read: what changes meanwhile is seen as changed
    problems: list[Problem] = []
    library: load.Library | None = None
    found: Examined[C] | None = None
    try:
        load.check_folders(folders)
    except Invalid as invalid:
        problems += invalid.problems
    try:
        library = load.load(sources.search_path(folders))
    except Invalid as invalid:
        problems += invalid.problems
    try:
        found = toml_file.examine(path, model)
        problems += found.problems
    except Invalid as invalid:
        problems += invalid.problems
    if found is None or found.value is None or library is None:
        raise Invalid(tuple(problems))
    findings = Findings(found.places, problems)
    for n, device in enumerate(found.value.device):
        if old := library.deprecated.get(device.profile):
            detail = f"{device.profile}, by {old.by}: {' / '.join(text for _, text in old.why)}"
            findings.note("profile_deprecated", detail, "device", n, "profile")
    site = compile_site(found.value, library.profiles, findings, now, library.variants)
    return Compiled(site, found.value, (*library.notes, *findings.notes))


def _check_names(config: GatewayConfig, findings: Findings) -> None:
    """Events name a bus, a device or an uplink by its name alone: all of them differ."""
    named = [("bus", n, bus.name) for n, bus in enumerate(config.bus)]
    named += [("device", n, device.name) for n, device in enumerate(config.device)]
    named += [("uplink", n, uplink.name) for n, uplink in enumerate(config.uplink)]
    first: dict[str, str] = {}
    for table, n, name in named:
        if name in first:
            findings.report("doubled_name", f"{name} is also {first[name]}", table, n, "name")
        first.setdefault(name, f"{table}[{n}]")
    if config.box.on and config.box.name in first:
        findings.report("doubled_name", f"{config.box.name} is also {first[config.box.name]}", "box", "name")


def _area(config: GatewayConfig) -> Area | None:
    area = config.gateway.area
    return Area(area.scheme, area.code, area.name) if area else None


def _location(config: GatewayConfig) -> Location | None:
    location = config.gateway.location
    return Location(location.lat, location.lon, tuple(sorted(location.note.items()))) if location else None
