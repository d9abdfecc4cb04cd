"""One record → one byte a rule: whether it fired, whether it could be told, and where its score lies.

So a window of thousands of decisions is small, and what leaves it is taken off the counts again. Knows
nothing about references.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from llm_judge.verdict import Outcome

# Scores crowd at both ends, so equal widths would put nearly all of them into one bin.
EDGES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.25, 0.4, 0.6, 0.75, 0.9)
BINS = ("unreadable", "not asked", *(f"up to {edge:g}" for edge in EDGES), f"over {EDGES[-1]:g}")
_OTHER, _FLAGGED, _ABSTAINED = range(3)
_ABSENT = 255
_ABSTAINING = (Outcome.ABSTAIN, Outcome.UNREADABLE)
Seen = tuple[str, Outcome, float | None, bool]


@dataclass(frozen=True, slots=True)
class RuleCounts:
    """What one rule said over a window.

    Attributes:
        flagged: items on which it fired.
        abstained: items on which it could not be told, or not be read.
        scores: items by bin of the score, in the order of ``BINS``; together they are all items.
    """

    flagged: int
    abstained: int
    scores: tuple[int, ...]

    @property
    def items(self) -> int:
        """Items that it applied to."""
        return sum(self.scores)


class Window:
    """Counts over the last records.

    Args:
        rules: that are counted; others are left out.
        size: most records; None keeps all of them, and nothing leaves.
    """

    def __init__(self, rules: Iterable[str], size: int | None = None) -> None:
        self.rules = tuple(rules)
        self._place = {rule: place for place, rule in enumerate(self.rules)}
        self._size = size
        self._kept: deque[bytes] = deque()
        self._totals = [[0] * (3 * len(BINS)) for _ in self.rules]
        self.records = 0

    def add(self, seen: Iterable[Seen]) -> None:
        """Count one record.

        Args:
            seen: rule, outcome, probability and whether it was asked, of each verdict.
        """
        line = bytearray([_ABSENT]) * len(self.rules)
        for rule, outcome, probability, asked in seen:
            place = self._place.get(rule)
            if place is not None:
                line[place] = _code(outcome, probability, asked)
        self._count(line, 1)
        if self._size is None:
            return
        self._kept.append(bytes(line))
        if len(self._kept) > self._size:
            self._count(self._kept.popleft(), -1)

    def counts(self) -> Mapping[str, RuleCounts]:
        """Return what each rule said; those that applied to nothing are left out."""
        found = {}
        for rule, totals in zip(self.rules, self._totals, strict=True):
            if any(totals):
                scores = tuple(sum(totals[start : start + 3]) for start in range(0, len(totals), 3))
                found[rule] = RuleCounts(sum(totals[_FLAGGED::3]), sum(totals[_ABSTAINED::3]), scores)
        return found

    def _count(self, line: Sequence[int], by: int) -> None:
        self.records += by
        for totals, code in zip(self._totals, line, strict=True):
            if code != _ABSENT:
                totals[code] += by


def _code(outcome: Outcome, probability: float | None, asked: bool) -> int:
    said = _FLAGGED if outcome is Outcome.VIOLATES else _ABSTAINED if outcome in _ABSTAINING else _OTHER
    if probability is None:
        place = 0
    elif not asked:
        place = 1  # its probability is the area's
    else:
        place = 2 + bisect_right(EDGES, probability)
    return 3 * place + said
