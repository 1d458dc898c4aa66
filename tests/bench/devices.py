"""python -m tests.bench.devices SITE PROFILES [GONE...]: the simulators, with profiles of a bench's own.

GONE are names of devices that do not answer.
"""

import asyncio
import sys
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path

from gateway.config.compile import compile_simulator_file
from gateway.site import Site
from simulators.serve import serve, signals_of


def main() -> None:
    """Until SIGTERM."""
    path, folder, *gone = sys.argv[1:]
    site = _without(compile_simulator_file(Path(path), (Path(folder),)).site, frozenset(gone))
    asyncio.run(serve(site, signals_of(site, {}, seed=7), ports=Path(path).with_suffix(".ports")))


def _without(site: Site, gone: AbstractSet[str]) -> Site:
    buses = (
        replace(bus, devices=tuple(device for device in bus.devices if device.name not in gone)) for bus in site.buses
    )
    return replace(site, buses=tuple(buses))


if __name__ == "__main__":
    main()
