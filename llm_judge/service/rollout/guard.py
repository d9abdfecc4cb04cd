"""Takes the candidate out of the answers when it does worse than it may.

Looks at the last answers of each arm and the last comparisons; says nothing before there are enough of them.
Knows nothing about HTTP.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from llm_judge.content.content import Content
from llm_judge.errors import UsageError
from llm_judge.record import DecisionRecord
from llm_judge.service.arms import Arm, ArmsInForce
from llm_judge.service.judging import Decided
from llm_judge.service.orders import Order, Way
from llm_judge.service.problems import Code, Problem
from llm_judge.service.rollout.comparison import Comparison

_OF_REVISION = frozenset({Code.ENGINE_FAILED, Code.INTERNAL, Code.NOT_USABLE, Code.DEADLINE_PASSED})
_P95 = 0.95


@dataclass(frozen=True, slots=True)
class RollbackLimits:
    """What a candidate may do, at most; None does not look.

    Attributes:
        engine_errors: share of its items, 0..1, that it failed on or had no time for.
        undecided: share of its decisions that no rule could settle.
        undecided_over: the same, by how much it may be above that of the stable revision.
        p95_ms: 95th percentile of milliseconds an item.
        disagreement: share of compared contents on which the two want another action.
        minimum: items before anything is said.
        window: last items that are looked at.
    """

    engine_errors: float | None = 0.05
    undecided: float | None = None
    undecided_over: float | None = None
    p95_ms: float | None = None
    disagreement: float | None = None
    minimum: int = 100
    window: int = 1000


@dataclass(frozen=True, slots=True)
class _Seen:
    failed: bool
    undecided: bool
    ms: float


class Guard:
    """Watches answers and comparisons; used from the event loop and from the thread that compares.

    Args:
        arms: what is in force; its share is set to 0 when a limit is passed.
        limits: how much is too much.
        rolled_back: told which limit was passed, and how.
    """

    def __init__(
        self,
        arms: ArmsInForce,
        limits: RollbackLimits,
        rolled_back: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        self.limits = limits
        self._arms = arms
        self._rolled_back = rolled_back
        self._lock = threading.Lock()
        self.start_again()

    def start_again(self) -> None:
        """Forget what was seen: another revision came into force, or another share."""
        with self._lock:
            size = self.limits.window
            self._seen: dict[Arm, deque[_Seen]] = {arm: deque(maxlen=size) for arm in Arm}
            self._same: deque[bool] = deque(maxlen=size)

    def answered(self, way: Way, result: DecisionRecord | Problem, seconds: float) -> None:
        """Take note of what a revision made of an item; what is wrong with the item itself does not count."""
        if isinstance(result, Problem) and result.code not in _OF_REVISION:
            return
        failed = isinstance(result, Problem)
        undecided = isinstance(result, DecisionRecord) and (
            result.decision is None or result.decision.undecided
        )
        arms = self._arms.now
        if arms.revision(way.arm) is not way.revision:
            return  # it went out of force meanwhile
        with self._lock:
            self._seen[way.arm].append(_Seen(failed, undecided, seconds * 1000))
        self._look()

    def offer(self, order: Order, decided: Decided, content: Content) -> None:
        """Nothing: answers were noted already."""

    def compared(self, comparison: Comparison) -> None:
        """Take note of a comparison of the two revisions in force."""
        with self._lock:
            self._same.append(comparison.same)
        self._look()

    def _look(self) -> None:
        if not self._arms.now.share:
            return
        with self._lock:
            found = self._passed()
        if found is not None:
            limit, told = found
            self._arms.set_share(0.0, f"rolled back: {told}")
            self._rolled_back(limit, told)
            self.start_again()

    def _passed(self) -> tuple[str, str] | None:
        """The first limit that is passed, and in words."""
        limits = self.limits
        seen, stable = self._seen[Arm.CANDIDATE], self._seen[Arm.STABLE]
        decided = [each for each in seen if not each.failed]
        own = _share([each.undecided for each in decided])
        other = _share([each.undecided for each in stable if not each.failed])
        enough = limits.minimum
        rates = (
            ("engine_errors", limits.engine_errors, _share([each.failed for each in seen]), len(seen)),
            ("undecided", limits.undecided, own, len(decided)),
            ("undecided_over", limits.undecided_over, own - other, min(len(decided), len(stable))),
            ("disagreement", limits.disagreement, 1 - _share(self._same, 1.0), len(self._same)),
        )
        for name, limit, rate, n in rates:
            if limit is not None and n >= enough and rate > limit:
                return name, f"{name} {rate:.3f} over {limit:g} in the last {n}"
        if limits.p95_ms is not None and len(seen) >= enough:
            slow = percentile([each.ms for each in seen], _P95)
            if slow > limits.p95_ms:
                return "p95_ms", f"p95_ms {slow:.0f} over {limits.p95_ms:g} in the last {len(seen)}"
        return None


def read_limits(words: list[str] | None) -> RollbackLimits:
    """Return the limits that ``name=number`` change; ``name=off`` does not look.

    Raises:
        UsageError: there is no such limit, or it cannot have that value.
    """
    names = ("engine_errors", "undecided", "undecided_over", "p95_ms", "disagreement", "minimum", "window")
    changes: dict[str, float | int | None] = {}
    for word in words or ():
        name, _, value = word.partition("=")
        if name not in names:
            raise UsageError(f"unknown limit `{word}`", f"write name=number, of {', '.join(names)}")
        changes[name] = _number(name, value)
    limits = RollbackLimits(**changes)  # type: ignore[arg-type]  # by name
    if limits.minimum > limits.window:
        raise UsageError(f"minimum={limits.minimum} is over window={limits.window}", "make the window longer")
    return limits


def _number(name: str, value: str) -> float | int | None:
    whole = name in ("minimum", "window")
    if value == "off" and not whole:
        return None
    try:
        number = int(value) if whole else float(value)
    except ValueError:
        raise UsageError(f"`{name}={value}` is no number", f"write {name}=0.05, or {name}=off") from None
    most = 1_000_000.0 if whole or name == "p95_ms" else 1.0
    if not (math.isfinite(number) and (1 if whole else 0) <= number <= most):
        raise UsageError(f"`{name}={value}` is out of range", f"at most {most:g}")
    return number


def percentile(values: list[float], share: float) -> float:
    """Return the smallest value with at least this share of the values at or below it (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _share(values: list[bool] | deque[bool], nothing: float = 0.0) -> float:
    return sum(values) / len(values) if values else nothing
