"""Truth and probability → AUROC, AUPRC, recall at a false positive rate, Brier, calibration error.

Thin over scikit-learn, which has all but the calibration error. Knows nothing about items, slices,
decisions or intervals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Below this many of either class a ranking is decided by single items: with 9 positives one of them moves
# the recall by 11 points, and an interval would span most of the scale.
MIN_CLASS = 10
BINS = 10
# The rates of false positives at which recall is asked for.
FALSE_POSITIVE_RATES = {"recall_at_1_fpr": 0.01, "recall_at_5_fpr": 0.05}


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Rows of similar probability: what was said and what was true.

    Attributes:
        low, high: smallest and largest probability in it.
        count: rows in it.
        said: mean probability.
        true: share of rows where it applies.
    """

    low: float
    high: float
    count: int
    said: float
    true: float


def class_shortage(positives: int, negatives: int, least: int = MIN_CLASS) -> str | None:
    """Return why there are too few rows of a class to rank them, or None where there are enough."""
    for count, name in ((positives, "positive"), (negatives, "negative")):
        if count < least:
            return f"{count} {name}{'' if count == 1 else 's'} with a probability, {least} needed"
    return None


def fewest_negatives(rate: float) -> int:
    """How many negatives it takes for one false positive to be within the rate: 100 for 1 %."""
    return max(MIN_CLASS, round(1 / rate))


def auroc(truth: NDArray[np.bool_], probability: NDArray[np.float64]) -> float:
    """Area under the receiver operating characteristic; shapes (n,), both classes present."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, probability))


def auprc(truth: NDArray[np.bool_], probability: NDArray[np.float64]) -> float:
    """Average precision: precision summed over steps of recall, no interpolation; a positive present."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(truth, probability))


def recall_at(rate: float, truth: NDArray[np.bool_], probability: NDArray[np.float64]) -> float:
    """Highest recall of any threshold with at most this false positive rate; both classes present."""
    from sklearn.metrics import roc_curve

    false_positive_rate, recall, _ = roc_curve(truth, probability, drop_intermediate=False)
    return float(recall[false_positive_rate <= rate].max())


def brier(truth: NDArray[np.bool_], probability: NDArray[np.float64]) -> float:
    """Mean squared distance of probability and truth; 0 is best. Shapes (n,), n ≥ 1."""
    from sklearn.metrics import brier_score_loss

    return float(brier_score_loss(truth, probability, labels=[False, True]))


def reliability(truth: NDArray[np.bool_], probability: NDArray[np.float64]) -> tuple[ReliabilityBin, ...]:
    """Return up to ``BINS`` bins of equal mass by growing probability; none for no rows.

    Edges are the quantiles of the probabilities, as in scikit-learn's ``calibration_curve`` with
    ``strategy="quantile"``, which leaves out how many rows a bin has. Equal probabilities share a bin, so
    bins are uneven, or fewer, where many rows have the same one.
    """
    import numpy as np

    if len(truth) == 0:
        return ()
    edges = np.quantile(probability, np.linspace(0, 1, BINS + 1))
    bins = np.searchsorted(edges[1:-1], probability)
    return tuple(
        ReliabilityBin(
            float(probability[rows].min()),
            float(probability[rows].max()),
            int(rows.sum()),
            float(probability[rows].mean()),
            float(truth[rows].mean()),
        )
        for rows in (bins == number for number in range(BINS))
        if rows.any()
    )


def calibration_error(bins: tuple[ReliabilityBin, ...]) -> float:
    """Expected calibration error: mean over rows of |said − true| of their bin; at least one bin.

    Naeini, M., Cooper, G. and Hauskrecht, M. (2015), "Obtaining well calibrated probabilities using Bayesian
    binning", AAAI 29; bins of equal mass as in Nixon, J. et al. (2019), "Measuring calibration in deep
    learning", CVPR workshops.
    """
    total = sum(each.count for each in bins)
    return sum(each.count * abs(each.said - each.true) for each in bins) / total
