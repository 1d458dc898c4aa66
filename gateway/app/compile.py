"""`gateway compile SITE.toml`: the child process of the daemon where pydantic lives and dies.

The compiled site on stdout and exit 0, or every problem on stderr and exit 2: a wrong file never reaches a running
daemon. Notes (an override, an unusual unit_id) go to stderr too and change nothing.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gateway import site
from gateway.config.compile import compile_file
from gateway.errors import Invalid, Problem
from gateway.text import words

WRONG_FILE = 2


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="gateway compile", description="Compile a site file for the daemon.")
    parser.add_argument("site", type=Path)
    parser.add_argument("--profiles", type=Path, action="append", default=[], metavar="DIR")
    options = parser.parse_args(arguments)
    try:
        compiled = compile_file(options.site, options.profiles)
    except Invalid as invalid:
        _tell(invalid.problems)
        return WRONG_FILE
    _tell(compiled.notes)
    sys.stdout.buffer.write(site.dumps(compiled.site))
    sys.stdout.buffer.flush()
    return 0


def _tell(problems: Sequence[Problem]) -> None:
    """One line each, for a journal: place, what, and what to do. `gateway check` says it in paragraphs."""
    lang = os.environ.get("GATEWAY_LANG", "en")
    for problem in problems:
        place = f"{problem.file}:{problem.line}: {problem.path}" if problem.path else f"{problem.file}:{problem.line}"
        step = words.next_step(problem, lang)
        sys.stderr.write(f"{place}: {problem.code}: {problem.detail}{f' -> {step}' if step else ''}\n")
