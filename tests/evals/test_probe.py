"""Probes: a model that follows the text scores full marks, one that ignores it scores none."""

from __future__ import annotations

import json

import pytest
from following_engine import FollowingEngine
from samples import compiled, make_policy, make_rule, opened

from llm_judge.compile import policy_digest
from llm_judge.engines.protocol import Reading
from llm_judge.evals.document import to_markdown
from llm_judge.evals.probe import UNREADABLE, Outcome, likeliest, run_plan
from llm_judge.evals.probe_edits import (
    TOPICS,
    inverted,
    paraphrase,
    severities_reversed,
    with_clause,
    with_exemption,
    without_exemption,
)
from llm_judge.evals.probe_plan import PROBES, PolicyPlan, plan_policy
from llm_judge.evals.probe_report import ProbeRun, Rates, probe_blocks, probe_json, rates
from llm_judge.policy.cases import Case
from llm_judge.policy.model import Policy
from llm_judge.prompt import Question


def garden() -> Policy:
    rules = (make_rule("R1", ("satire", "study")), make_rule("R2", ("satire",), severity=5))
    return make_policy("garden/plants", rules)


CASES = [
    Case(id="v1", content="It breaks R1.", expect="violates", rule="R1"),
    Case(id="v2", content="Again it breaks R1.", expect="violates", rule="R1"),
    Case(id="c1", content="Water it.", expect="clear", rule="R1"),
    Case(id="e1", content="It breaks R1 as satire.", expect="exempt", rule="R1", exemption="satire"),
    Case(id="e2", content="It breaks R1 as study.", expect="exempt", rule="R1", exemption="study"),
    Case(id="v3", content="It breaks R2.", expect="violates", rule="R2"),
    Case(id="c2", content="Feed it.", expect="clear", rule="R2"),
    Case(id="n", content="Nothing.", expect="clear"),
]


def about(words: str, body: str) -> bool:
    """Whether the body is about a topic named in the question's words."""
    return any(topic.clause in words and topic.sentence in body for topic in TOPICS)


def follows(question: Question, body: str) -> str:
    """Reads the rule as it stands, then its exemptions as they stand."""
    rule, _, exempts = question.text.partition("Exempt:")
    name = question.id.rpartition("#")[2]
    met = f"breaks {name}" in body or about(rule, body)
    if "Does not do this" in rule:
        return "no" if met else "yes"
    exempt = about(exempts, body) or any(
        f"as {word}" in body and f"It is {word}" in exempts for word in ("satire", "study")
    )
    return ("except" if exempt else "yes") if met else "no"


def ignores(question: Question, body: str) -> str:
    """Answers by the content alone, whatever the policy says."""
    return "yes" if "breaks" in body else "no"


def probed(engine: object, **options: object) -> list[Outcome]:
    return run_plan(plan_policy(garden(), CASES, limit=None, **options), engine)


def values(found: Rates) -> list[float | None]:
    return [found.inversion.value, found.clause.value, found.collateral.value]


def test_a_model_that_follows_the_text_scores_full_marks() -> None:
    outcomes = probed(FollowingEngine(follows))
    assert values(rates(outcomes)) == [1.0, 1.0, 0.0]
    assert {each.check.probe for each in outcomes if each.applies} == {probe.name for probe in PROBES}
    # by hand: R1 has 2 violating and 1 clear item, R2 one of each
    assert rates(outcomes).inversion.total == 5
    # by hand: added 2, removed 2, exemption added 3, removed 2
    assert rates(outcomes).clause.total == 9


def test_a_model_that_ignores_the_text_scores_none_but_harms_nothing() -> None:
    assert values(rates(probed(FollowingEngine(ignores)))) == [0.0, 0.0, 0.0]


def test_a_model_that_always_says_yes_can_show_no_added_clause() -> None:
    outcomes = probed(FollowingEngine(lambda *_: "yes"))
    assert not any(
        each.applies for each in outcomes if each.check.moves and each.check.probe == "clause_added"
    )
    assert values(rates(outcomes)) == [0.0, 0.0, 0.0]


def test_a_model_swayed_by_any_edit_causes_collateral() -> None:
    written = {rule.question.text for rule in compiled(garden()).rules}
    swayed = FollowingEngine(lambda question, _: "no" if question.text in written else "yes")
    plan = plan_policy(garden(), CASES, probes=["paraphrased"], limit=None)
    assert rates(run_plan(plan, swayed)).collateral.value == 1.0


