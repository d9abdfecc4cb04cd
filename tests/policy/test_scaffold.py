"""Answers become a policy that loads; a wrong answer is one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge.policy.cases import parse_cases
from llm_judge.policy.load import parse_policy
from llm_judge.policy.scaffold import Answers, new_files, problems

ANSWERS = Answers(
    id="safety/loud_noise",
    title="Noise: loud",
    summary="Sounds that hurt.",
    violates="Plays a scream\n  without warning.",
    severity="2",
    exempt="news: Reports on it.",
)


def test_the_new_policy_says_what_was_answered():
    files = new_files(ANSWERS, Path("house"))
    (path, text), (cases_path, cases_text) = files.items()
    policy, found = parse_policy(text, str(path))
    assert found == []
    assert policy is not None
    assert (str(path), policy.policy, policy.status) == (
        "house/safety/loud_noise.yaml",
        "safety/loud_noise",
        "draft",
    )
    (rule,) = policy.rules
    assert (policy.title, rule.violates, rule.severity) == (
        "Noise: loud",
        "Plays a scream without warning.",
        2,
    )
    assert (rule.id, rule.exemptions[0].id, rule.exemptions[0].when) == ("LN1", "news", "Reports on it.")
    cases, found = parse_cases(cases_text, str(cases_path), policy)
    assert found == []
    assert [case.expect for case in cases or ()] == ["violates"] * 3 + ["clear"] * 3 + ["exempt"] * 2
    assert all(case.todo for case in cases or ())


def test_without_an_exemption_nothing_is_exempt():
    text = "".join(new_files(Answers(id="a/b"), Path()).values())
    assert "exemptions:" not in text
    assert "expect: exempt" not in text


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        ("id", "hate", "`policy` cannot be `hate`"),
        ("id", "safety/../../etc", "`policy` cannot be"),
        ("id", "overlays/x", "`overlays` cannot be a group"),
        ("title", " \n", "an answer is needed"),
        ("title", "x" * 81, "81 characters long"),
        ("summary", "About {people}.", "`{people}`"),
        ("violates", "Attacks a {group}.", "`{group}` is not defined"),
        ("severity", "6", "`6` is not a whole number from 1 to 5"),
        ("severity", "high", "`high` is not"),
    ],
)
def test_a_wrong_answer_is_one_line(name, answer, said):
    found, wrong = problems(name, answer)
    assert found == []
    assert said in (wrong or "")
    assert "\n" not in (wrong or "")


def test_vague_wording_is_told_and_taken():
    found, wrong = problems("violates", "Posts something inappropriate.")
    assert wrong is None
    assert [each.code for each in found] == ["P201"]


@given(
    name=st.sampled_from(["title", "summary", "violates", "exempt", "owner"]),
    answer=st.text(max_size=60) | st.sampled_from(['"', "a: b", "no", "- x", "#x", "{a}", "\\", "news: "]),
)
def test_any_answer_is_refused_or_becomes_a_policy(name, answer):
    if problems(name, answer)[1] is None:
        files = new_files(Answers(**{"id": "a/b", name: answer}), Path())
        policy, _ = parse_policy(files[Path("a/b.yaml")], "a/b.yaml")
        assert policy is not None
        assert parse_cases(files[Path("a/b.cases.yaml")], "a/b.cases.yaml", policy)[0]
