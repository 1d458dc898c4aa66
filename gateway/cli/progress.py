"""A bar for what takes its time: on a terminal only, on stderr, gone when it is done."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

COLUMNS = 20


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """(done, all) moves it."""
    columns = (TextColumn(what, markup=False), BarColumn(COLUMNS), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, whole: progress.update(task, completed=done, total=whole)
