"""Every edit does to the rule what it says, and the answer follows from it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from samples import make_policy, make_rule

from llm_judge.compile import TargetModel, compile_policies
from llm_judge.evals import probe_edits
from llm_judge.finetune.counterfactuals import TOPICS, Case, Edited, Editor, known_cases
from llm_judge.policy.model import Policy

RULE = make_rule("R1", ("study",))
PLANTS = make_policy("garden/plants", (RULE, make_rule("R2")))
SALES = make_policy(
    "market/sales", (make_rule("S1", violates="Sells a {good}."),), definitions={"good": "anything sold"}
)
TEXT = "The tomatoes are dry."
HIT, CLEAR, EXEMPT = (
    Case(PLANTS, RULE, TEXT, answer, "study" if answer == "except" else None)
    for answer in ("yes", "no", "except")
)
SOLD = Case(SALES, SALES.rules[0], TEXT, "yes")
SEEDS = range(12)


def words(edited: Edited) -> str:
    """What the edited rule says; compiling proves that its definitions are there."""
    compiled = compile_policies([edited.policy], TargetModel("m", 8192, lambda text: len(text.split())))
    return next(r for r in compiled.rules if r.rule.id == edited.rule_id).question.text


@pytest.mark.parametrize(("case", "answer"), [(HIT, "no"), (CLEAR, "yes"), (EXEMPT, "no")])
def test_an_inverted_rule_turns_every_answer(case: Case, answer: str) -> None:
    found = [edited for seed in SEEDS for edited in Editor(random.Random(seed)).inverted(case)]
    assert {edited.answer for edited in found} == {answer}
    assert len({words(edited) for edited in found}) > 2  # more than one way to say so
    assert all(RULE.violates in words(e) and e.policy.rule("R1").violates != RULE.violates for e in found)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_clause_about_a_topic_decides_what_breaks_nothing_else(seed: int) -> None:
    found = list(Editor(random.Random(seed)).clause_removed(CLEAR))
    topic = next(topic for topic in TOPICS if topic.sentence in found[0].text)
    for edited in found:
        has_clause = edited.policy.rule("R1").violates != RULE.violates
        assert (edited.answer == "yes") == (has_clause and topic.sentence in edited.text)
    assert {edited.answer for edited in Editor(random.Random(seed)).clause_removed(HIT)} == {"yes"}


def test_another_rule_as_a_clause_is_met_by_what_breaks_it() -> None:
    host = replace(CLEAR, answer="no")
    with_it, without = Editor(random.Random(1)).clause_removed(host, donor=SOLD)
    assert (with_it.answer, without.answer) == ("yes", "no")
    assert "sells a good" in words(with_it).lower()
    assert "good" not in words(without)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_exemption_counts_only_where_it_stands_and_applies(seed: int) -> None:
    kept, gone = Editor(random.Random(seed)).exemption_toggled(EXEMPT)
    assert (kept.answer, kept.exemption) == ("except", "study")
    assert gone.answer == "yes"
    assert "study" not in words(gone)
    covered, not_about, not_there = Editor(random.Random(seed)).exemption_toggled(HIT)
    assert covered.exemption == covered.policy.rule("R1").exemptions[-1].id
    assert [edited.answer for edited in (covered, not_about, not_there)] == ["except", "yes", "yes"]
    assert covered.text == not_there.text != not_about.text == TEXT
    assert covered.policy == not_about.policy != not_there.policy == PLANTS


def test_swapped_rules_are_answered_by_their_words() -> None:
    (edited,) = Editor(random.Random(1)).rule_swapped(CLEAR, SOLD)
    assert (edited.policy.policy, edited.rule_id, edited.answer) == ("garden/plants", "R1", "yes")
    assert "Sells a good." in words(edited)
    (edited,) = Editor(random.Random(1)).rule_swapped(SOLD, CLEAR)
    assert edited.answer == "no"


def test_words_that_mean_two_things_are_not_mixed() -> None:
    other = make_policy("market/sales", SALES.rules, definitions={"good": "anything kind"})
    case = Case(SALES, SALES.rules[0], TEXT, "no")
    donor = Case(other, other.rules[0], TEXT, "yes")
    assert not list(Editor(random.Random(1)).rule_swapped(case, donor))
    assert not list(Editor(random.Random(1)).clause_removed(case, donor=donor))


@pytest.mark.parametrize("case", [HIT, CLEAR, EXEMPT])
@pytest.mark.parametrize("seed", SEEDS)
def test_other_words_and_other_ids_change_no_answer(case: Case, seed: int) -> None:
    (paraphrased,) = Editor(random.Random(seed)).paraphrased(case)
    assert (paraphrased.answer, paraphrased.exemption) == (case.answer, case.exemption)
    assert paraphrased.policy.rule("R1").violates != RULE.violates
    (renumbered,) = Editor(random.Random(seed)).renumbered(case)
    rule = renumbered.policy.rule(renumbered.rule_id)
    assert (rule.violates, rule.exemptions[0].when) == (RULE.violates, RULE.exemptions[0].when)
    assert rule.id != "R1"
    assert rule.exemptions[0].id != "study"
    assert renumbered.answer == case.answer
    assert renumbered.exemption == (rule.exemptions[0].id if case.answer == "except" else None)


def test_the_topics_of_the_probes_are_kept_for_the_probes() -> None:
    probed = {word for topic in probe_edits.TOPICS for word in topic.clause.split()[-1:]}
    assert not probed & {topic.clause.split()[-1] for topic in TOPICS}


def test_rules_that_nobody_looked_at_are_no_cases() -> None:
    policies: list[Policy] = [PLANTS, SALES]
    found = known_cases(policies, {"garden/plants#R2": "no"}, TEXT)
    assert [(case.policy.policy, case.rule.id, case.answer) for case in found] == [
        ("garden/plants", "R2", "no")
    ]
