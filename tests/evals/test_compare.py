"""Comparisons against a table worked out by hand, and runs that cannot be compared item by item."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from outcome_rows import AREA, answer, drawn, item, table

from llm_judge.errors import UsageError
from llm_judge.evals.cells import CellKey, Dimension
from llm_judge.evals.compare import CellDifference, Comparison, compare, compare_runs
from llm_judge.evals.outcomes import Kind
from llm_judge.evals.point_values import METRICS

pytest.importorskip("sklearn")

if TYPE_CHECKING:
    from llm_judge.evals.outcomes import ItemOutcome

OVERALL = CellKey(Kind.AREA, AREA)
# truth, before, after: 4 mended, 1 broken, 1 abstention mended, 2 caught twice, 4 clear twice.
ROWS = [(True, 0.1, 0.9)] * 3 + [(False, 0.9, 0.1)] + [(False, 0.1, 0.9)] + [(True, 0.5, 0.9)]
ROWS += [(True, 0.9, 0.9)] * 2 + [(False, 0.1, 0.1)] * 4


def both(rows: list[tuple[bool | None, float | None, float | None]]) -> list[list[ItemOutcome]]:
    return [table(*[(row[0], row[side]) for row in rows]) for side in (1, 2)]


def overall(found: Comparison) -> CellDifference:
    (cell,) = (cell for cell in found.cells if cell.at == OVERALL)
    return cell


def test_flips_and_mcnemar_by_hand() -> None:
    found = overall(compare(*both(ROWS), [Dimension.OVERALL], draws=0))
    tally = found.tally
    assert (tally.items, tally.flips, tally.expected) == (12, 6, 12)
    assert tally.how == {"clear → violates": 4, "violates → clear": 1, "abstain → violates": 1}
    assert (tally.right_before, tally.right_after, tally.mended, tally.broken) == (7, 11, 5, 1)
    assert tally.p == pytest.approx(2 * (1 + 6) / 2**6)  # at most 1 of 6 on one side


def test_differences_by_hand() -> None:
    """Recall 2/6 → 6/6; precision 2/3 → 6/7; false alarms 1/6 → 1/6."""
    metrics = overall(compare(*both(ROWS), [Dimension.OVERALL], draws=0)).metrics
    assert set(metrics) == set(METRICS)
    recall, precision, alarms = (metrics[n] for n in ("recall", "precision", "false_positive_rate"))
    assert (recall.before, recall.after) == pytest.approx((2 / 6, 1.0))
    assert recall.change.value == pytest.approx(4 / 6)
    assert precision.change.value == pytest.approx(6 / 7 - 2 / 3)
    assert alarms.change.value == 0.0
    assert metrics["auroc"].change.reason == "6 positives with a probability, 10 needed"


def test_pairing_makes_the_interval_of_a_change_narrow() -> None:
    """Two runs of one noisy set that differ by little: unpaired intervals overlap, the paired does not."""
    before = drawn(400, seed=5)
    after = [
        replace(o, answers=(answer(a.truth, min(1.0, a.probability + 0.1 * bool(a.truth))),))
        for o in before
        for a in o.answers
    ]
    change = overall(compare(before, after, [Dimension.OVERALL], draws=300)).metrics["auroc"]
    assert 0 < change.change.low < change.change.value < change.change.high
    assert change.change.high - change.change.low < 0.03


def test_a_run_equals_itself() -> None:
    found = compare(drawn(120), drawn(120), draws=50)
    assert (found.items, overall(found).tally.flips, overall(found).tally.p) == (120, 0, None)
    change = overall(found).metrics["auroc"].change
    assert (change.value, change.low, change.high) == (0.0, 0.0, 0.0)
    assert (found.latency.value, found.tokens.value) == (1.0, 1.0)


def test_items_of_one_run_or_with_other_content_are_counted_and_left_out() -> None:
    before = table((True, 0.9), (True, 0.9), (True, 0.9))
    after = [replace(before[0], sha256="other"), before[1], item("new", answer(True, 0.9))]
    found = compare(before, after, draws=0)
    assert (found.items, found.changed, found.only_before, found.only_after) == (1, 1, 1, 1)
    assert overall(found).tally.items == 1


def test_an_item_in_error_is_unreadable_there_and_not_spared() -> None:
    before = table((True, 0.9), (True, 0.9))
    after = [before[0], item(1, error="EngineError: out of memory", action="review")]
    found = compare(before, after, draws=0)
    assert (found.errors_before, found.errors_after, found.actions.flips) == (0, 1, 1)
    assert overall(found).metrics["recall"].after == 0.5
    assert overall(found).metrics["unreadable_rate"].change.value == 0.5
    backward = overall(compare(after, before, draws=0))
    assert backward.metrics["recall"].change.value == 0.5


def test_labels_and_slices_of_the_later_run_count_for_both() -> None:
    before = [item(1, answer(None, 0.9), lang="und"), item(2, answer(True, 0.9))]
    after = [item(1, answer(False, 0.9), lang="hi"), item(2, answer(None, 0.9))]
    found = {cell.at: cell for cell in compare(before, after, draws=0).cells}
    hindi = found[CellKey(Kind.AREA, AREA, Dimension.LANGUAGE, "hi")]
    assert hindi.metrics["false_positive_rate"].before == 1.0
    assert found[OVERALL].tally.items == 1


def test_probabilities_are_compared_where_both_are_readable() -> None:
    rows = [(True, 0.9, 0.9)] * 10 + [(False, 0.1, 0.1)] * 10 + [(False, 0.95, None)] * 5
    auroc = overall(compare(*both(rows), draws=0)).metrics["auroc"]
    assert (auroc.before, auroc.after) == (1.0, 1.0)


def test_cost_is_a_ratio_of_sums() -> None:
    before = [item(n, answer(True, 0.9), ms=10.0, tokens=0.0) for n in range(3)]
    after = [replace(outcome, ms=5.0 * n) for n, outcome in enumerate(before)]
    found = compare(before, after, draws=0)
    assert found.latency.value == 15 / 30
    assert str(found.tokens) == "n/a (not counted in both runs)"
    known = [replace(outcome, cached=n == 2) for n, outcome in enumerate(after)]  # what was not judged now
    assert compare(before, known, draws=0).latency.value == 5 / 20


def test_several_runs_are_compared_with_the_first() -> None:
    first, second = both(ROWS)
    found = compare_runs({"a": first, "b": second, "c": first}, draws=0)
    assert {name: overall(each).tally.flips for name, each in found.items()} == {"b": 6, "c": 0}
    assert json.loads(json.dumps(found["b"].as_json()))["cells"][0]["pairs"]["mended"] == 5


def test_nothing_in_common_is_no_crash() -> None:
    found = compare([], table((True, 0.9)))
    assert (found.items, found.only_after, found.cells, found.latency.value) == (0, 1, (), None)


def test_an_unsound_run_is_refused() -> None:
    with pytest.raises(UsageError, match="occurs twice"):
        compare([item(1), item(1)], [item(1)])


def test_one_run_is_no_comparison() -> None:
    with pytest.raises(UsageError, match="needs two runs, not 1"):
        compare_runs({"a": []})