def test_editing_another_rule_leaves_the_compact_prompt_as_it_is() -> None:
    engine = FollowingEngine(follows)
    plan = plan_policy(garden(), CASES, probes=["unrelated_edited"], limit=None)
    assert rates(run_plan(plan, engine)).collateral.value == 0.0
    assert len(engine.read_questions) == len(plan.asks) / 2


def test_an_answer_out_of_format_is_left_out() -> None:
    assert likeliest(Reading({"yes": -0.1, "no": -3.0}, 0.95)) == "yes"
    assert likeliest(Reading({"yes": -3.0, "no": -4.0}, 0.07)) == UNREADABLE
    assert likeliest(Reading({"yes": float("nan"), "no": -4.0}, float("nan"))) == UNREADABLE
    outcomes = probed(opened(("*", "", {"yes": 0.01, "no": 0.01})))
    assert rates(outcomes).collateral.as_json()["total"] == 0


def test_only_rules_are_read_and_the_same_prompt_once() -> None:
    engine = FollowingEngine(follows)
    done: list[int] = []
    plan = plan_policy(garden(), CASES, probes=["severity_reversed"], limit=None)
    run_plan(plan, engine, done.append)
    assert all(name.startswith("rule:") for name in engine.read_questions)
    assert sum(done) == len(plan.asks) == 14
    assert len(engine.read_questions) == 7  # the compact prompt holds no severity


def shape(plan: PolicyPlan) -> list[tuple[str, str, str]]:
    return [(check.probe, check.rule, check.item) for check in plan.checks]


def test_a_plan_is_repeatable_and_obeys_its_limits() -> None:
    plan = plan_policy(garden(), CASES, limit=1, seed=3)
    assert shape(plan) == shape(plan_policy(garden(), CASES, limit=1, seed=3))
    assert len({item for probe, rule, item in shape(plan) if rule == "R1"}) == 3
    only = plan_policy(garden(), CASES, rules=["R2"], probes=["inverted"], limit=None)
    assert shape(only) == [("inverted", "R2", "v3"), ("inverted", "R2", "c2")]
    assert list(only.versions) == ["original", "inverted R2"]


def test_examples_are_items_too_and_a_rule_without_items_has_no_check() -> None:
    example = {"content": "It breaks R1.", "verdict": "violates", "because": "It says so."}
    policy = make_policy(rules=(make_rule("R1", examples=(example,)), make_rule("R2")))
    plan = plan_policy(policy, [], probes=["inverted"])
    assert shape(plan) == [("inverted", "R1", "example 1")]


def test_edits_change_what_they_say_and_nothing_else() -> None:
    policy = garden()
    r1, r2 = policy.rules
    assert inverted(policy, "R1").rule("R1").violates == f"Does not do this: {r1.violates}"
    assert inverted(policy, "R1").rule("R2") == r2
    topic = TOPICS[0]
    assert with_clause(policy, "R1", topic).rule("R1").violates == (
        "Meets the description of R1, or mentions a bicycle."
    )
    assert [e.id for e in with_exemption(policy, "R2", topic).rule("R2").exemptions] == ["satire", "probe"]
    assert [e.id for e in without_exemption(policy, "R1", "satire").rule("R1").exemptions] == ["study"]
    assert [rule.severity for rule in severities_reversed(policy).rules] == [5, 3]
    assert policy_digest([severities_reversed(severities_reversed(policy))]) == policy_digest([policy])


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("Says that people are bad.", "States that persons are bad."),
        ("Sells pills, powders or plants.", "Sells pills, plants or powders."),
        ("Sells national flags, pots and pans or old coats.", "The content does the following: "),
        ("Sells plants.", "The content does the following: Sells plants."),
    ],
)
def test_paraphrases_are_never_the_same_words(text: str, other: str) -> None:
    assert paraphrase(text).startswith(other)
    assert paraphrase(text) != text


def test_report_states_rates_with_intervals_by_rule_and_probe() -> None:
    outcomes = tuple(probed(FollowingEngine(follows)))
    run = ProbeRun(outcomes, FollowingEngine(follows).info, "f" * 64, 0, None, 1.0)
    text = to_markdown(probe_blocks(run))
    assert "inversion flip rate 5/5 100 % (57–100)" in text
    assert "garden/plants&#35;R1" in text
    data = json.loads(json.dumps(probe_json(run)))
    assert data["rules"]["garden/plants#R1"]["inversion_flip"]["total"] == 3
    assert data["probes"]["paraphrased"]["moved"]["value"] is None
    assert len(data["checks"]) == len(outcomes)
