"""Thresholds: the bound by hand, and a promise that is kept on what was not seen."""

from __future__ import annotations

import pytest

from llm_judge.errors import UsageError
from llm_judge.evals.thresholds import MIN_CLASS, Rows, lower_bound, threshold

np = pytest.importorskip("numpy")
pytest.importorskip("scipy")


def test_the_bound_by_hand() -> None:
    """All of n: .05^(1/n). None: 0. 9 of 10: 0.6058, as in tables of Clopper and Pearson."""
    assert lower_bound(np.ones(29, bool), np.arange(29)) == pytest.approx(0.05 ** (1 / 29))
    assert lower_bound(np.zeros(5, bool), np.arange(5)) == 0.0
    assert lower_bound(np.arange(10) > 0, np.arange(10)) == pytest.approx(0.6058, abs=1e-4)


def test_items_that_are_alike_count_as_their_group() -> None:
    """Ten groups of twenty equal items: as 9 of 10 single ones, but for G / (G − 1)."""
    right, groups = np.repeat(np.arange(10) > 0, 20), np.repeat(np.arange(10), 20)
    assert 0.55 < lower_bound(right, groups) <= 0.6058
    assert lower_bound(np.ones(200, bool), groups) == pytest.approx(0.05 ** (1 / 10))
    assert lower_bound(np.ones(200, bool), np.zeros(200, int)) == pytest.approx(0.05)


def steep(count: int, seed: int) -> Rows:
    """Scores uniform in 0..1; it applies with probability 1 / (1 + exp(−12 (score − ½)))."""
    random = np.random.default_rng(seed)
    score = random.random(count)
    return Rows(score, random.random(count) < 1 / (1 + np.exp(-12 * (score - 0.5))), np.arange(count))


@pytest.mark.parametrize("name", ["precision_90", "recall_90"])
def test_the_promise_is_kept_at_the_confidence(name: str) -> None:
    """Of 100 dev sets at most a tenth (5 % nominal) may choose a threshold that breaks the target."""
    grid = np.linspace(0, 1, 10_001)
    true = 1 / (1 + np.exp(-12 * (grid - 0.5)))
    broken = 0
    for seed in range(100):
        found = threshold(steep(800, seed), name)
        assert found.at is not None, found.reason
        above = grid >= found.at
        real = true[above].mean() if name == "precision_90" else true[above].sum() / true.sum()
        broken += real < 0.9
    assert broken <= 10


def test_what_it_reached_is_counted() -> None:
    rows = steep(800, 1)
    found = threshold(rows, "precision_90")
    flagged = rows.score >= found.at
    assert (found.count, found.total) == (rows.truth[flagged].sum(), flagged.sum())
    assert 0.9 <= found.low < found.count / found.total
    assert threshold(rows, "precision_95").at >= found.at
    assert threshold(rows, "recall_95").at <= threshold(rows, "recall_90").at


def test_an_answer_that_cannot_fire_is_a_miss() -> None:
    """100 violating items, 20 of them unread: no threshold catches more than 80 %."""
    score = np.concatenate([np.full(20, np.nan), np.full(80, 0.9), np.full(100, 0.1)])
    rows = Rows(score, np.arange(200) < 100, np.arange(200))
    assert threshold(rows, "recall_90").reason == (
        "no threshold shows a recall of 0.90: the best lower bound is 0.72"
    )
    assert threshold(rows, "recall_70").at == 0.9
    assert (threshold(rows, "precision_90").at, threshold(rows, "precision_90").total) == (0.9, 80)


def test_chance_reaches_no_precision() -> None:
    random = np.random.default_rng(3)
    rows = Rows(random.random(500), random.random(500) < 0.5, np.arange(500))
    found = threshold(rows, "precision_90")
    assert found.at is None
    assert found.reason.startswith("no threshold shows a precision of 0.90: the best lower bound is 0.4")


@pytest.mark.parametrize("positives", [0, MIN_CLASS - 1])
def test_too_few_rows_give_no_threshold(positives: int) -> None:
    rows = Rows(np.linspace(0, 1, 100), np.arange(100) < positives, np.arange(100))
    reason = f"{positives} positives with a probability, {MIN_CLASS} needed"
    assert (threshold(rows, "recall_90").at, threshold(rows, "recall_90").reason) == (None, reason)


@pytest.mark.parametrize("name", ["precision", "recall_00", "recall_100", "calibrated.recall_90", "f1_90"])
def test_a_name_that_says_no_share_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="is no threshold"):
        threshold(steep(100, 1), name)
