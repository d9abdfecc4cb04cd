"""A sample of labelled items that has equally much of everything, the same for the same seed.

Items of one group (contrast pair, template, thread) are taken together as long as they fit. Ranks come from
digests, so a sample does not change when items of other groups are added to the same cells before it is cut.
Knows nothing about files or suites.
"""

from __future__ import annotations

import hashlib
import heapq
from typing import TYPE_CHECKING

from llm_judge.evals.suite import Balance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge.evals.outcomes import EvalItem

    Cell = tuple[str, ...]


def sample_items(
    items: Sequence[EvalItem], take: int, balance: Balance = Balance.ANSWERS, seed: int = 0
) -> list[EvalItem]:
    """Return at most ``take`` items, in their given order.

    Cells are filled in turn, the one with the fewest items so far first, so that small cells are taken whole
    and large ones share the rest. A group that holds a positive counts as one.

    Args:
        items: labelled items; ids are unique.
        take: how many; all where there are fewer.
        balance: what cells are made of: the answers with language and source, languages with the answers,
            or areas; ``prevalence`` makes one cell of all.
        seed: another seed gives another sample.
    """
    if take >= len(items):
        return list(items)
    cells = _cells(items, balance, seed)
    turns = [(0, cell) for cell in sorted(cells)]
    chosen: set[str] = set()
    left: list[list[EvalItem]] = []
    while turns and len(chosen) < take:
        count, cell = heapq.heappop(turns)
        group = cells[cell].pop()
        if len(group) <= take - len(chosen):
            chosen.update(item.id for item in group)
            count += len(group)
        else:
            left.append(group)
        if cells[cell]:
            heapq.heappush(turns, (count, cell))
    for group in left:  # no whole group fits any more: cut some
        chosen.update(item.id for item in group[: take - len(chosen)])
    return [item for item in items if item.id in chosen]


def _cells(items: Sequence[EvalItem], balance: Balance, seed: int) -> dict[Cell, list[list[EvalItem]]]:
    """Groups by cell, the first to be taken last."""
    groups: dict[tuple[str, str], list[EvalItem]] = {}
    for item in items:
        groups.setdefault((item.source, item.group), []).append(item)
    cells: dict[Cell, list[tuple[bytes, list[EvalItem]]]] = {}
    for (source, name), group in groups.items():
        rank = hashlib.sha256(f"{seed}\0{source}\0{name}".encode()).digest()
        cell = max(_cell(item, balance) for item in group)
        cells.setdefault(cell, []).append((rank, group))
    return {
        cell: [group for _, group in sorted(ranked, key=lambda each: each[0], reverse=True)]
        for cell, ranked in cells.items()
    }


def _cell(item: EvalItem, balance: Balance) -> Cell:
    applies = tuple(sorted(area for area, applies in item.areas.items() if applies))
    answer = "yes" if applies or item.harmful else "no"
    if balance is Balance.PREVALENCE:
        return ()
    if balance is Balance.AREAS:
        return (answer, *(applies if answer == "yes" else sorted(item.areas)))
    if balance is Balance.LANGUAGES:
        return (answer, item.lang)
    return (answer, item.lang, item.source)
