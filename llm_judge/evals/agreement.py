"""How far two or more raters agree beyond chance: Cohen's kappa and Krippendorff's alpha, with intervals.

Raters are runs, or a judge and the labels. Values come from scikit-learn and the ``krippendorff`` package;
the intervals need both under many weights at once, which neither offers, so they are computed from weighted
counts here, and the tests hold these equal to the packages. Cohen, J. (1960), "A coefficient of agreement for
nominal scales", Educational and Psychological Measurement 20, 37–46; Krippendorff, K. (2011), "Computing
Krippendorff's alpha-reliability".

Knows nothing about metrics of the judge or what a rating means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_judge.evals.bootstrap import DRAWS, interval
from llm_judge.evals.cells import CellKey
from llm_judge.evals.estimate import Estimate
from llm_judge.evals.resampled import ratio
from llm_judge.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from llm_judge.evals.bootstrap import Statistic
    from llm_judge.evals.outcomes import ItemOutcome

Rating = str | None  # None: not rated


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of two raters.

    Attributes:
        n: units that both rated.
        same: of these rated alike.
        kappa, alpha: 1 is full agreement, 0 what chance gives.
    """

    n: int
    same: int
    kappa: Estimate
    alpha: Estimate

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        numbers = {"n": self.n, "same": self.same}
        return {**numbers, "kappa": self.kappa.as_json(), "alpha": self.alpha.as_json()}


