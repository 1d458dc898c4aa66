"""What a site is compiled from, told by hashing alone: so a daemon without pydantic knows that nothing changed.

A source is a pair (path, sha256). The site file stands with its content; each folder of profiles with the names and
contents of all `.toml` files below it, so that a file which comes, goes or begins to override another is noticed; and
the path "" stands for this version of the gateway, because a newer one may compile the same files differently.
"""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from gateway import __version__

OVERRIDES = Path("/etc/gateway/profiles")
ABSENT = "absent"  # instead of a hash


def search_path(extra: Sequence[Path] = ()) -> tuple[Path, ...]:
    """Folders of profiles, in order; a later one overrides an earlier one."""
    return (shipped(), OVERRIDES, *extra)


def shipped() -> Path:
    """The profiles that came with this version: inside the wheel, or of the checkout."""
    inside = Path(__file__).parent / "profile" / "library"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "device_profiles"


def of(site_file: Path, extra: Sequence[Path] = ()) -> tuple[tuple[str, str], ...]:
    """The sources as they are now: what `Site.sources` of a site compiled now would hold."""
    paths = (site_file, *search_path(extra))
    return (("", _version()), *((str(path.resolve()), _hash(path)) for path in paths))


def _version() -> str:
    return sha256(__version__.encode()).hexdigest()


def _hash(path: Path) -> str:
    if path.is_dir():
        below = sorted(path.rglob("*.toml"))
        listing = "".join(f"{file.relative_to(path)}\0{_hash_file(file)}\n" for file in below)
        return sha256(listing.encode()).hexdigest()
    return _hash_file(path)


def _hash_file(path: Path) -> str:
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ABSENT  # also for what may not be read: when it can be, that is a change
