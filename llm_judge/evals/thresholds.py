"""Scores and truth → the threshold that reaches a target precision or recall, with confidence.

A threshold reaches its target where the *lower* bound of the share does, at 95 % confidence (Clopper–Pearson,
on the effective number of items where groups are alike):

* recall falls as the threshold rises, so the highest one before the first miss of the target is taken, which
  keeps the confidence: Bates, S. et al. (2021), "Distribution-free, risk-controlling prediction sets",
  Journal of the ACM 68(6);
* precision need not rise, so a few thresholds are tried and each gets its part of the risk (Bonferroni):
  Angelopoulos, A. et al. (2021), "Learn then test", arXiv 2110.01052.

Knows nothing about items, rules or what a score is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_judge.calibration import Threshold
from llm_judge.errors import UsageError
from llm_judge.evals.scores import class_shortage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# With 29 violating items and all of them caught, the lower bound is .05^(1/29) = 0.902: fewer show no
# recall of 90 % whatever the judge does.
MIN_CLASS = 29
_RISK = 0.05
# Thresholds tried for a precision: the top 1/1.2, 1/1.2², … of the answers, down to one in 285.
_TRIED = 32
_STEP = 1.2
_MOST_RECALL_STEPS = 200
_NAME = re.compile(r"(precision|recall)_(\d{1,2})")


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Labelled answers: score 0..1, NaN where nothing can fire; truth; group. Shapes (n,)."""

    score: NDArray[np.float64]
    truth: NDArray[np.bool_]
    group: NDArray[np.int64]

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Rows with a score, shape (n,)."""
        import numpy as np

        return ~np.isnan(self.score)


def shortage(rows: Rows) -> str | None:
    """Return why there are too few rows to calibrate on, or None where there are enough."""
    truth = rows.truth[rows.scored]
    return class_shortage(int(truth.sum()), int((~truth).sum()), MIN_CLASS)


def threshold(rows: Rows, name: str) -> Threshold:
    """Return the threshold of a name such as ``precision_95``, or why there is none.

    Raises:
        UsageError: the name says no share.
    """
    measure, target = target_of(name)
    if short := shortage(rows):
        return Threshold(at=None, reason=short)
    return _for_precision(rows, target) if measure == "precision" else _for_recall(rows, target)


def lower_bound(right: NDArray[np.bool_], group: NDArray[np.int64], risk: float = _RISK) -> float:
    """Return the one-sided Clopper–Pearson lower bound of a share, 0..1, on the effective sample size.

    Where items of a group are alike, n items say as much as n divided by the design effect: the variance of
    the share over groups, over that of n independent items; where all items are alike, as much as there are
    groups. Korn, E. and Graubard, B. (1998), "Confidence intervals for proportions with small expected number
    of positive counts estimated from survey data", Survey Methodology 24, 193–201.

    Args:
        right: one truth value an item, shape (n,), n ≥ 1.
        group: of each item, shape (n,).
        risk: how often the bound may be above the real share.
    """
    import numpy as np
    from scipy.stats import beta

    n, share = len(right), float(right.mean())
    if share == 0.0:
        return 0.0
    _, codes = np.unique(group, return_inverse=True)
    groups = int(codes.max()) + 1
    if share == 1.0 or groups in (1, n):
        size = float(groups)
    else:
        apart = np.bincount(codes, right - share)
        over_groups = groups / (groups - 1) * float((apart**2).sum()) / n**2
        size = n / max(1.0, over_groups / (share * (1 - share) / n))
    return float(beta.ppf(risk, share * size, size - share * size + 1))


def target_of(name: str) -> tuple[str, float]:
    """Return ``precision`` or ``recall``, and the share, of a name such as ``precision_95``.

    Raises:
        UsageError: the name says no share.
    """
    match = _NAME.fullmatch(name)
    if match is None or match[2].startswith("0"):
        raise UsageError(f"`{name}` is no threshold", "write `precision_95` or `recall_90`, in percent")
    return match[1], int(match[2]) / 100


def _for_precision(rows: Rows, target: float) -> Threshold:
    import numpy as np

    scored = rows.scored
    score, truth, group = rows.score[scored], rows.truth[scored], rows.group[scored]
    descending = np.sort(score)[::-1]
    best = 0.0
    for step in range(_TRIED):  # from the lowest threshold up: the first that holds flags the most
        at = float(descending[max(1, round(len(score) / _STEP**step)) - 1])
        flagged = score >= at
        low = lower_bound(truth[flagged], group[flagged], _RISK / _TRIED)
        if low >= target:
            return Threshold(at=at, count=int(truth[flagged].sum()), total=int(flagged.sum()), low=low)
        best = max(best, low)
    return Threshold(at=None, reason=_missed("precision", target, best))


def _for_recall(rows: Rows, target: float) -> Threshold:
    import numpy as np

    score, group = rows.score[rows.truth], rows.group[rows.truth]
    levels = np.unique(score[~np.isnan(score)])
    steps = np.unique(np.linspace(0, len(levels) - 1, _MOST_RECALL_STEPS).round().astype(int))
    found: Threshold | None = None
    low = 0.0
    for at in levels[steps]:  # rising; NaN is never at or above
        caught = score >= at
        low = lower_bound(caught, group)
        if low < target:
            break
        found = Threshold(at=float(at), count=int(caught.sum()), total=len(score), low=low)
    return found or Threshold(at=None, reason=_missed("recall", target, low))


def _missed(measure: str, target: float, best: float) -> str:
    return f"no threshold shows a {measure} of {target:.2f}: the best lower bound is {best:.2f}"
