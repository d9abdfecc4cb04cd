"""One check of a gate: the figure, the limit, and what it means that it is missed.

Knows nothing about how figures come about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Check:
    """One demand, held against one figure.

    Attributes:
        name: one word or two, the same in every report.
        asks: what is checked, for people.
        figure: what was found, as text.
        limit: what is wanted, as text.
        passed: whether it is reached.
        value: the figure as a number, where it is one.
        why: what it means where it is missed, in one line.
        hint: what to do about it.
    """

    name: str
    asks: str
    figure: str
    limit: str
    passed: bool
    value: float | None = None
    why: str = ""
    hint: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain data; the reason only where it is missed."""
        missed = {} if self.passed else {"why": self.why, "hint": self.hint}
        found = {"name": self.name, "passed": self.passed, "figure": self.figure, "limit": self.limit}
        return {**found, "value": self.value, **missed}


def all_passed(checks: Sequence[Check]) -> bool:
    """Whether there are checks and every one is passed."""
    return bool(checks) and all(check.passed for check in checks)