def agreement(
    first: Sequence[Rating],
    second: Sequence[Rating],
    groups: Sequence[Hashable],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Agreement:
    """Return the agreement of two raters on the units that both rated.

    Raises:
        ValueError: the three sequences differ in length.
    """
    both = [
        (one, other, group)
        for one, other, group in zip(first, second, groups, strict=True)
        if one is not None and other is not None
    ]
    ones, others = [one for one, _, _ in both], [other for _, other, _ in both]
    same = sum(one == other for one, other in zip(ones, others, strict=True))
    kept = [group for _, _, group in both]
    kappa = _kappa(ones, others, kept, draws, seed)
    return Agreement(len(both), same, kappa, alpha([ones, others], kept, draws=draws, seed=seed))


def alpha(
    ratings: Sequence[Sequence[Rating]], groups: Sequence[Hashable], *, draws: int = DRAWS, seed: int = 0
) -> Estimate:
    """Return Krippendorff's alpha for nominal ratings, with its interval.

    Args:
        ratings: raters × units.
        groups: of the units; units of one group are drawn together.
        draws, seed: of the bootstrap; 0 draws for no interval.

    Raises:
        ValueError: a rater has more or fewer units than there are groups.
    """
    import numpy as np

    words = sorted({word for row in ratings for word in row if word is not None})
    if any(len(row) != len(groups) for row in ratings):
        raise ValueError("every rater needs one rating, or None, for every unit")
    counts = np.array(
        [[sum(row[unit] == word for row in ratings) for word in words] for unit in range(len(groups))]
    ).reshape(len(groups), len(words))
    paired = counts.sum(axis=1) >= 2
    if why := _undefined(int(paired.sum()), int((counts[paired].sum(axis=0) > 0).sum())):
        return Estimate.missing(why)
    from krippendorff import alpha as krippendorff_alpha

    value = float(krippendorff_alpha(value_counts=counts, level_of_measurement="nominal"))
    kept = [group for group, pair in zip(groups, paired, strict=True) if pair]
    return _with_interval(value, _alphas(counts[paired].astype(float)), kept, draws, seed)


def between_runs(
    first: Sequence[ItemOutcome], second: Sequence[ItemOutcome], *, draws: int = DRAWS, seed: int = 0
) -> dict[CellKey, Agreement]:
    """Return the agreement of two runs on the outcome words of each question, all slices together.

    ``abstain`` is a rating of its own, ``unreadable`` none. Groups are those of the first run.
    """
    theirs = {
        (outcome.item, answer.kind, answer.key): answer.outcome
        for outcome in second
        for answer in outcome.answers
    }
    rows: dict[CellKey, list[tuple[Rating, Rating, str]]] = {}
    for outcome in first:
        for answer in outcome.answers:
            other = theirs.get((outcome.item, answer.kind, answer.key))
            row = (_readable(answer.outcome), _readable(other), outcome.group)
            rows.setdefault(CellKey(answer.kind, answer.key), []).append(row)
    return _each(rows, draws, seed)


def with_labels(
    outcomes: Sequence[ItemOutcome], *, draws: int = DRAWS, seed: int = 0
) -> dict[CellKey, Agreement]:
    """Return the agreement of judge and labels on whether each question applies, over decided answers."""
    rows: dict[CellKey, list[tuple[Rating, Rating, str]]] = {}
    for outcome in outcomes:
        for answer in outcome.answers:
            undecided = answer.outcome in (Outcome.ABSTAIN, Outcome.UNREADABLE)
            judged = None if undecided else str(answer.outcome == Outcome.VIOLATES)
            truth = None if answer.truth is None else str(answer.truth)
            rows.setdefault(CellKey(answer.kind, answer.key), []).append((judged, truth, outcome.group))
    return _each(rows, draws, seed)


def _each(
    rows: dict[CellKey, list[tuple[Rating, Rating, str]]], draws: int, seed: int
) -> dict[CellKey, Agreement]:
    return {
        at: agreement(
            [one for one, _, _ in found],
            [other for _, other, _ in found],
            [group for _, _, group in found],
            draws=draws,
            seed=seed,
        )
        for at, found in rows.items()
    }


def _readable(word: str | None) -> Rating:
    return None if word == Outcome.UNREADABLE else word


def _undefined(units: int, words: int) -> str | None:
    if units == 0:
        return "no unit was rated twice"
    return "every rating is the same, so chance would agree too" if words < 2 else None


def _kappa(
    first: Sequence[str], second: Sequence[str], groups: Sequence[Hashable], draws: int, seed: int
) -> Estimate:
    words = sorted({*first, *second})
    if why := _undefined(len(first), len(words)):
        return Estimate.missing(why)
    from sklearn.metrics import cohen_kappa_score

    value = float(cohen_kappa_score(first, second))
    return _with_interval(value, _kappas(first, second, words), groups, draws, seed)


def _with_interval(
    value: float, statistic: Statistic, groups: Sequence[Hashable], draws: int, seed: int
) -> Estimate:
    if not draws:
        return Estimate(value, reason="no interval")
    found = interval(statistic, groups, draws=draws, seed=seed)
    if found.low is not None and found.low == found.high:
        return Estimate(value, reason="no interval: all resamples are alike")
    return Estimate.of(value, found)


def _kappas(first: Sequence[str], second: Sequence[str], words: Sequence[str]) -> Statistic:
    """κ = (observed − expected) / (1 − expected) from shares of the first's and the second's words."""
    import numpy as np

    one, other = (
        np.array([[r == word for word in words] for r in rater], float) for rater in (first, second)
    )
    same = (one * other).sum(axis=1)

    def values(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        total = weights.sum(axis=1)
        observed = ratio(weights @ same, total)
        expected = ratio(((weights @ one) * (weights @ other)).sum(axis=1), total**2)
        return ratio(observed - expected, 1 - expected)

    return values


def _alphas(counts: NDArray[np.float64]) -> Statistic:
    """α = 1 − observed / expected disagreement, units × words counts, two ratings or more a unit.

    A unit of m ratings, c of them one word, holds Σ c (m − c) / (m − 1) disagreeing pairs.
    """
    ratings = counts.sum(axis=1)
    disagreeing = (counts * (ratings[:, None] - counts)).sum(axis=1) / (ratings - 1)

    def values(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        totals = weights @ counts
        pairable = totals.sum(axis=1)
        observed = ratio(weights @ disagreeing, pairable)
        expected = ratio(pairable**2 - (totals**2).sum(axis=1), pairable * (pairable - 1))
        return 1 - ratio(observed, expected)

    return values
