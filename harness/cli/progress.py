"""Progress where a person watches: a bar for copies, a stopwatch for long statements."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from core.copying import CopyProgress, ProgressCallback

from .console import Console


@contextlib.contextmanager
def progress_bar(console: Console, what: str) -> Iterator[Optional["ProgressCallback"]]:
    """Show how far the body is on stderr if that is a terminal, and clear it away at its end.

    Args:
        console: of the run.
        what: what is being done.

    Yields:
        What a copy tells its progress to, or None where nobody watches.
    """
    if not _watched(console):
        yield None
        return
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn(what, markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=RichConsole(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)

        def show(progress: "CopyProgress") -> None:
            bar.update(task, completed=progress.done_pages, total=progress.total_pages)

        yield show


@contextlib.contextmanager
def elapsed(console: Console, what: str) -> Iterator[Callable[[float], object] | None]:
    """Show how long the body takes on stderr if that is a terminal, and clear it away at its end.

    Args:
        console: of the run.
        what: what is being done.

    Yields:
        What a statement tells its seconds to, or None where nobody watches.
    """
    if not _watched(console):
        yield None
        return
    from rich.console import Console as RichConsole
    from rich.status import Status
    from rich.text import Text

    with Status(Text(what), console=RichConsole(stderr=True)) as status:

        def show(seconds: float) -> None:
            status.update(Text(f"{what} {seconds:.0f} s"))

        yield show


def _watched(console: Console) -> bool:
    return not console.as_json and sys.stderr.isatty()
