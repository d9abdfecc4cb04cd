"""A labelled item and its outcome as the plain data of an Inspect sample: target, answer and grades.

Works without Inspect, whose types are filled in by ``inspect_score``, ``inspect_task`` and ``inspect_log``.
Knows nothing about files, engines or words of items.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from llm_judge.evals.cells import CellKey, Dimension, samples
from llm_judge.evals.outcomes import ANY, Answer, ItemOutcome, Kind
from llm_judge.evals.point_values import Metric, point_values
from llm_judge.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llm_judge.evals.outcomes import EvalItem

# What Inspect calls CORRECT, INCORRECT and NOANSWER.
RIGHT, WRONG, NO_ANSWER = "C", "I", "N"
EVERY_LABEL = "every label"  # the grade of all labelled questions of an item together
METRICS = (Metric.PRECISION, Metric.RECALL, Metric.F1, Metric.ABSTAIN_RATE)
_NO_ANSWER = (Outcome.ABSTAIN, Outcome.UNREADABLE)


class Label(NamedTuple):
    """What is true about one question of an item."""

    kind: Kind
    key: str
    applies: bool


def labels_of_item(item: EvalItem) -> list[Label]:
    """Return what is known of an item before it is judged, in the order of its answers."""
    whole = [] if item.harmful is None else [Label(Kind.ITEM, ANY, item.harmful)]
    areas = [Label(Kind.AREA, key, applies) for key, applies in item.areas.items()]
    return [*whole, *areas, *(Label(Kind.RULE, key, said == "yes") for key, said in item.rules.items())]


def labels_of_outcome(outcome: ItemOutcome) -> list[Label]:
    """Return what is known of the questions that were asked about an item."""
    return [Label(a.kind, a.key, a.truth) for a in outcome.answers if a.truth is not None]


def labelled_areas(found: Iterable[Iterable[Label]]) -> list[str]:
    """Return the areas that any item has a label of, sorted: each is scored."""
    return sorted({label.key for labels in found for label in labels if label.kind is Kind.AREA})


def target_of(labels: Sequence[Label]) -> list[str]:
    """Return labels in words, such as ``safety/hate: yes``.

    Rules of an area that does not apply are left out: that no rule of it does says the same.
    """
    return [f"{label.key}: {'yes' if label.applies else 'no'}" for label in _telling(labels)]


def answer_in_words(outcome: ItemOutcome) -> str:
    """Return what was answered to the questions that ``target_of`` shows, or what went wrong."""
    if outcome.error is not None:
        return outcome.error
    shown = {(label.kind, label.key) for label in _telling(labels_of_outcome(outcome))}
    return "; ".join(_in_words(a) for a in outcome.answers if (a.kind, a.key) in shown)


def grade(answer: Answer) -> str | None:
    """Return ``C``, ``I`` or ``N``; None where the truth is unknown.

    ``violates`` says that a question applies, ``clear`` and ``exempt`` that it does not; ``abstain`` and
    ``unreadable`` are no answer, which Inspect's accuracy counts as not correct.
    """
    if answer.truth is None:
        return None
    if answer.outcome in _NO_ANSWER:
        return NO_ANSWER
    return RIGHT if (answer.outcome == Outcome.VIOLATES) == answer.truth else WRONG


def grades(outcome: ItemOutcome, areas: Sequence[str]) -> dict[str, str | float]:
    """Return one grade for ``EVERY_LABEL`` and for each area; NaN, Inspect's "unscored", where unknown.

    ``EVERY_LABEL`` is ``I`` where any labelled question (item, area or rule) was answered wrongly, else
    ``N`` where one was not answered, else ``C``.
    """
    found = {(a.kind, a.key): given for a in outcome.answers if (given := grade(a)) is not None}
    worst = next((given for given in (WRONG, NO_ANSWER, RIGHT) if given in found.values()), math.nan)
    return {EVERY_LABEL: worst, **{area: found.get((Kind.AREA, area), math.nan) for area in areas}}


def area_answers(outcome: ItemOutcome) -> dict[str, dict[str, Any]]:
    """Return truth, outcome and probability of every labelled area: what ``area_metrics`` computes from."""
    return {
        a.key: {"truth": a.truth, "outcome": a.outcome, "probability": a.probability}
        for a in outcome.answers
        if a.kind is Kind.AREA and a.truth is not None
    }


def area_metrics(area: str, items: Iterable[Mapping[str, Mapping[str, Any]]]) -> dict[str, float]:
    """Return ``METRICS`` of one area as ``eval report`` computes them, NaN where one is not defined.

    Args:
        area: id of a policy.
        items: the ``area_answers`` of each item.
    """
    outcomes = [_bare(number, area, found[area]) for number, found in enumerate(items) if area in found]
    if not outcomes:
        return {name.value: math.nan for name in METRICS}
    values = point_values(samples(outcomes, (Dimension.OVERALL,))[CellKey(Kind.AREA, area)])
    return {name.value: math.nan if isinstance(value := values[name], str) else value for name in METRICS}


def item_metadata(of: EvalItem | ItemOutcome) -> dict[str, Any]:
    """Return where an item comes from and what it is."""
    kept = {name: getattr(of, name) for name in ("suite", "source", "modality", "lang", "group")}
    digest = {"sha256": of.sha256} if isinstance(of, ItemOutcome) else {}
    return {**kept, "slices": list(of.slices), **digest}


def placeholder(item: str) -> str:
    """Return what stands for the words of an item that a log does not hold."""
    return f"(the words of {item} are not in this log)"


def _telling(labels: Sequence[Label]) -> list[Label]:
    """Labels that the others do not imply."""
    clear = {label.key for label in labels if label.kind is Kind.AREA and not label.applies}
    return [
        label for label in labels if label.kind is not Kind.RULE or label.key.partition("#")[0] not in clear
    ]


def _in_words(answer: Answer) -> str:
    sure = "" if answer.probability is None else f" ({answer.probability:.2f})"
    return f"{answer.key}: {answer.outcome}{sure}"


def _bare(number: int, area: str, found: Mapping[str, Any]) -> ItemOutcome:
    """An outcome with one answer, as far as the metrics of one area look at it."""
    name = str(number)
    answer = Answer(Kind.AREA, area, found["truth"], found["probability"], 0.0, 1.0, found["outcome"])
    return ItemOutcome(name, "", "", "", "", "", (), name, (answer,), "")
