"""Sections of a report → blocks of a document, for Markdown; words of items are masked and cut short.

Knows nothing about files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_judge.evals.document import Block, Bullets, Grid, Heading, Paragraph, plain
from llm_judge.evals.report_items import masked
from llm_judge.evals.report_parts import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llm_judge.evals.report_parts import Case, Section, Table, Value

_MOST_CHARACTERS = 160  # of an item's masked words
_ON_A_PAGE = frozenset({"plots"})


def as_blocks(title: str, found: Sequence[Section]) -> list[Block]:
    """Return a whole report but its plots, which Markdown cannot hold."""
    return [Heading(title, 1), *(block for section in found for block in _section(section))]


def _section(section: Section) -> Iterator[Block]:
    if section.id in _ON_A_PAGE:
        return
    yield Heading(section.title)
    for sentence in section.text:
        yield Paragraph(plain(sentence))
    if section.points:
        yield Bullets(tuple(plain(point) for point in section.points))
    for table in section.tables:
        yield Heading(table.caption, 3)
        yield _grid(table)
    for heading, cases in section.cases:
        yield Heading(heading, 3)
        yield (
            Bullets(tuple(plain(_case(case)) for case in cases)) if cases else Paragraph(plain("None found."))
        )


def _grid(table: Table) -> Grid:
    rows = tuple(tuple(_text(value) for value in row) for row in table.rows)
    numbers = {place for row in table.rows for place, value in enumerate(row) if not isinstance(value, str)}
    return Grid(table.header, rows, frozenset(numbers))


def _text(value: Value) -> str:
    number, small = shown(value)
    return f"{number} ({small})" if small else number


def _case(case: Case) -> str:
    if case.words is None:
        return f"{case.item}: {case.facts}"
    words = masked(" ".join(case.words.split()))
    return (
        f"{case.item}: {case.facts}: {words[:_MOST_CHARACTERS]}{'…' if len(words) > _MOST_CHARACTERS else ''}"
    )
