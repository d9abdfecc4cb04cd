"""What a drawn answer is worth: the right one most, a missed violation less than a false alarm."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge.finetune.rewards import Rewards

REWARDS = Rewards(missed_cost=2.0)
RIGHT = {"evidence": [1, 2], "exemption": "none", "severity": 3, "rationale": "So.", "verdict": "violates"}


def reply(**changes: object) -> str:
    return json.dumps(RIGHT | changes)


def explained(text: str, right: str | None = None) -> float:
    return REWARDS.of(text, right or json.dumps(RIGHT), "explanation")


@pytest.mark.parametrize(
    ("said", "right", "worth"),
    [
        ("yes", "yes", 1.0),
        ("no", "yes", -2.0),
        ("yes", "no", -1.0),
        ("yes", "except", -1.0),
        ("Yes", "yes", -2.5),
        ("yes, I think", "yes", -2.5),
        ("", "no", -2.5),
    ],
)
def test_reads(said: str, right: str, worth: float) -> None:
    assert REWARDS.of(said, right, "rule") == worth


def test_explanations_earn_by_part() -> None:
    assert explained(reply()) == pytest.approx(1.0)
    assert explained(reply(evidence=[1])) == pytest.approx(0.5 + 0.2 + 0.2 * 2 / 3 + 0.1)
    assert explained(reply(severity=1)) == pytest.approx(0.95)
    assert explained(reply(exemption="satire")) == pytest.approx(0.8)
    assert explained(reply(verdict="clear")) == -2.0
    assert explained(reply(), reply(verdict="clear")) == -1.0


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "[1]",
        reply(evidence=[]),
        reply(evidence=["1"]),
        reply(evidence=[True]),
        reply(severity="3"),
        reply(rationale="x" * 201),
        reply(rationale=""),
        reply(verdict="maybe"),
        reply(more=1),
        json.dumps(dict(sorted(RIGHT.items()))),
    ],
)
def test_what_the_schema_would_not_allow_is_worth_the_least(text: str) -> None:
    assert explained(text) == -2.5


@given(st.text(max_size=40), st.sampled_from(["yes", "no", "except"]), st.sampled_from(["rule", "area"]))
def test_nothing_is_worth_more_than_the_right_answer(text: str, right: str, kind: str) -> None:
    assert REWARDS.of(text, right, kind) <= REWARDS.of(right, right, kind) == 1.0
    assert explained(text) == -2.5
