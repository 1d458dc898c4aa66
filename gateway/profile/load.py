"""Find profiles, read, check and compile them. A later folder overrides an earlier one, visibly."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.errors import Invalid, Problem
from gateway.profile import vectors
from gateway.profile.build import build, build_variants
from gateway.profile.profile import LocalSource, Profile
from gateway.profile.schema import ProfileSchema
from gateway.toml_file import Located, Places, read_located

VECTORS = ".vectors.toml"


@dataclass(frozen=True, slots=True)
class Deprecated:
    """Which profile takes the place of one, and why."""

    by: str
    why: tuple[tuple[str, str], ...]  # ("en", ...), ("vi", ...)


@dataclass(frozen=True, slots=True)
class Library:
    """Every profile by ref, the file that each came from, and what one should know but need not change."""

    profiles: Mapping[str, Profile]
    files: Mapping[str, Path]
    notes: tuple[Problem, ...]
    variants: Mapping[str, Mapping[str, Profile]] = field(default_factory=dict)  # by ref and name; few have some
    replaced: Mapping[str, Path] = field(default_factory=dict)  # by ref: the file that another one stands in for
    deprecated: Mapping[str, Deprecated] = field(default_factory=dict)  # by ref; they work, but nobody begins with them

    @property
    def current(self) -> tuple[Profile, ...]:
        """What a new site may take."""
        return tuple(profile for ref, profile in self.profiles.items() if ref not in self.deprecated)

    def newest(self, wanted: str) -> str | None:
        """The ref of `vendor/model@version`, or of the highest version of `vendor/model`; None when there is none."""
        if wanted in self.profiles:
            return wanted
        versions = [
            int(version) for ref in self.profiles for model, _, version in [ref.partition("@")] if model == wanted
        ]
        return f"{wanted}@{max(versions)}" if versions else None


def load(folders: Sequence[Path]) -> Library:
    """All profiles of these folders (`sources.search_path`); raises Invalid with all problems of all files.

    A folder that is not there is an empty one.
    """
    loader = _Loader()
    for folder in folders:
        loader.take(folder)
    loader.check_kinds()
    loader.check_deprecated()
    if loader.problems:
        raise Invalid(tuple(loader.problems))
    return Library(
        loader.profiles, loader.files, tuple(loader.notes), loader.variants, loader.replaced, loader.deprecated
    )


def check_folders(named: Sequence[Path]) -> None:
    """Raises Invalid for what is no folder: where a person names one, an absent one is a slip, not an empty one."""
    absent = tuple(folder for folder in named if not folder.is_dir())
    if absent:
        raise Invalid(tuple(Problem(str(folder), 1, "", "file_unreadable", "no such folder") for folder in absent))


class _Loader:
    """Collects; decides nothing but which file wins."""

    def __init__(self) -> None:
        self.profiles: dict[str, Profile] = {}
        self.files: dict[str, Path] = {}
        self.variants: dict[str, Mapping[str, Profile]] = {}
        self.replaced: dict[str, Path] = {}
        self.deprecated: dict[str, Deprecated] = {}
        self.notes: list[Problem] = []
        self.problems: list[Problem] = []
        self._places: dict[str, Places] = {}

    def take(self, folder: Path) -> None:
        here: set[str] = set()
        for path in sorted(folder.rglob("*.toml")):
            if path.name.endswith(VECTORS):
                continue
            try:
                written = read_located(path, ProfileSchema)
            except Invalid as invalid:
                self.problems += invalid.problems
                continue
            self._add(path, written, here)

    def _add(self, path: Path, written: Located[ProfileSchema], here: set[str]) -> None:
        profile, problems = build(written.value, written.places)
        variants, more = build_variants(written.value, written.places, problems)
        problems += more
        if not problems:
            problems = list(_vector_problems(path, profile, variants, written.places))
        problems += _place_problems(path, written)
        if profile.ref in here:
            detail = f"{profile.ref} is also in {self.files[profile.ref]}"
            problems.append(written.places.problem("doubled_profile", detail, "profile", "id"))
        elif profile.ref in self.files:
            detail = f"{profile.ref} replaces the one in {self.files[profile.ref]}"
            self.notes.append(written.places.problem("profile_overridden", detail, "profile", "id"))
            self.replaced[profile.ref] = self.files[profile.ref]
        here.add(profile.ref)
        self.problems += problems
        self.profiles[profile.ref] = profile
        self.variants.pop(profile.ref, None)
        if variants:
            self.variants[profile.ref] = variants
        self.deprecated.pop(profile.ref, None)
        if old := written.value.profile.deprecated:
            self.deprecated[profile.ref] = Deprecated(old.by, old.why.pairs())
        self.files[profile.ref] = path
        self._places[profile.ref] = written.places

    def check_kinds(self) -> None:
        """The store has one column for a field of a kind: it means the same in every profile."""
        first: dict[tuple[str, str], tuple[str, str]] = {}
        profiles = [*self.profiles.values(), *(one for each in self.variants.values() for one in each.values())]
        for profile in profiles:
            for one in profile.reported:
                quantity, other = first.setdefault((profile.kind, one.name), (one.quantity, profile.ref))
                if quantity != one.quantity:
                    detail = f"{one.name} of kind {profile.kind} is {quantity} in {other}"
                    problem = self._places[profile.ref].problem("kind_conflict", detail, "fields", one.name)
                    self.problems.append(problem)

    def check_deprecated(self) -> None:
        """Each is followed by a profile that is here, and that is not deprecated itself."""
        for ref, old in self.deprecated.items():
            if old.by not in self.profiles or old.by in self.deprecated:
                detail = f"{old.by} is {'deprecated itself' if old.by in self.profiles else 'no profile here'}"
                place = ("profile", "deprecated", "by")
                self.problems.append(self._places[ref].problem("unknown_profile", detail, *place))


def _vector_problems(
    path: Path, profile: Profile, variants: Mapping[str, Profile], places: Places
) -> Iterator[Problem]:
    if isinstance(profile.source, LocalSource):
        return  # no frames, so nothing that could be decoded wrongly
    beside = vectors.path_of(path)
    if not beside.exists():
        yield places.problem("no_vectors", f"{beside.name} is missing", "profile", "id")
        return
    try:
        yield from vectors.check(profile, vectors.read(beside), variants)
    except Invalid as invalid:
        yield from invalid.problems


def _place_problems(path: Path, written: Located[ProfileSchema]) -> Iterator[Problem]:
    """VENDOR/MODEL.toml, or MODEL@VERSION.toml where an old version stays beside a new one."""
    head = written.value.profile
    vendor, _, model = head.id.partition("/")
    if path.parent.name != vendor or path.stem not in (model, f"{model}@{head.version}"):
        yield written.places.problem("wrong_place", f"{head.id} belongs into {vendor}/{model}.toml", "profile", "id")
