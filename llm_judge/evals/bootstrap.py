"""Percentile bootstrap that draws whole groups: items of one group rise and fall together.

Every draw takes as many groups as there are, with replacement, and is handed on as one weight an item
(how often its group was drawn). A statistic gets a block of draws at once, so that it can be computed
without a loop. Percentile ends are used, not BCa: BCa needs one more evaluation an item, and the coverage
test (tests/evals/test_bootstrap.py) finds the percentile ends where they should be.
Efron, B. and Tibshirani, R. (1993), "An Introduction to the Bootstrap", chapter 13; Davison, A. and
Hinkley, D. (1997), "Bootstrap Methods and their Application", section 3.8, for drawing groups.

Knows nothing about labels, judges or metrics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_judge.evals.estimate import Interval
from llm_judge.evals.statistics import CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    # Weights (draws × items) → one value a draw; NaN where a draw does not define it.
    Statistic = Callable[[Floats], Floats]
    # The same for several statistics that share their work; every name maps to one value a draw.
    Statistics = Callable[[Floats], Mapping[str, Floats]]

DRAWS = 1000
# Under this many groups the resamples are too alike, and the interval promises more than it keeps.
MIN_GROUPS = 10
# A statistic that this share of the draws leaves undefined has no honest interval.
_MOST_UNDEFINED = 0.05
# Weights held at once: a million doubles are 8 MB, and a metric holds a dozen arrays as large.
_BLOCK = 1_000_000


def interval(
    statistic: Statistic,
    groups: Sequence[Hashable] | NDArray[np.int64],
    *,
    draws: int = DRAWS,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Return the percentile interval of one statistic; see ``intervals``."""
    return intervals(
        lambda weights: {"": statistic(weights)}, groups, draws=draws, seed=seed, confidence=confidence
    )[""]


def intervals(
    statistics: Statistics,
    groups: Sequence[Hashable] | NDArray[np.int64],
    *,
    draws: int = DRAWS,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> dict[str, Interval]:
    """Return the percentile interval of every statistic, all from the same draws.

    Args:
        statistics: weights of shape (draws, items) → name → array of shape (draws,); it is also called
            once with weights of one, and for no items never.
        groups: the group of each item, shape (items,).
        draws: how many resamples.
        seed: of the draws; the same seed gives the same ends.
        confidence: nominal coverage, between 0 and 1.

    Raises:
        ValueError: ``draws`` is under 1, or ``confidence`` not between 0 and 1.
    """
    import numpy as np

    if draws < 1 or not 0 < confidence < 1:
        raise ValueError(f"{draws} draws at confidence {confidence}: at least 1, and between 0 and 1")
    if len(groups) == 0:
        return {}
    _, codes = np.unique(np.asarray(groups), return_inverse=True)
    count = int(codes.max()) + 1
    names = statistics(np.ones((1, len(codes)))).keys()
    if count < MIN_GROUPS:
        few = Interval(None, None, f"no interval: {_groups(count)}, {MIN_GROUPS} needed")
        return dict.fromkeys(names, few)
    found: dict[str, list[Floats]] = {name: [] for name in names}
    for weights in _weights(codes, count, draws, seed):
        for name, values in statistics(weights).items():
            found[name].append(values)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    return {name: _ends(np.concatenate(parts), tails) for name, parts in found.items()}


def _weights(codes: NDArray[np.int64], count: int, draws: int, seed: int) -> Iterator[Floats]:
    """Yield blocks of weights, shape (at most as many draws as fit, items)."""
    import numpy as np

    random = np.random.default_rng(seed)
    rows = max(1, _BLOCK // len(codes))
    for start in range(0, draws, rows):
        block = min(rows, draws - start)
        drawn = random.integers(count, size=(block, count))
        drawn += np.arange(block)[:, None] * count
        times = np.bincount(drawn.ravel(), minlength=block * count).reshape(block, count)
        yield times.astype(np.float64)[:, codes]


def _ends(values: Floats, tails: Sequence[float]) -> Interval:
    import numpy as np

    defined = values[~np.isnan(values)]
    if len(defined) < len(values) * (1 - _MOST_UNDEFINED):
        return Interval(None, None, "no interval: too many resamples leave it undefined")
    low, high = (float(end) for end in np.quantile(defined, tails))
    return Interval(low, high)


def _groups(count: int) -> str:
    return "1 group" if count == 1 else f"{count} groups"
