"""Progress on the terminal, never in a file: nothing is drawn when stderr is not a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def item_progress(
    total: int | None, results: Console | None = None, *, wanted: bool = True, label: str = "judging"
) -> Iterator[Callable[[int], None]]:
    """Show a bar with time left while items are worked on; yields ``advance(n)``.

    Args:
        total: how many items there are, None if unknown.
        results: the console that results are printed on; where it is a terminal too, the bar is drawn
            with it, so that results stand above the bar.
        wanted: whether to draw at all.
        label: what is being done.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = results if results is not None and sys.stdout.isatty() else Console(stderr=True)
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = not (wanted and sys.stderr.isatty())
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task(label, total=total)
        yield lambda number: progress.advance(task, number)
