"""The action ladder and terms, as readers of the guidelines see them."""

from __future__ import annotations

import pytest
from samples import make_policy, make_rule

from llm_judge.policy.in_words import Term, condition, ladder, parts
from llm_judge.policy.model import Action, ActionStep


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({}, "every breach"),
        ({"severity_at_least": 4}, "severity 4 or higher"),
        ({"severity_at_least": 5}, "severity 5"),
        ({"rules": ("A1", "A2", "A3")}, "rule A1, A2 or A3"),
        ({"probability_at_least": 0.8}, "at least 80% sure"),
        (
            {"rules": ("A1",), "probability_at_least": "calibrated.precision_95"},
            "rule A1, and so sure that 95 of 100 such findings are right",
        ),
        ({"probability_at_least": "calibrated.recall_90"}, "sure enough to find 90 of 100 breaches"),
        ({"probability_at_least": "calibrated.own"}, "at least as sure as `calibrated.own`"),
    ],
)
def test_a_step_in_words(step, said):
    assert condition(ActionStep(**step, do=Action.REMOVE)) == said


def test_the_ladder_ends_with_what_happens_otherwise():
    *_, otherwise, on_error = ladder(make_policy("a/b", (make_rule("R1"),)))
    assert otherwise[0] in ("any other breach", "any breach")
    assert on_error == ("a rule that could not be decided", "review: let a person decide")


def test_only_defined_terms_are_terms():
    policy = make_policy("a/b", (make_rule("R1"),)).model_copy(update={"definitions": {"minor": "below 18"}})
    assert list(parts("Hurts a {minor} or {x}\x07.", policy)) == ["Hurts a ", Term("minor"), " or {x}\\x07."]
