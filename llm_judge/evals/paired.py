"""Items answered twice, before and after a change → how many flip, and whether for the better.

Knows nothing about policies or how the answers came about.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from llm_judge.evals.statistics import Share, mcnemar_exact, share


@dataclass(slots=True)
class PairTally:
    """Counts over items answered twice: of one rule, one language or all.

    Attributes:
        items, flips: judged, and of these flipped.
        how: ``exempt → violates`` → how often.
        expected: items with an expected answer; the rest counts these only.
        broken, mended: right before only; right after only.
    """

    items: int = 0
    flips: int = 0
    how: Counter[str] = field(default_factory=Counter)
    expected: int = 0
    right_before: int = 0
    right_after: int = 0
    broken: int = 0
    mended: int = 0

    @property
    def share(self) -> Share:
        """Flips among items."""
        return share(self.flips, self.items)

    @property
    def p(self) -> float | None:
        """McNemar's exact test, None where no pair disagrees."""
        return mcnemar_exact(self.broken, self.mended)

    def add(self, flip: tuple[str, str] | None) -> None:
        """Count one item, with what it was and became where it flips."""
        self.items += 1
        if flip is not None:
            self.flips += 1
            self.how[f"{flip[0]} → {flip[1]}"] += 1

    def compare(self, right_before: bool | None, right_after: bool | None) -> None:
        """Count whether one item is right, where that is known."""
        if right_before is None or right_after is None:
            return
        self.expected += 1
        self.right_before += right_before
        self.right_after += right_after
        self.broken += right_before and not right_after
        self.mended += right_after and not right_before

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "items": self.items,
            "flips": self.share.as_json(),
            "how": dict(self.how.most_common()),
            "expected": self.expected,
            "right_before": self.right_before,
            "right_after": self.right_after,
            "broken": self.broken,
            "mended": self.mended,
            "mcnemar_p": self.p,
        }
