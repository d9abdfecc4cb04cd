"""Verdicts become one action by plain code: first matching step, strictest rule, nothing folded away."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import make_calibration, make_entry, make_policy, make_rule

from llm_judge.calibration import Calibration
from llm_judge.decision import Decision, Effect, Gap, decide, threshold_gaps, threshold_value
from llm_judge.errors import UsageError
from llm_judge.policy.model import Action, ActionStep, OnError, Policy
from llm_judge.verdict import Outcome, Verdict

RULES = (make_rule("R1"), make_rule("R2"), make_rule("R3"))


def policy(*steps: ActionStep, name: str = "garden/plants", **changes: Any) -> Policy:
    return make_policy(name, RULES, actions=steps, **changes)


def verdict(
    rule: str = "garden/plants#R1",
    outcome: Outcome = Outcome.VIOLATES,
    probability: float | None = 0.9,
    severity: int = 3,
) -> Verdict:
    reason = "why" if outcome in (Outcome.ABSTAIN, Outcome.UNREADABLE) else None
    return Verdict(rule, outcome, probability, 0.0, 1.0, True, severity, reason)


def step(do: Action, **predicates: Any) -> ActionStep:
    return ActionStep(do=do, **predicates)


LADDER = policy(
    step(Action.REMOVE, severity_at_least=4, probability_at_least=0.8),
    step(Action.REDUCE, rules=("R2", "R3")),
    step(Action.REVIEW, probability_at_least=0.7),
    otherwise=Action.LABEL,
)


@pytest.mark.parametrize(
    ("rule", "severity", "probability", "action"),
    [
        ("R1", 4, 0.8, Action.REMOVE),  # both bars reached exactly
        ("R1", 5, 1.0, Action.REMOVE),
        ("R1", 4, 0.7999, Action.REVIEW),
        ("R1", 3, 0.99, Action.REVIEW),
        ("R2", 3, 0.99, Action.REDUCE),  # first match, although a later step is stricter
        ("R2", 4, 0.99, Action.REMOVE),
        ("R1", 3, 0.7, Action.REVIEW),
        ("R1", 3, 0.6999, Action.LABEL),
    ],
)
def test_the_first_step_that_matches_decides(
    rule: str, severity: int, probability: float, action: Action
) -> None:
    found = verdict(f"garden/plants#{rule}", probability=probability, severity=severity)
    assert decide([found], [LADDER]).action is action


def test_a_step_without_predicates_matches_everything() -> None:
    assert decide([verdict(probability=0.01)], [policy(step(Action.REVIEW))]).action is Action.REVIEW


def test_nothing_fires_means_allow() -> None:
    clear = [verdict(outcome=Outcome.CLEAR), verdict("garden/plants#R2", Outcome.EXEMPT)]
    strict = policy(step(Action.REMOVE), otherwise=Action.REMOVE, on_error=OnError.REMOVE)
    assert decide(clear, [strict]) == Decision(Action.ALLOW, (), (), None, True)
    assert not decide(clear, [strict]).undecided


def test_the_strictest_action_over_policies_wins_and_names_its_rules() -> None:
    mild, strict = policy(step(Action.LABEL)), policy(step(Action.REMOVE), name="market/sales")
    fired = [verdict(), verdict("market/sales#R2"), verdict("market/sales#R3"), verdict("garden/plants#R2")]
    decision = decide(fired, [mild, strict])
    assert decision.action is Action.REMOVE
    assert decision.determining_rules == ("market/sales#R2", "market/sales#R3")


def test_a_rule_that_fires_and_is_allowed_still_determines() -> None:
    decision = decide([verdict()], [policy()])
    assert (decision.action, decision.determining_rules) == (Action.ALLOW, ("garden/plants#R1",))


@pytest.mark.parametrize("on_error", OnError)
@pytest.mark.parametrize("outcome", [Outcome.ABSTAIN, Outcome.UNREADABLE])
def test_could_not_tell_does_what_the_policy_says_and_is_seen(on_error: OnError, outcome: Outcome) -> None:
    decision = decide([verdict(outcome=outcome, probability=None)], [policy(on_error=on_error)])
    assert decision.action.value == on_error.value
    assert decision.on_error is decision.action
    assert decision.determining_rules == ()
    assert [(a.rule, a.outcome, a.reason) for a in decision.abstentions] == [
        ("garden/plants#R1", outcome, "why")
    ]
    assert decision.undecided


@pytest.mark.parametrize(
    ("fires", "on_error", "action", "undecided"),
    [
        (Action.REMOVE, OnError.REVIEW, Action.REMOVE, False),
        (Action.REVIEW, OnError.REVIEW, Action.REVIEW, False),
        (Action.LABEL, OnError.REVIEW, Action.REVIEW, True),
        (Action.LABEL, OnError.ALLOW, Action.LABEL, False),
        (Action.REVIEW, OnError.REMOVE, Action.REMOVE, True),
    ],
)
def test_a_violation_beside_an_abstention(
    fires: Action, on_error: OnError, action: Action, undecided: bool
) -> None:
    unsure = verdict("garden/plants#R2", Outcome.ABSTAIN, 0.5)
    decision = decide([verdict(), unsure], [policy(step(fires), on_error=on_error)])
    assert decision.action is action
    assert decision.undecided == undecided
    assert decision.determining_rules == (() if undecided else ("garden/plants#R1",))
    assert len(decision.abstentions) == 1


def test_the_strictest_on_error_counts() -> None:
    policies = [policy(on_error=OnError.REMOVE), policy(name="market/sales", on_error=OnError.ALLOW)]
    unsure = [verdict(outcome=Outcome.ABSTAIN), verdict("market/sales#R1", Outcome.ABSTAIN)]
    assert decide(unsure, policies).on_error is Action.REMOVE


NAMED = policy(step(Action.REMOVE, probability_at_least="calibrated.precision_95"))


def test_thresholds_come_from_the_calibration_and_stand_ins_are_flagged() -> None:
    found = [verdict(probability=0.85)]
    assert decide(found, [NAMED]) == Decision(Action.ALLOW, ("garden/plants#R1",), (), None, False)
    assert decide([verdict(probability=0.9)], [NAMED]).action is Action.REMOVE
    assert decide(found, [LADDER]).calibrated


def test_each_policy_has_its_own_thresholds() -> None:
    other = policy(step(Action.REMOVE, probability_at_least="calibrated.precision_95"), name="market/sales")
    calibration = make_calibration(
        make_entry("garden/plants", precision_95=0.8),
        make_entry("market/sales", precision_95=0.9),
        shared={"precision_95": 0.1},
    )
    fired = [verdict(probability=0.85), verdict("market/sales#R2", probability=0.85)]
    decision = decide(fired, [NAMED, other], calibration)
    assert (decision.action, decision.determining_rules) == (Action.REMOVE, ("garden/plants#R1",))
    assert (decision.calibrated, decision.gaps) == (True, ())


def test_the_thresholds_of_all_areas_stand_in_and_that_is_seen() -> None:
    calibration = make_calibration(
        shared={"precision_95": 0.8}, left_out={"garden/plants": "3 positives, 29 needed"}
    )
    decision = decide([verdict(probability=0.85)], [NAMED], calibration)
    assert (decision.action, decision.calibrated) == (Action.REMOVE, False)
    reason = "the policy has no thresholds of its own: 3 positives, 29 needed"
    assert decision.gaps == (Gap("garden/plants", "precision_95", Effect.SHARED, reason),)
    quiet = decide([verdict(outcome=Outcome.CLEAR)], [NAMED], calibration)
    assert (quiet.calibrated, quiet.gaps) == (True, ())  # no ladder was walked


@pytest.mark.parametrize("own", [True, False])
def test_what_calibration_could_not_show_never_removes_and_never_lets_through(own: bool) -> None:
    ladder = policy(
        step(Action.REMOVE, probability_at_least="calibrated.precision_95"),
        step(Action.REVIEW, probability_at_least="calibrated.recall_90"),
    )
    missing = {"precision_95": None, "recall_90": None}
    entries = [make_entry("garden/plants", **missing)] if own else []
    calibration = make_calibration(
        *entries, shared={"precision_95": 0.1, "recall_90": 0.99} if own else missing
    )
    for probability in (0.0, 1.0):
        decision = decide([verdict(probability=probability)], [ladder], calibration)
        assert (decision.action, decision.calibrated) == (Action.REVIEW, False)
    assert [(gap.threshold, gap.effect) for gap in decision.gaps] == [
        ("precision_95", Effect.NEVER),
        ("recall_90", Effect.ALWAYS),
    ]
    assert all("the best lower bound is 0.50" in gap.reason for gap in decision.gaps)
    strict = decide([verdict()], [NAMED], calibration)
    assert (strict.action, strict.calibrated) == (Action.ALLOW, True)  # no promise was broken
    assert decision.gaps == threshold_gaps([ladder], calibration)  # known before anything is judged


@pytest.mark.parametrize("calibration", [None, make_calibration(shared={"other": 0.5})])
def test_an_unknown_threshold_is_named_with_the_known_ones(calibration: Calibration | None) -> None:
    unknown = policy(step(Action.REMOVE, probability_at_least="calibrated.nosuch"))
    known = "other" if calibration else "precision_90, precision_95, recall_90, recall_95"
    for call in (
        lambda: threshold_gaps([unknown], calibration),
        lambda: decide([verdict()], [unknown], calibration),
    ):
        with pytest.raises(
            UsageError, match=r"`garden/plants` names the threshold `calibrated\.nosuch`, which is not"
        ) as caught:
            call()
        assert caught.value.hint == f"known thresholds: {known}"


def test_threshold_values() -> None:
    assert threshold_value(0.25, "garden/plants", None) == 0.25
    assert threshold_value("calibrated.x", "garden/plants", make_calibration(shared={"x": 0.4})) == 0.4
    assert threshold_gaps([NAMED, LADDER], None) == ()


VERDICTS = st.builds(
    verdict,
    rule=st.sampled_from([f"{p}#{r}" for p in ("garden/plants", "market/sales") for r in ("R1", "R2", "R3")]),
    outcome=st.sampled_from(Outcome),
    probability=st.floats(0, 1),
    severity=st.integers(1, 5),
)


@given(st.lists(VERDICTS, max_size=6), VERDICTS)
def test_one_more_verdict_never_makes_the_action_milder(verdicts: list[Verdict], more: Verdict) -> None:
    policies = [LADDER, policy(step(Action.REMOVE, severity_at_least=5), name="market/sales")]
    before, after = decide(verdicts, policies), decide([*verdicts, more], policies)
    assert after.action.strictness >= before.action.strictness
    assert {*before.abstentions} <= {*after.abstentions}
