"""A table for a terminal of any width: cells wrap, ids break behind `/` and `#`, and nothing is cropped.

Takes cells whose control characters are already shown. Knows nothing about what a table says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.cells import cell_len, chop_cells
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType

_PIECE = re.compile(r"\s+|[^\s/#]+[/#]?|[/#]")  # what is kept whole where it can be
_NARROWEST = 2  # cells a column needs to show any character


@dataclass(frozen=True, slots=True)
class FittedTable:
    """A table; columns whose number is in ``numbers`` are set to the right."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Lay the table out for the width there is; a list of its rows where no table can fit."""
        count = len(self.header)
        framed, bare = 3 * count + 1, 3 * count - 3  # blanks and lines between the texts
        tight = sum(_longest((self.header, *self.rows), _PIECE.findall)) > options.max_width - framed
        room = options.max_width - (bare if tight else framed)
        if room < _NARROWEST * count:
            yield from self._as_list()
        else:
            yield self._table(self._widths(room), tight)

    def _widths(self, room: int) -> list[int]:
        """Give every column its longest piece, then what is left to the narrowest that wants more."""
        everything = (self.header, *self.rows)
        widths = _longest(everything, _PIECE.findall)
        while sum(widths) > room:
            widest = max(range(len(widths)), key=widths.__getitem__)
            widths[widest] -= 1
        for part in (self.rows, everything):  # the names of the columns come last
            wanted = _longest(part, lambda cell: [cell])
            while sum(widths) < room and (open_ := [i for i, w in enumerate(wanted) if widths[i] < w]):
                widths[min(open_, key=widths.__getitem__)] += 1
        return widths

    def _table(self, widths: Sequence[int], tight: bool) -> Table:
        style = box.SIMPLE_HEAD if tight else box.HEAVY_HEAD
        table = Table(box=style, show_edge=not tight, pad_edge=not tight)
        for number, (name, width) in enumerate(zip(self.header, widths, strict=True)):
            justify: JustifyMethod = "right" if number in self.numbers else "left"
            table.add_column(Text("\n".join(wrapped(name, width))), justify=justify, width=width)
        for row in self.rows:
            lines = (wrapped(cell, width) for cell, width in zip(row, widths, strict=True))
            table.add_row(*(Text("\n".join(each)) for each in lines))
        return table

    def _as_list(self) -> Iterator[Text]:
        for row in self.rows:
            cells = zip(self.header, row, strict=True)
            yield Text("\n".join(f"{name}: {cell}" for name, cell in cells if cell) + "\n", overflow="fold")


def _longest(rows: Sequence[tuple[str, ...]], cut: Callable[[str], list[str]]) -> list[int]:
    """Return the width of the longest piece of every column."""
    columns = zip(*rows, strict=True)
    return [max(cell_len(piece) for cell in column for piece in cut(cell) or [""]) for column in columns]


def wrapped(text: str, width: int) -> list[str]:
    """Return a text as lines of at most ``width`` cells; a word is broken only where it alone is wider."""
    lines: list[str] = []
    line = ""
    for piece in _PIECE.findall(text):
        if cell_len(line + piece) <= width:
            line += piece
            continue
        if line.strip():
            lines.append(line.rstrip())
        *whole, line = chop_cells(piece.lstrip(), width) or [""]
        lines += whole
    return [*lines, line.rstrip()]
