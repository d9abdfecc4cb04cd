"""How well a probability knows when it is wrong: risk against coverage, and the area under it.

A row is predicted to apply at probability ½ or above, and its confidence is that of the predicted side.
Covering the rows from the most confident down, risk is the share of wrong predictions so far; rows of equal
confidence are covered together. El-Yaniv, R. and Wiener, Y. (2010), "On the foundations of noise-free
selective classification", JMLR 11, 1605–1641; Geifman, Y. and El-Yaniv, R. (2017), "Selective classification
for deep neural networks", NeurIPS 30.

Knows nothing about thresholds of the judge, items or intervals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST_POINTS = 101  # a plot shows no more, and a report carries every point


@dataclass(frozen=True, slots=True)
class RiskPoint:
    """Coverage and risk, 0..1, when all rows of at least this confidence (½..1) are covered."""

    coverage: float
    risk: float
    confidence: float


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """Rows from the most to the least confident.

    Attributes:
        order: row numbers, shape (n,).
        wrong: whether the prediction is wrong, in that order, shape (n,).
        last: positions at which a stretch of equal confidence ends, shape (stretches,).
        confidence: of each stretch, shape (stretches,).
    """

    order: NDArray[np.int64]
    wrong: NDArray[np.bool_]
    last: NDArray[np.int64]
    confidence: NDArray[np.float64]


def ranked(truth: NDArray[np.bool_], probability: NDArray[np.float64]) -> Ranked:
    """Rank rows, shapes (n,), by the confidence of their prediction."""
    import numpy as np

    confidence = np.maximum(probability, 1 - probability)
    order = np.argsort(-confidence, kind="stable")
    last = ends(confidence[order])
    return Ranked(order, ((probability >= 0.5) != truth)[order], last, confidence[order][last])


def ends(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the positions at which stretches of equal values end, for sorted values."""
    import numpy as np

    return np.append(np.flatnonzero(np.diff(values)), len(values) - 1)[: len(values)]


def aurc(rank: Ranked, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area under the risk–coverage curve for every row of weights, shape (draws,).

    The mean over rows of the risk at the coverage that just takes the row in: 0 is best; a confidence that
    says nothing gives the error rate.

    Args:
        rank: n rows.
        weights: shape (draws, n), in the order before ranking; a draw of weight zero gives NaN.
    """
    import numpy as np

    taken = weights[:, rank.order]
    covered = np.cumsum(taken, axis=1)[:, rank.last]
    wrong = np.cumsum(taken * rank.wrong, axis=1)[:, rank.last]
    steps = np.diff(covered, axis=1, prepend=0.0)
    risk = np.divide(wrong, covered, out=np.zeros_like(wrong), where=covered > 0)
    with np.errstate(invalid="ignore"):
        area: NDArray[np.float64] = (steps * risk).sum(axis=1) / covered[:, -1]
    return area


def risk_coverage(truth: NDArray[np.bool_], probability: NDArray[np.float64]) -> tuple[RiskPoint, ...]:
    """Return the curve by growing coverage, thinned to about a hundred points; empty for no rows."""
    import numpy as np

    if len(truth) == 0:
        return ()
    rank = ranked(truth, probability)
    wrong = np.cumsum(rank.wrong)
    shown = np.unique(np.linspace(0, len(rank.last) - 1, _MOST_POINTS).round().astype(int))
    return tuple(
        RiskPoint(float((last + 1) / len(truth)), float(wrong[last] / (last + 1)), float(confidence))
        for last, confidence in zip(rank.last[shown], rank.confidence[shown], strict=True)
    )
