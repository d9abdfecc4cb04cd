"""What is wrong with a file, and where: one object, many renderings.

``Span`` points into a file; ``Diagnostic`` says what is wrong there and how to mend it. Renderers
print what they are given and compute nothing. Knows nothing about YAML or policies.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Level(StrEnum):
    """How bad it is: an error stops the command, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A stretch of one line: ``line`` and ``column`` count from 1, ``length`` in characters."""

    file: str
    line: int
    column: int
    length: int = 1


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing that is wrong.

    Attributes:
        code: stable code such as ``P002``; P0 is shape, P1 meaning, P2 wording.
        level: error or warning.
        span: where.
        message: what, in one line, user's words in backticks.
        help: what to do about it, in one line, or None.
        line_text: the source line, shown with a caret under the span.
    """

    code: str
    level: Level
    span: Span
    message: str
    help: str | None = None
    line_text: str | None = None


MOST_LINE_CHARACTERS = 2000  # of a line that a report for machines repeats with every problem in it
_WINDOW = 100  # characters of a long line that are shown around the caret


def to_text(diagnostics: Iterable[Diagnostic]) -> str:
    """Return diagnostics for a terminal: place, line, caret and help, a blank line between them."""
    return "\n".join(_block(found) for found in diagnostics)


def to_json(diagnostics: Iterable[Diagnostic]) -> list[dict[str, str | int | None]]:
    """Return diagnostics as plain objects, one each, with the same words as ``to_text``.

    A line over ``MOST_LINE_CHARACTERS`` is left out.
    """
    return [
        {
            "code": found.code,
            "level": found.level.value,
            "file": found.span.file,
            "line": found.span.line,
            "column": found.span.column,
            "length": found.span.length,
            "message": found.message,
            "help": found.help,
            "line_text": repeated_line(found),
        }
        for found in diagnostics
    ]


def repeated_line(found: Diagnostic) -> str | None:
    """Return the source line, or None where it is so long that repeating it would flood a report."""
    line = found.line_text
    return line if line is None or len(line) <= MOST_LINE_CHARACTERS else None


def _block(found: Diagnostic) -> str:
    span = found.span
    where = f"{span.file}:{span.line}:{span.column}"
    rows = [_visible(f"{where}: {found.level}[{found.code}] {found.message}")]
    gutter = " " * len(str(span.line))
    if found.line_text is not None:
        shown, before, under = _excerpt(found.line_text, span)
        rows += [f"{gutter} |", f"{span.line} | {shown}".rstrip(), f"{gutter} | {' ' * before}{'^' * under}"]
    if found.help:
        rows.append(_visible(f"{gutter} = help: {found.help}"))
    return "\n".join(rows) + "\n"


def _excerpt(line: str, span: Span) -> tuple[str, int, int]:
    """Return the line as shown, and the cells before and under the caret."""
    start, end = span.column - 1, span.column - 1 + span.length
    first = max(0, start - _WINDOW // 2) if len(line) > _WINDOW else 0
    last = first + _WINDOW
    head, tail = "…" if first else "", "…" if last < len(line) else ""
    before = head + _visible(line[first:start])
    under = _visible(line[start : min(end, last)])
    after = _visible(line[min(end, last) : last]) + tail
    return before + under + after, _cells(before), max(1, _cells(under))


def _visible(text: str) -> str:
    """Return text with what a terminal would obey or hide (controls, bidi, line breaks) escaped."""
    return "".join(
        char.encode("unicode_escape").decode()
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
        else char
        for char in text
    )


def _cells(text: str) -> int:
    """Return how many terminal cells the text takes: wide characters two, combining marks none."""
    return sum(
        0
        if unicodedata.category(char) in ("Mn", "Me")
        else 2
        if unicodedata.east_asian_width(char) in ("W", "F")
        else 1
        for char in text
    )
