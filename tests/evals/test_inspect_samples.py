"""Outcomes as plain sample data of Inspect: what is right, wrong or no answer, and the metrics over it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled_items import eval_item
from outcome_rows import AREA, answer, item
from report_runs import AREAS, made_run

from llm_judge.evals import inspect_samples as inspecting
from llm_judge.evals.cells import Dimension
from llm_judge.evals.metrics import measure
from llm_judge.evals.outcomes import Answer, Kind
from llm_judge.verdict import Outcome


def rule(name: str, truth: bool | None, outcome: str) -> Answer:
    return answer(truth, 0.9, outcome, kind=Kind.RULE, key=f"{AREA}#{name}")


@pytest.mark.parametrize(
    ("truth", "outcome", "expected"),
    [
        (True, "violates", "C"),
        (True, "clear", "I"),
        (True, "exempt", "I"),
        (False, "violates", "I"),
        (False, "clear", "C"),
        (False, "exempt", "C"),
        (True, "abstain", "N"),
        (False, "unreadable", "N"),
        (None, "violates", None),
    ],
)
def test_an_answer_is_right_wrong_or_none(truth: bool | None, outcome: str, expected: str | None) -> None:
    assert inspecting.grade(answer(truth, 0.5, outcome)) == expected


def test_the_worst_question_speaks_for_every_label() -> None:
    right, unsure, wrong = answer(True, 0.9), rule("HS1", True, "abstain"), rule("HS2", False, "violates")
    unknown = rule("HS3", None, "violates")

    def whole(*answers: Answer) -> str | float:
        return inspecting.grades(item(1, *answers), [AREA])[inspecting.EVERY_LABEL]

    assert whole(right, unknown) == "C"
    assert whole(right, unsure) == "N"
    assert whole(right, unsure, wrong) == "I"
    assert math.isnan(float(whole(unknown)))


@given(st.lists(st.tuples(st.none() | st.booleans(), st.sampled_from(list(Outcome))), max_size=4))
def test_what_has_no_label_has_no_grade(rows: list[tuple[bool | None, Outcome]]) -> None:
    answers = [answer(truth, 0.5, said.value, key=f"a/{n}") for n, (truth, said) in enumerate(rows)]
    asked = [f"a/{n}" for n in range(5)]  # one more than was answered
    found = inspecting.grades(item(1, *answers), asked)
    graded = [key for key in asked if isinstance(found[key], str)]
    assert graded == [a.key for a in answers if a.truth is not None]
    assert isinstance(found[inspecting.EVERY_LABEL], str) == bool(graded)
    assert list(inspecting.area_answers(item(1, *answers))) == graded


def test_an_item_and_its_outcome_have_one_target() -> None:
    known = eval_item(
        "one",
        "A text.",
        areas={"safety/hate": True, "regulated/fraud": False},
        rules={"safety/hate#HS1": "yes", "safety/hate#HS2": "except", "regulated/fraud#FS1": "no"},
        harmful=True,
    )
    labels = inspecting.labels_of_item(known)
    answers = [Answer(kind, key, applies, 0.9, 0, 1, "violates") for kind, key, applies in labels]
    unknown = rule("HS4", None, "violates")
    target = [
        "any: yes",
        "safety/hate: yes",
        "regulated/fraud: no",
        "safety/hate#HS1: yes",
        "safety/hate#HS2: no",
    ]
    assert inspecting.target_of(labels) == target
    assert inspecting.target_of(inspecting.labels_of_outcome(item("one", *answers, unknown))) == target
    assert inspecting.labelled_areas([labels]) == ["regulated/fraud", "safety/hate"]
    said = inspecting.answer_in_words(item("one", *answers, unknown))
    assert said.startswith("any: violates (0.90); safety/hate: violates (0.90)")
    assert "FS1" not in said + "".join(target)
    assert "HS4" not in said


def test_an_error_is_its_own_answer() -> None:
    broken = item(1, error="ContentDamaged: cut short")
    assert inspecting.answer_in_words(broken) == "ContentDamaged: cut short"
    assert all(math.isnan(float(value)) for value in inspecting.grades(broken, [AREA]).values())


@pytest.mark.parametrize("area", AREAS)
def test_metrics_are_those_of_the_report(area: str) -> None:
    run = made_run(count=120)
    (cell,) = [
        cell
        for cell in measure(run.outcomes, (Dimension.OVERALL,), draws=0)
        if (cell.at.kind, cell.at.key) == (Kind.AREA, area)
    ]
    found = inspecting.area_metrics(area, [inspecting.area_answers(outcome) for outcome in run.outcomes])
    assert set(found) == {"precision", "recall", "f1", "abstain_rate"}
    for name, value in found.items():
        reported = cell.metrics[name].value
        assert math.isnan(value) if reported is None else value == reported
