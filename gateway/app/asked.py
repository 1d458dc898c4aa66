"""What `gateway run` is asked on its command line. Pure, and without argparse: that stays loaded in a daemon that runs.

    gateway run [SITE] [--profiles DIR]...

`gateway run --help` is the command line's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

USAGE: Final = "usage: gateway run [SITE] [--profiles DIR]..."
SITE_DEFAULT: Final = Path("/etc/gateway/gateway.toml")
PROFILES: Final = "--profiles"


@dataclass(frozen=True, slots=True)
class Asked:
    """Which site file, and folders of profiles that go before the shipped ones."""

    site: Path
    profiles: tuple[Path, ...]


def asked_of(arguments: Sequence[str]) -> Asked | None:
    """None: they are not of the form in `USAGE`."""
    sites, profiles, words = [], [], iter(arguments)
    for word in words:
        option, equals, folder = word.partition("=")
        if option == PROFILES:
            profiles.append(folder if equals else next(words, ""))
        elif word.startswith("-"):
            return None
        else:
            sites.append(word)
    if len(sites) > 1 or not all(sites + profiles):
        return None
    return Asked(Path(sites[0]) if sites else SITE_DEFAULT, tuple(Path(folder) for folder in profiles))
