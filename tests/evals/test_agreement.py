"""Agreement: published examples, the packages' own values under weights, and nothing to agree on."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outcome_rows import AREA, answer, drawn, item, table

from llm_judge.evals.agreement import _alphas, _kappas, agreement, alpha, between_runs, with_labels
from llm_judge.evals.cells import CellKey
from llm_judge.evals.outcomes import Kind

np = pytest.importorskip("numpy")
sk = pytest.importorskip("sklearn.metrics")
krippendorff = pytest.importorskip("krippendorff")

OVERALL = CellKey(Kind.AREA, AREA)


def test_kappa_by_hand() -> None:
    """20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: observed .7, expected .5 · .6 + .5 · .4 = .5, κ = .4."""
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    found = agreement(first, second, range(50))
    assert (found.n, found.same, found.kappa.value) == (50, 35, pytest.approx(0.4))
    assert found.kappa.low < 0.4 < found.kappa.high


def test_alpha_of_krippendorffs_example_with_missing_ratings() -> None:
    """Three coders, fifteen units: .691 (Krippendorff 2011, the example with missing data)."""
    rows = [
        [*[None] * 5, "3", "4", "1", "2", "1", "1", "3", "3", None, "3"],
        ["1", None, "2", "1", "3", "3", "4", "3", *[None] * 7],
        [None, None, "2", "1", "3", "4", "4", None, "2", "1", "1", "3", "3", None, "4"],
    ]
    assert alpha(rows, range(15), draws=0).value == pytest.approx(0.691, abs=0.0005)


WORDS = st.sampled_from(["violates", "clear", "exempt"])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(WORDS, WORDS, st.integers(1, 3)), min_size=2, max_size=40))
def test_weighted_values_equal_the_packages(rows: list[tuple[str, str, int]]) -> None:
    first, second = [row[0] for row in rows], [row[1] for row in rows]
    words = sorted({*first, *second})
    if len(words) < 2:
        return
    weights = np.array([[row[2] for row in rows]], float)
    expected = sk.cohen_kappa_score(first, second, sample_weight=weights[0])
    assert _kappas(first, second, words)(weights)[0] == pytest.approx(expected)
    counts = np.array([[(row[0] == word) + (row[1] == word) for word in words] for row in rows])
    repeated = np.repeat(counts, weights[0].astype(int), axis=0)
    expected = krippendorff.alpha(value_counts=repeated, level_of_measurement="nominal")
    assert _alphas(counts.astype(float))(weights)[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ([], [], "no unit was rated twice"),
        (["yes"], [None], "no unit was rated twice"),
        (["yes"] * 3, ["yes"] * 3, "every rating is the same, so chance would agree too"),
    ],
)
def test_nothing_to_agree_on(first: list[str], second: list[str | None], reason: str) -> None:
    found = agreement(first, second, range(len(first)))
    assert (found.kappa.value, found.kappa.reason, found.alpha.reason) == (None, reason, reason)


def test_raters_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        agreement(["yes"], [], ["a"])
    with pytest.raises(ValueError, match="every rater needs one rating"):
        alpha([["yes", "no"], ["yes"]], ["a", "b"])


def test_two_runs_and_a_judge_with_its_labels() -> None:
    first = [item(n, answer(n < 2, p)) for n, p in enumerate([0.9, 0.1, 0.1, 0.5, None])]
    second = table((True, 0.9), (True, 0.5), (False, 0.1), (False, 0.5), (False, 0.1))
    runs, labels = between_runs(first, second)[OVERALL], with_labels(first)[OVERALL]
    assert (runs.n, runs.same) == (4, 3)  # the unreadable answer is none
    assert (labels.n, labels.same) == (3, 2)  # nor is the abstention here
    same = between_runs(drawn(60), drawn(60))[OVERALL]
    assert (same.kappa.value, same.kappa.reason) == (1.0, "no interval: all resamples are alike")
