"""A report as headings, lists and tables, shown on a terminal, in Markdown or as one HTML page.

Everything shown may hold hostile content: it is escaped here, once for each format. Knows nothing about
what a report says.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.text import Text

from llm_judge.evals.fitted import FittedTable
from llm_judge.report import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

_MARKDOWN = re.compile(r"([\\`*_\[\]<>#|~&@])")


@dataclass(frozen=True, slots=True)
class Words:
    """A stretch of text; ``style`` is ``plain``, ``strong``, ``removed``, ``added`` or ``dim``."""

    text: str
    style: str = "plain"


Line = tuple[Words, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; 1 is the title of the report."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One paragraph."""

    line: Line


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list."""

    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table; columns whose number is in ``numbers`` are set to the right."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()


Block = Heading | Paragraph | Bullets | Grid


def plain(text: str) -> Line:
    """One stretch without a style."""
    return (Words(text),)


def to_rich(blocks: Sequence[Block]) -> list[RenderableType]:
    """What a Rich console prints."""
    found: list[RenderableType] = []
    for block in blocks:
        if isinstance(block, Heading):
            found.append(Text(("" if block.level == 1 else "\n") + printable(block.text), style="bold"))
        elif isinstance(block, Paragraph):
            found.append(_rich_line(block.line))
        elif isinstance(block, Bullets):
            found += [Padding(_rich_line(line), (0, 0, 0, 2), expand=False) for line in block.lines]
        else:
            found.append(_rich_grid(block))
    return found


def to_markdown(blocks: Sequence[Block]) -> str:
    """GitHub-flavoured Markdown, for a pull request."""
    found = []
    for block in blocks:
        if isinstance(block, Heading):
            found.append(f"{'#' * (block.level + 1)} {_md(block.text)}")
        elif isinstance(block, Paragraph):
            found.append(_md_line(block.line))
        elif isinstance(block, Bullets):
            found.append("\n".join(f"- {_md_line(line)}" for line in block.lines))
        else:
            rule = ["---:" if i in block.numbers else "---" for i in range(len(block.header))]
            rows = [[_md(cell) for cell in row] for row in (block.header, *block.rows)]
            found.append("\n".join(f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:])))
    return "\n\n".join(found) + "\n"


def to_html(title: str, blocks: Sequence[Block]) -> str:
    """One page that needs nothing else and runs no script."""
    body = "\n".join(_html_block(block) for block in blocks)
    return _PAGE.replace("TITLE", _html(title)).replace("BODY", body)


_RICH = {"strong": "bold", "removed": "red strike", "added": "green", "dim": "dim"}
_HTML = {"strong": "strong", "removed": "del", "added": "ins", "dim": "small"}


def _rich_line(line: Line) -> Text:
    text = Text()
    for words in line:
        shown = printable(words.text)
        if words.style in ("removed", "added"):  # also legible without colours, as `git diff --word-diff`
            shown = f"[-{shown}-]" if words.style == "removed" else f"{{+{shown}+}}"
        text.append(shown, style=_RICH.get(words.style))
    return text


def _rich_grid(grid: Grid) -> FittedTable:
    header, *rows = (tuple(printable(cell) for cell in row) for row in (grid.header, *grid.rows))
    return FittedTable(header, tuple(rows), grid.numbers)


def _md(text: str) -> str:
    """Text that no Markdown reader takes for markup, a link, a mention or a new row."""
    return _MARKDOWN.sub(lambda match: f"&#{ord(match[1])};", printable(text))


def _md_line(line: Line) -> str:
    marks = {"strong": "**", "removed": "~~", "added": "**", "dim": ""}
    parts = []
    for words in line:
        mark, inner = marks.get(words.style, ""), words.text.strip()
        if not inner or not mark:
            parts.append(_md(words.text))
            continue
        before, after = (
            words.text[: len(words.text) - len(words.text.lstrip())],
            words.text[len(words.text.rstrip()) :],
        )
        parts.append(f"{before}{mark}{_md(inner)}{mark}{after}")
    return "".join(parts)


def _html(text: str) -> str:
    return html.escape(printable(text))


def _html_line(line: Line) -> str:
    return "".join(
        f"<{tag}>{_html(words.text)}</{tag}>" if (tag := _HTML.get(words.style)) else _html(words.text)
        for words in line
    )


def _html_block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{_html(block.text)}</h{block.level}>"
    if isinstance(block, Paragraph):
        return f'<p dir="auto">{_html_line(block.line)}</p>'
    if isinstance(block, Bullets):
        return "<ul>" + "".join(f'<li dir="auto">{_html_line(line)}</li>' for line in block.lines) + "</ul>"
    head = "".join(f'<th scope="col">{_html(name)}</th>' for name in block.header)
    rows = "".join(
        "<tr>"
        + "".join(
            f'<td dir="auto"{" class=n" if number in block.numbers else ""}>{_html(cell)}</td>'
            for number, cell in enumerate(row)
        )
        + "</tr>\n"
        for row in block.rows
    )
    return f"<div><table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>"


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>TITLE</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2rem; } h3 { font-size: 1rem; }
div { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { text-align: start; vertical-align: top; padding: .3rem .8rem .3rem 0;
  border-bottom: 1px solid #8886; }
td.n { text-align: end; font-variant-numeric: tabular-nums; }
del { color: light-dark(#a00, #f88); } ins { color: light-dark(#060, #8d8); text-decoration: underline; }
</style>
</head>
<body>
BODY
</body>
</html>
"""
