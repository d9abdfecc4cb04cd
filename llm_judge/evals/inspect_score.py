"""Scorer and metrics of Inspect over outcomes: grades per area, and our own metrics beside its accuracy.

Needs the extra ``inspect`` and registers itself with Inspect when it is imported, so nothing imports it at
its top. The solver of ``inspect_task`` and the writer of ``inspect_log`` leave an outcome in the store of a
sample; the scorer reads it there, so a log can be scored again without judging.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from inspect_ai.model import ModelOutput
from inspect_ai.scorer import Metric, SampleScore, Score, Scorer, Target, accuracy, metric, scorer, stderr
from inspect_ai.solver import TaskState

from llm_judge.evals.inspect_samples import EVERY_LABEL, answer_in_words, area_answers, area_metrics, grades
from llm_judge.evals.run_folder import outcome_from_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge.evals.outcomes import ItemOutcome

_STORE = "llm_judge"  # key in the store of a sample
_AREAS = "areas"  # key in the metadata of a score


def stored(outcome: ItemOutcome) -> dict[str, Any]:
    """Return what the store of a sample holds of an outcome."""
    return {_STORE: asdict(outcome)}


def output_of(outcome: ItemOutcome, model: str) -> ModelOutput:
    """Return an outcome as the output of a model."""
    words = answer_in_words(outcome) or "nothing that was asked has a label"
    return ModelOutput.from_content(model, f"{outcome.action}\n{words}")


def _graded() -> list[Metric]:
    return [accuracy(), stderr(cluster="group")]


@scorer(metrics={"*": _graded()})
def guidelines(areas: list[str]) -> Scorer:
    """Put truth beside answers: one grade for every label together and one an area.

    Args:
        areas: ids of the policies to grade; an item without a label of one is unscored there.
    """

    async def score(state: TaskState, target: Target) -> Score:  # noqa: ARG001  # the outcome holds the truth
        kept = state.store.get(_STORE)
        if kept is None:
            return Score(value=math.nan, explanation="not judged by llm-judge", metadata={_AREAS: {}})
        outcome = outcome_from_json(kept)
        return Score(
            value=grades(outcome, areas),
            answer=answer_in_words(outcome),
            explanation=f"would {outcome.action}" if outcome.error is None else outcome.error,
            reason=None if outcome.error is None else "no_response",
            metadata={_AREAS: area_answers(outcome)},
        )

    return score


def metrics_of(areas: Sequence[str]) -> dict[str, list[Metric]]:
    """Return the metrics of each grade of ``guidelines``.

    Standard errors take the items of one group (contrast pair, template, thread) together.
    """
    found: dict[str, list[Metric]] = {EVERY_LABEL: _graded()}
    return found | {area: [*_graded(), decisions(area)] for area in areas}


@metric
def decisions(area: str) -> Metric:
    """Metrics of one area as ``eval report`` counts them: precision, recall, F1, abstentions.

    On a violating item, no answer is a miss; NaN where a metric is not defined.
    """

    def compute(scores: list[SampleScore]) -> dict[str, float]:
        return area_metrics(area, [(each.score.metadata or {}).get(_AREAS, {}) for each in scores])

    return compute
