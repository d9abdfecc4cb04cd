"""Metrics against tables worked out by hand and against scikit-learn, and cells with nothing to say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outcome_rows import AREA, answer, drawn, item, table

from llm_judge.errors import UsageError
from llm_judge.evals.cells import CellKey, Dimension, samples
from llm_judge.evals.estimate import Estimate
from llm_judge.evals.metrics import Cell, measure, totals
from llm_judge.evals.outcomes import Kind
from llm_judge.evals.point_values import METRICS, point_values
from llm_judge.evals.resampled import resampled

np = pytest.importorskip("numpy")
sk = pytest.importorskip("sklearn.metrics")

if TYPE_CHECKING:
    from llm_judge.evals.cells import Sample
    from llm_judge.evals.outcomes import ItemOutcome

OVERALL = CellKey(Kind.AREA, AREA)


def overall(outcomes: list[ItemOutcome], draws: int = 0) -> Cell:
    (cell,) = measure(outcomes, [Dimension.OVERALL], draws=draws)
    return cell


def sample_of(outcomes: list[ItemOutcome]) -> Sample:
    return samples(outcomes, [Dimension.OVERALL])[OVERALL]


def value(cell: Cell, name: str) -> float | None:
    return cell.metrics[name].value


def test_decisions_by_hand() -> None:
    """3 positives caught, 1 cleared, 1 abstained, 1 unreadable; 2 false alarms, 3 clear, 1 abstained."""
    caught, cleared = [(True, 0.9)] * 3, [(True, 0.1)]
    unsure = [(True, 0.5), (True, None), (False, 0.5)]
    negatives = [(False, 0.8)] * 2 + [(False, 0.2)] * 3
    cell = overall(table(*caught, *cleared, *unsure, *negatives, (None, 0.9)))
    counts = cell.counts
    assert (counts.n, counts.positives, counts.negatives, counts.unknown) == (12, 6, 6, 1)
    assert (counts.flagged, counts.abstained, counts.unreadable, counts.scored) == (5, 2, 1, 11)
    by_hand = {
        "precision": 3 / 5,
        "recall": 3 / 6,
        "recall_decided": 3 / 4,
        "f1": 2 * 0.6 * 0.5 / 1.1,
        "f1_decided": 2 * 0.6 * 0.75 / 1.35,
        "false_positive_rate": 2 / 6,
        "abstain_rate": 2 / 12,
        "unreadable_rate": 1 / 12,
        "label_mass": 1.0,
    }
    assert {name: value(cell, name) for name in by_hand} == pytest.approx(by_hand)


def test_an_exempt_answer_is_decided_and_not_flagged() -> None:
    cell = overall([item(1, answer(True, 0.2, "exempt")), item(2, answer(False, 0.2, "exempt"))])
    assert (value(cell, "recall_decided"), value(cell, "false_positive_rate")) == (0.0, 0.0)


def test_probabilities_by_hand() -> None:
    """Ten positives at .9, ten negatives at .6: one pair of classes, perfectly ranked, poorly calibrated."""
    cell = overall(table(*[(True, 0.9)] * 10, *[(False, 0.6)] * 10))
    by_hand = {"auroc": 1.0, "auprc": 1.0, "brier": (0.1**2 + 0.6**2) / 2, "ece": (0.1 + 0.6) / 2}
    assert {name: value(cell, name) for name in by_hand} == pytest.approx(by_hand)
    assert [(each.count, each.true) for each in cell.reliability] == [(10, 0.0), (10, 1.0)]
    # Predicted "applies" at ½ and above: at confidence .9 all right, at .6 ten of twenty wrong.
    assert [(p.coverage, p.risk, p.confidence) for p in cell.risk_coverage] == [(0.5, 0, 0.9), (1, 0.5, 0.6)]
    assert value(cell, "aurc") == pytest.approx((10 * 0 + 10 * 0.5) / 20)


def test_recall_at_a_false_positive_rate_by_hand() -> None:
    """100 negatives, one at .8: 1 % allows it and 5 % allows it and four more at .5."""
    high = [(True, 0.9)] * 4 + [(False, 0.8)] + [(True, 0.7)] * 3
    low = [(False, 0.5)] * 4 + [(True, 0.4)] * 2 + [(False, 0.3)] * 95 + [(True, 0.2)]
    cell = overall(table(*high, *low))
    assert (value(cell, "recall_at_1_fpr"), value(cell, "recall_at_5_fpr")) == (0.7, 0.9)


def test_evidence_latency_and_tokens() -> None:
    hits = [True, True, False, None]
    outcomes = [
        item(n, answer(True, 0.9), evidence_hit=hit, ms=10.0 * n, tokens=n) for n, hit in enumerate(hits)
    ]
    cell = overall(outcomes)
    assert value(cell, "evidence_hit_rate") == pytest.approx(2 / 3)
    assert (value(cell, "latency_ms_p50"), value(cell, "tokens_mean")) == (15.0, 1.5)
    assert value(cell, "latency_ms_p95") == pytest.approx(28.5)


def test_what_an_earlier_run_answered_has_no_cost_in_this_one() -> None:
    now = [item(n, answer(True, 0.9), ms=10.0 * n, tokens=n) for n in range(4)]
    before = [item(f"c{n}", answer(True, 0.9), ms=999.0, tokens=999, cached=True) for n in range(4)]
    mixed, alone = overall([*now, *before], draws=50), overall(now)
    assert mixed.counts.n == 8
    for name in ("latency_ms_p50", "latency_ms_p95", "latency_ms_mean", "tokens_mean"):
        assert value(mixed, name) == value(alone, name)
        assert str(overall(before, draws=50).metrics[name]) == "n/a (all answers are from the cache)"
    found = totals([*now, *before])
    assert (found.items, found.cached, found.latency_ms_p50, found.tokens_mean) == (8, 4, 15.0, 1.5)
    assert totals(before).latency_ms_p50 is None


def test_cells_by_dimension() -> None:
    rule = answer(None, 0.9, kind=Kind.RULE, key=f"{AREA}#HS1")
    outcomes = [
        item(1, answer(True, 0.9), rule, lang="hi", slices=("counter_speech", "human"), modality="audio"),
        item(2, answer(False, 0.1), source="other", slices=("human",)),
    ]
    cells = {cell.at: cell.counts for cell in measure(outcomes, draws=0)}
    area = {(at.dimension.value, at.value): c.n for at, c in cells.items() if at.kind is Kind.AREA}
    assert area == {
        ("overall", "all"): 2, ("suite", "core-text"): 2, ("language", "en"): 1, ("language", "hi"): 1,
        ("modality", "audio"): 1, ("modality", "text"): 1, ("source", "other"): 1, ("source", "set"): 1,
        ("slice", "counter_speech"): 1, ("slice", "human"): 2,
    }  # fmt: skip
    unknown = cells[CellKey(Kind.RULE, f"{AREA}#HS1", Dimension.LANGUAGE, "hi")]
    assert (unknown.n, unknown.unknown) == (0, 1)
    assert str(CellKey(Kind.AREA, AREA, Dimension.LANGUAGE, "hi")) == "area safety/hate, language hi"


LEVELS = st.sampled_from([None, 0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0])  # few levels: many ties
ROWS = st.lists(st.tuples(st.booleans(), LEVELS, st.integers(0, 3)), min_size=1, max_size=150)


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_resampled_metrics_equal_scikit_learn_under_the_same_weights(
    rows: list[tuple[bool, float | None, int]],
) -> None:
    sample = sample_of(table(*[row[:2] for row in rows]))
    weights = np.array([row[2] for row in rows], float)
    found = {name: values[0] for name, values in resampled(sample)(weights[None]).items()}
    for name, expected in by_scikit_learn(sample, weights).items():
        assert found[name] == pytest.approx(expected, abs=1e-9), name


def by_scikit_learn(sample: Sample, weights: object) -> dict[str, float]:
    """Where both classes weigh something, and something is flagged."""
    expected = {}
    rows = sample.scored & (weights > 0)
    truth, said, heavy = sample.truth[rows], sample.probability[rows], weights[rows]
    if truth.any():
        expected["auprc"] = sk.average_precision_score(truth, said, sample_weight=heavy)
    if truth.any() and not truth.all():
        expected["auroc"] = sk.roc_auc_score(truth, said, sample_weight=heavy)
        fpr, tpr, _ = sk.roc_curve(truth, said, sample_weight=heavy, drop_intermediate=False)
        expected["recall_at_5_fpr"] = tpr[fpr <= 0.05].max()
    if rows.any():
        expected["brier"] = sk.brier_score_loss(truth, said, sample_weight=heavy, labels=[False, True])
    taken = weights > 0
    known, flags, heavy = sample.truth[taken], sample.flagged[taken], weights[taken]
    if flags.any():
        expected["precision"] = sk.precision_score(known, flags, sample_weight=heavy)
    if known.any():
        expected["recall"] = sk.recall_score(known, flags, sample_weight=heavy)
        expected["f1"] = sk.f1_score(known, flags, sample_weight=heavy)
    return expected


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_no_table_of_answers_breaks_or_disagrees_with_its_resamples(
    rows: list[tuple[bool, float | None, int]],
) -> None:
    outcomes = table(*[row[:2] for row in rows])
    cell = overall(outcomes, draws=20)
    assert set(cell.metrics) == set(METRICS)
    sample = sample_of(outcomes)
    once = resampled(sample)(np.ones((1, len(sample))))
    for name, found in point_values(sample).items():
        if not isinstance(found, str) and name in once:
            assert once[name][0] == pytest.approx(found, abs=1e-9), name
    assert sum(each.count for each in cell.reliability) == cell.counts.scored


def test_bins_agree_with_scikit_learn() -> None:
    calibration = pytest.importorskip("sklearn.calibration")
    sample = sample_of(drawn(237, seed=3))
    true, said = calibration.calibration_curve(
        sample.truth, sample.probability, n_bins=10, strategy="quantile"
    )
    bins = overall(drawn(237, seed=3)).reliability
    assert [each.true for each in bins] == pytest.approx(list(true))
    assert [each.said for each in bins] == pytest.approx(list(said))


DEGENERATE = {
    "one item": table((True, 0.9)),
    "no labels": table((None, 0.9), (None, None)),
    "one class": table(*[(False, 0.2)] * 50),
    "all abstain": table(*[(n % 2 == 0, 0.5) for n in range(50)]),
    "all unreadable": table(*[(n % 2 == 0, None) for n in range(50)]),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_cells_with_nothing_to_say_say_why(name: str) -> None:
    cell = overall(DEGENERATE[name], draws=50)
    missing = [metric for metric, found in cell.metrics.items() if found.value is None]
    assert all(cell.metrics[metric].reason for metric in missing)
    assert all(str(cell.metrics[metric]).startswith("n/a (") for metric in missing)
    assert "precision" in missing or name == "one item"
    assert "auroc" in missing or name == "all abstain"


def test_reasons_by_hand() -> None:
    assert measure([]) == ()
    assert measure([replace(item(1), error="ContentEmpty: nothing to judge")]) == ()
    assert str(overall(DEGENERATE["one class"]).metrics["recall"]) == "n/a (no positives)"
    nine = overall(table(*[(True, 0.9)] * 9, *[(False, 0.1)] * 20))
    assert str(nine.metrics["auroc"]) == "n/a (9 positives with a probability, 10 needed)"
    assert str(nine.metrics["precision"]) == "1.00"
    ten = overall(table(*[(True, 0.9)] * 10, *[(False, 0.1)] * 20))
    assert str(ten.metrics["recall_at_1_fpr"]) == "n/a (20 negatives, 100 needed)"
    assert value(ten, "recall_at_5_fpr") == 1.0


def test_a_run_as_a_whole_counts_errors() -> None:
    broken = [item(f"e{n}", error="ContentEmpty: nothing to judge", action="review", ms=99.0) for n in (1, 2)]
    found = totals([*broken, item(1, ms=10.0, tokens=4.0), item(2, ms=20.0, action="remove")])
    assert (found.items, found.errors) == (4, {"ContentEmpty": 2})
    assert found.actions == {"review": 2, "allow": 1, "remove": 1}
    assert (found.latency_ms_p50, found.tokens_mean) == (15.0, 2.0)
    assert totals([]).latency_ms_p95 is None


def test_a_narrow_interval_does_not_look_like_a_point() -> None:
    assert str(Estimate(0.8312, 0.8274, 0.8351)) == "0.831 (0.827–0.835)"
    assert str(Estimate(-0.0001, -0.04, 0.04)) == "0.00 (-0.04–0.04)"
    assert str(Estimate(231.4, 200.0, 260.2)) == "231 (200–260)"
    assert Estimate(0.123456, reason="no interval").as_json() == {
        "value": 0.1235, "low": None, "high": None, "reason": "no interval",
    }  # fmt: skip


def test_rows_that_are_all_alike_still_have_an_interval() -> None:
    """12 of 12 caught: Wilson's low end is 1 / (1 + z²/12) = 0.75750, not 1."""
    cell = overall(table(*[(True, 0.9)] * 12, *[(False, 0.1)] * 12), draws=50)
    recall, auroc = cell.metrics["recall"], cell.metrics["auroc"]
    assert (recall.low, recall.high) == pytest.approx((0.75750, 1.0), abs=1e-5)
    assert (auroc.value, auroc.low, auroc.reason) == (1.0, None, "no interval: all resamples are alike")


def test_intervals_hold_the_value_and_groups_widen_them() -> None:
    single, grouped = (overall(drawn(300, group_of=size), draws=300).metrics["auroc"] for size in (1, 20))
    assert single.low < single.value < single.high
    assert grouped.value == single.value
    assert (grouped.low, grouped.high) != (single.low, single.high)


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        ([item(1), item(1)], "item `set:1` occurs twice"),
        ([item(1, answer(True, 0.9), answer(True, 0.9))], "answers a question twice"),
        (table((True, 1.5)), "probability 1.5 is not in 0..1"),
        (table((True, float("nan"))), "probability nan is not in 0..1"),
        ([item(1, answer(True, 0.9, label_mass=-1.0))], "label mass -1.0 is not in 0..1"),
        ([item(1, answer(True, 0.9, "allow"))], "unknown outcome `allow`"),
    ],
)
def test_unsound_runs_are_refused(outcomes: list[ItemOutcome], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        measure(outcomes)
