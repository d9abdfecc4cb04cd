"""Figures on dev rows: what is asked, and numbers checked by hand."""

from __future__ import annotations

import math
import random

import pytest

from llm_judge.compile import TargetModel, compile_policies
from llm_judge.engines.protocol import Reading
from llm_judge.finetune.measure import Answer, _questions, met_probability, report
from llm_judge.finetune.rows import LabelledRow
from llm_judge.policy.load import load_policies
from llm_judge.resources import content_folder


def test_exempt_counts_as_met() -> None:
    reading = Reading({"yes": math.log(0.2), "no": math.log(0.6), "except": math.log(0.1)}, 0.9)
    assert met_probability(reading) == pytest.approx(1 / 3)


def test_only_what_is_known_is_asked() -> None:
    policies = load_policies([content_folder("policies") / "safety"])
    compiled = compile_policies(policies, TargetModel("words", 8192, lambda text: len(text.split())))
    row = LabelledRow("x", "en", "made", {"safety/hate": True}, {"safety/hate#HS2": "yes"})
    asked = [(question.id, truth) for question, _, truth in _questions(compiled, row, random.Random(1))]
    assert asked == [("area:safety/hate", True), ("rule:safety/hate#HS2", True)]


def test_figures_carry_counts_and_an_interval_and_gates_say_what_they_open() -> None:
    answers = [Answer(i, "own", "area", "a", i % 2 == 0, 0.9 if i % 2 == 0 else 0.04) for i in range(20)]
    answers.append(Answer(21, "own", "area", "a", True, 0.01))
    figures = report(answers)
    own = figures["by"][0]
    assert (own["positives"], own["negatives"]) == (11, 10)
    assert own["auroc"] == pytest.approx(10 / 11, abs=1e-3)
    assert own["interval"][0] < own["auroc"] <= own["interval"][1]
    assert figures["by"][1]["auroc"] is None
    gate = next(row for row in figures["gates"] if row["gate"] == 0.05)
    assert gate["own_recall"] == pytest.approx(10 / 11, abs=1e-3)
    assert gate["own_opened"] == 0


def test_thresholds_count_what_they_do_to_own_rules() -> None:
    rows = [(True, 0.8, 0.75), (True, 0.12, 0.1), (False, 0.9, 0.6), (False, 0.05, 0.01)]
    answers = [Answer(i, "own", "rule", "a", *row) for i, row in enumerate(rows)]
    answers.append(Answer(9, "labelled", "rule", "a", True, 0.0, 0.99))
    figures = report(answers)
    assert {"below": 0.15, "of_applying": 1, "of_others": 1} in figures["clear"]
    assert {"from": 0.6, "fired": 2, "right": 1} in figures["fires"]
    assert {"from": 0.7, "fired": 1, "right": 1} in figures["fires"]
