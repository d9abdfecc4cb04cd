"""Truth beside answers: an exempt rule does not apply; evidence counts where it overlaps what is marked."""

from __future__ import annotations

from dataclasses import replace

import pytest
from labelled_items import eval_item
from samples import compiled, make_content, make_policy, make_rule, opened

from llm_judge.evals.outcome_of import outcome_of
from llm_judge.judge import Judge
from llm_judge.verdict import Evidence, Outcome

RECORD = Judge(compiled(make_policy("garden/plants", (make_rule("R1"),))), opened()).judge(
    make_content("Hm.")
)


@pytest.mark.parametrize(
    ("outcome", "cited", "spans", "hit"),
    [
        (Outcome.VIOLATES, (3, 9), ((8, 12),), True),
        (Outcome.VIOLATES, (3, 8), ((8, 12),), False),
        (Outcome.VIOLATES, (3, 9), (), None),
        (Outcome.VIOLATES, None, ((8, 12),), None),
        (Outcome.CLEAR, (3, 9), ((8, 12),), None),
    ],
)
def test_evidence_hits_what_was_marked(
    outcome: Outcome, cited: tuple[int, int] | None, spans: tuple[tuple[int, int], ...], hit: bool | None
) -> None:
    evidence = (Evidence(1, "sentence", "x", *cited),) if cited else ()
    verdict = replace(RECORD.verdicts[0], outcome=outcome, evidence=evidence)
    item = replace(eval_item("x", "Hm."), spans=spans)
    assert outcome_of(item, replace(RECORD, verdicts=(verdict,))).evidence_hit is hit


@pytest.mark.parametrize(("label", "truth"), [("yes", True), ("no", False), ("except", False), (None, None)])
def test_an_exempt_rule_does_not_apply(label: str | None, truth: bool | None) -> None:
    item = replace(eval_item("x", "Hm."), rules={"garden/plants#R1": label} if label else {})
    (found,) = [answer for answer in outcome_of(item, RECORD).answers if answer.key == "garden/plants#R1"]
    assert found.truth is truth
