"""gateway profile check: every problem of profiles and their vectors at once."""

from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from gateway import sources
from gateway.cli.check import WRONG_FILE, paragraph
from gateway.errors import Invalid
from gateway.profile import load


def check(folders: Sequence[Path], lang: str, out: TextIO, *, shipped: bool) -> int:
    """Exit 2 when there is a problem; vectors are decoded and encoded as part of it."""
    looked_in = sources.search_path(folders) if shipped or not folders else tuple(folders)
    try:
        load.check_folders(folders)
        library = load.load(looked_in)
    except Invalid as invalid:
        out.writelines(paragraph(problem, lang) for problem in invalid.problems)
        return WRONG_FILE
    out.writelines(paragraph(note, lang) for note in library.notes)
    out.writelines(
        f"{ref}: {len(profile.reported)} fields, {profile.confidence}\n"
        for ref, profile in sorted(library.profiles.items())
    )
    return 0
