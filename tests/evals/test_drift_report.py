"""What counts as drift: what is beyond chance, and nothing else."""

from __future__ import annotations

import random
from typing import Any

from llm_judge.drift.reference import Reference, RuleReference
from llm_judge.drift.sights import BINS, Window
from llm_judge.evals.drift_report import chance_level, drift_of
from llm_judge.verdict import Outcome

RULES = tuple(f"a/b#R{number}" for number in range(50))


def window(seed: int, items: int, shift: float = 0.0) -> Window:
    """Scores of many rules; with a shift the first rule's are higher."""
    found, dice = Window(RULES), random.Random(seed)
    for _ in range(items):
        line: list[Any] = []
        for rule in RULES:
            p = min(1.0, dice.random() ** 3 + (shift if rule == RULES[0] else 0.0))
            outcome = Outcome.VIOLATES if p > 0.7 else Outcome.ABSTAIN if p > 0.5 else Outcome.CLEAR
            line.append((rule, outcome, p, True))
        found.add(line)
    return found


def reference(made: Window) -> Reference:
    rules = {
        rule: RuleReference(flagged=each.flagged, abstained=each.abstained, scores=each.scores)
        for rule, each in made.counts().items()
    }
    return Reference(schema=1, made_at="2026-01-01", records=made.records, judged_by={}, rules=rules)


def test_nothing_moves_where_nothing_changed() -> None:
    known = reference(window(1, 400))
    assert [each.rule for each in drift_of(known, window(2, 300).counts()) if each.moved] == []


def test_a_rule_that_changed_is_found_alone_and_first() -> None:
    drifts = drift_of(reference(window(1, 400)), window(2, 300, shift=0.3).counts())
    assert [each.rule for each in drifts if each.moved] == [RULES[0]] == [drifts[0].rule]
    assert set(drifts[0].moved) >= {"flag rate", "scores"}
    assert drifts[0].index > drifts[0].by_chance


def test_of_a_few_items_a_large_index_is_chance() -> None:
    drifts = drift_of(reference(window(1, 8)), window(2, 8).counts())
    assert max(each.index for each in drifts) > 0.25
    assert not any(each.moved for each in drifts)


def test_a_rule_with_one_score_cannot_move() -> None:
    one = RuleReference(flagged=0, abstained=0, scores=(0, 9, *([0] * (len(BINS) - 2)))).counts()
    assert chance_level(one, one) == 0.0
