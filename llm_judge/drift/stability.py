"""How far scores moved: the population stability index."""

from __future__ import annotations

import math
from collections.abc import Sequence

_SMOOTHING = 0.5  # items added to every bin, so that an empty one does not make the index infinite


def stability_index(before: Sequence[int], after: Sequence[int]) -> float | None:
    """Return the population stability index (PSI) of two sets of counts over the same bins.

    PSI = Σ (q − p) · ln(q / p) over the bins, with p and q the shares before and after: the symmetric
    divergence of Jeffreys (1946), under this name in Siddiqi, N. (2006), "Credit Risk Scorecards", Wiley. Its
    customary reading: under 0.1 stable, from 0.25 another population. Half an item is added to each bin that
    is not empty in both; bins that are empty in both say nothing.

    Args:
        before, after: items by bin.

    Returns:
        The index, 0 or more; None where one of them has no items.
    """
    if not sum(before) or not sum(after):
        return None
    pairs = [(b, a) for b, a in zip(before, after, strict=True) if b or a]
    n = sum(before) + _SMOOTHING * len(pairs)
    m = sum(after) + _SMOOTHING * len(pairs)
    shares = [((b + _SMOOTHING) / n, (a + _SMOOTHING) / m) for b, a in pairs]
    return sum((q - p) * math.log(q / p) for p, q in shares)


def bins_used(before: Sequence[int], after: Sequence[int]) -> int:
    """Return how many bins are not empty in both."""
    return sum(1 for b, a in zip(before, after, strict=True) if b or a)
