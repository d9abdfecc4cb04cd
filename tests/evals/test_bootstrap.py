"""Intervals: they cover as often as they say, hold groups together, and are not made up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llm_judge.evals.bootstrap import MIN_GROUPS, interval, intervals
from llm_judge.evals.cells import Sample
from llm_judge.evals.resampled import ratio, resampled

np = pytest.importorskip("numpy")

if TYPE_CHECKING:
    from numpy.typing import NDArray


def mean_of(values: NDArray[np.float64]) -> object:
    return lambda weights: ratio(weights @ values, weights.sum(axis=1))


def scored(truth: object, probability: object, groups: object) -> Sample:
    flags, numbers = np.zeros(len(truth), bool), np.ones(len(truth))
    return Sample(
        truth, probability, flags, flags, flags, numbers, groups, numbers, numbers, numbers, unknown=0
    )


def test_nominal_95_percent_covers_93_to_97_percent_of_clustered_recalls() -> None:
    """500 sets of 120 groups of 1 to 6 violating items; a group's own recall is Beta(4, 2), so items of a
    group resemble each other. Truth: groups count by their size, which says nothing about recall: ⅔."""
    random = np.random.default_rng(7)
    covered = 0
    for draw in range(500):
        sizes = random.integers(1, 7, size=120)
        groups = np.repeat(np.arange(120), sizes)
        found = (random.random(len(groups)) < np.repeat(random.beta(4, 2, 120), sizes)).astype(float)
        ends = interval(mean_of(found), groups, draws=400, seed=draw)
        covered += ends.low <= 2 / 3 <= ends.high
    assert 0.93 <= covered / 500 <= 0.97


def test_nominal_95_percent_covers_93_to_97_percent_of_clustered_aurocs() -> None:
    """500 sets of 80 pairs, one item of each class with a common effect N(0, ½) on scores N(0 or 1, ½).
    The scores of two items differ by N(1, 2), so truth: Φ(1/√2) = 0.76025."""
    random = np.random.default_rng(11)
    truth, groups = np.tile([True, False], 80), np.repeat(np.arange(80), 2)
    covered = 0
    for draw in range(500):
        score = truth + random.normal(0, 0.5**0.5, 160) + np.repeat(random.normal(0, 0.5**0.5, 80), 2)
        ends = intervals(resampled(scored(truth, score, groups)), groups, draws=200, seed=draw)["auroc"]
        covered += ends.low <= 0.76025 <= ends.high
    assert 0.93 <= covered / 500 <= 0.97


def test_items_of_a_group_are_drawn_together() -> None:
    """Groups of ten equal items say no more than one item each."""
    values = np.tile([0.0, 1.0], 20)
    single = interval(mean_of(values), np.arange(40))
    repeated = interval(mean_of(np.repeat(values, 10)), np.repeat(np.arange(40), 10))
    as_if_independent = interval(mean_of(np.repeat(values, 10)), np.arange(400))
    assert (repeated.low, repeated.high) == (single.low, single.high)
    assert as_if_independent.high - as_if_independent.low < (single.high - single.low) / 2


def test_the_seed_decides_the_ends() -> None:
    values = np.linspace(0, 1, 30)
    first, again, other = (interval(mean_of(values), list(range(30)), seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_several_statistics_share_the_draws() -> None:
    values = np.linspace(0, 1, 30)
    both = intervals(lambda w: {"mean": mean_of(values)(w), "doubled": 2 * mean_of(values)(w)}, np.arange(30))
    assert both["doubled"].low == pytest.approx(2 * both["mean"].low)
    assert both["mean"] == interval(mean_of(values), np.arange(30))


def test_no_interval_from_few_groups_or_undefined_draws() -> None:
    few = interval(mean_of(np.ones(50)), ["a"] * 25 + ["b"] * 25)
    assert (few.low, few.reason) == (None, f"no interval: 2 groups, {MIN_GROUPS} needed")
    half = interval(lambda weights: np.where(weights[:, 0] > 0, 1.0, np.nan), np.arange(30))
    assert (half.high, half.reason) == (None, "no interval: too many resamples leave it undefined")
    assert intervals(lambda weights: {"mean": weights[:, 0]}, []) == {}


@pytest.mark.parametrize("wrong", [{"draws": 0}, {"confidence": 1.0}, {"confidence": 0.0}])
def test_a_bootstrap_without_draws_or_confidence_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="draws at confidence"):
        interval(mean_of(np.ones(20)), np.arange(20), **wrong)
