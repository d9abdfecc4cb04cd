"""Source files: their bytes, their text, and where in them each value was written.

Reads a file within limits, turns offsets into spans, and holds the tree of values with their places.
Knows nothing about YAML (``strict_yaml`` builds the tree) or policies.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from llm_judge.diagnostics import Diagnostic, Level, Span
from llm_judge.errors import PolicyError

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 256 * 1024

_LINE = re.compile(r"\r\n|\n|\r")


class Kind(StrEnum):
    """What a node is, in the words shown to people. ``BROKEN`` was already reported."""

    MAPPING = "a block of keys"
    SEQUENCE = "a list"
    STRING = "text"
    INTEGER = "a whole number"
    DECIMAL = "a decimal number"
    BOOLEAN = "`true` or `false`"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class SourceNode:
    """One value and where it was written.

    Attributes:
        kind: what it is; decides which of the other fields are filled.
        span: first line of it; for a block of keys, its first key.
        value: text, number or truth value of a scalar, else None.
        raw: a plain scalar exactly as written, so that ``1.10`` is never taken for ``1.1``.
        entries: keys and values of a block, in file order, keys unique.
        items: values of a list.
        end_line: last line it reaches.
    """

    kind: Kind
    span: Span
    value: str | int | float | None = None
    raw: str = ""
    entries: tuple[tuple[SourceNode, SourceNode], ...] = ()
    items: tuple[SourceNode, ...] = ()
    end_line: int = 0

    def get(self, name: str) -> SourceNode | None:
        """Return the value under the key ``name``, or None."""
        return next((value for key, value in self.entries if key.value == name), None)

    @property
    def text(self) -> str:
        """The text of a text node, and an empty text for anything else."""
        return self.value if isinstance(self.value, str) else ""


@dataclass(frozen=True)
class Source:
    """The text of one file, able to turn offsets into spans and spans into diagnostics."""

    file: str
    text: str

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """Lines without their ends."""
        return tuple(_LINE.split(self.text))

    @cached_property
    def _starts(self) -> tuple[int, ...]:
        return (0, *(match.end() for match in _LINE.finditer(self.text)))

    def span(self, start: int, end: int) -> Span:
        """Return the span of ``text[start:end]``, cut at the end of its first line."""
        row = bisect_right(self._starts, min(start, len(self.text))) - 1
        first, width = self._starts[row], len(self.lines[row])
        column = min(start - first, max(width - 1, 0))
        length = max(1, min(end - first, width) - column)
        return Span(self.file, row + 1, column + 1, length)

    def find(self, node: SourceNode, words: str) -> Span:
        """Return the span of the first ``words`` inside a node, or the node's own span."""
        for row in range(node.span.line, max(node.end_line, node.span.line) + 1):
            line = self.lines[row - 1]
            at = line.find(words, node.span.column - 1 if row == node.span.line else 0)
            if at >= 0:
                return Span(self.file, row, at + 1, len(words))
        return node.span

    def error(self, code: str, span: Span, message: str, help_line: str | None = None) -> Diagnostic:
        """Return an error at ``span`` that carries its source line."""
        return Diagnostic(code, Level.ERROR, span, message, help_line, self.lines[span.line - 1])


def quoted(words: str, limit: int = 60) -> str:
    """Return the user's words in backticks, shortened to ``limit`` characters."""
    return f"`{words}`" if len(words) <= limit else f"`{words[: limit - 1]}…`"


def read(path: Path) -> bytes:
    """Return the bytes of a file, one more than ``MAX_BYTES`` at most.

    Raises:
        PolicyError: there is no such file, it is not a plain file, or it cannot be read.
    """
    try:
        if path.is_dir():
            raise PolicyError(f"`{path}` is a folder, not a file")
        if path.exists() and not path.is_file():
            raise PolicyError(f"`{path}` is not a plain file")
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise PolicyError(f"there is no file `{path}`") from None
    except PermissionError:
        raise PolicyError(f"`{path}` cannot be read", hint="check its permissions") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a usable name"
        raise PolicyError(f"{quoted(str(path))} cannot be read: {reason.lower()}") from None


def decode(data: bytes, file: str) -> tuple[str | None, list[Diagnostic]]:
    """Return the text of a file without its byte order mark, or what is wrong with it."""
    if len(data) > MAX_BYTES:
        return None, [too_large(file)]
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return None, [_unplaced(file, "the file is UTF-16", "save it as UTF-8")]
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        good = error.object[: error.start].decode("utf-8", "replace")  # error.object has no mark
        source = Source(file, good + "\ufffd")
        byte = error.object[error.start]
        span = source.span(len(good), len(good) + 1)
        return None, [
            source.error("P000", span, f"byte `0x{byte:02x}` is not UTF-8", "save the file as UTF-8")
        ]


def _unplaced(file: str, message: str, help_line: str) -> Diagnostic:
    return Diagnostic("P000", Level.ERROR, Span(file, 1, 1), message, help_line)


def too_large(file: str) -> Diagnostic:
    """Return the diagnostic for a file over ``MAX_BYTES``."""
    return _unplaced(file, f"the file is over {MAX_BYTES // 1024} KiB", "split it into several policies")
