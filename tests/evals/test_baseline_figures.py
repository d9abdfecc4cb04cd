"""Figures of baselines: counts and numbers of what is labelled, and rows only for what has a value."""

from __future__ import annotations

from outcome_rows import AREA, answer, drawn, item
from samples import make_policy, make_rule

from llm_judge.evals.baseline_figures import SuiteRuns, as_blocks, figures
from llm_judge.evals.document import Grid
from llm_judge.evals.outcomes import ItemOutcome
from llm_judge.evals.run_data import RunData

POLICIES = (make_policy(AREA, (make_rule("R1"),)),)
FEW = [item(number, answer(True, 0.9), answer(None, 0.5, key="safety/other")) for number in range(3)]


def runs(suite: str, **systems: list[ItemOutcome]) -> SuiteRuns:
    found = [RunData(name, {"items_digest": "ab"}, tuple(outcomes)) for name, outcomes in systems.items()]
    return SuiteRuns(suite, "dev", POLICIES, found)


def test_only_labelled_questions_are_measured_and_only_those_with_a_value_shown() -> None:
    sharp, flat = drawn(60, sharpness=6.0), drawn(60, sharpness=0.0)
    found = figures(
        [runs("many", tfidf=sharp, untuned=flat), runs("few", tfidf=FEW, untuned=FEW)], {}, draws=0
    )
    few = found["suites"][1]["systems"][0]["cells"]
    assert [(cell["key"], cell["n"], cell["positives"]) for cell in few] == [(AREA, 3, 3)]
    means, auroc, _ = (block for block in as_blocks(found, "make it") if isinstance(block, Grid))
    assert [row[0] for row in auroc.rows] == ["many"]
    ((_, questions, tfidf, untuned),) = means.rows
    assert questions == "1"
    assert float(tfidf) > 0.95 > float(untuned)
