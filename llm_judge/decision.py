"""Verdicts → Decision: plain code over the policies' action ladders; no model is asked.

Every rule that fires is looked up in the ladder of its policy; the strictest action wins and names
its rules. A rule that could not be decided brings in its policy's ``on_error``, and says so. Knows
nothing about prompts or engines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llm_judge.errors import UsageError
from llm_judge.policy.model import Action, ActionStep, Policy, Threshold
from llm_judge.verdict import Outcome, Verdict

# Stand-ins for thresholds that no calibration file has set yet. A decision made with one says
# `calibrated: false`: a model's raw probability does not promise any precision or recall.
UNCALIBRATED: Mapping[str, float] = {
    "precision_95": 0.9,
    "precision_90": 0.8,
    "recall_90": 0.5,
    "recall_95": 0.4,
}


@dataclass(frozen=True, slots=True)
class Abstention:
    """A rule that could not be decided, and why."""

    rule: str
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with one content.

    Attributes:
        action: strictest action that anything asked for.
        determining_rules: keys of the rules that asked for it, in policy order; empty when nothing
            fired or when only ``on_error`` decided.
        abstentions: rules that could not be decided.
        on_error: the strictest ``on_error`` action they brought in, or None; a stricter rule outranks it.
        calibrated: False when a ladder names thresholds and stand-ins are used for want of a calibration.
    """

    action: Action
    determining_rules: tuple[str, ...]
    abstentions: tuple[Abstention, ...]
    on_error: Action | None
    calibrated: bool

    @property
    def undecided(self) -> bool:
        """True when no rule determined the action and at least one could not be decided."""
        return not self.determining_rules and bool(self.abstentions)


def decide(
    verdicts: Sequence[Verdict],
    policies: Sequence[Policy],
    calibration: Mapping[str, float] | None = None,
) -> Decision:
    """Combine the verdicts of one content.

    Args:
        verdicts: one per rule, in policy order.
        policies: the policies they belong to.
        calibration: threshold name (without ``calibrated.``) → probability; None for none.

    Raises:
        UsageError: the ladder names a threshold that is not known.
    """
    by_id = {policy.policy: policy for policy in policies}
    wanted: list[tuple[Action, str]] = []
    abstentions: list[Abstention] = []
    on_error: Action | None = None
    for verdict in verdicts:
        policy = by_id[verdict.rule.partition("#")[0]]
        if verdict.outcome is Outcome.VIOLATES:
            wanted.append((_ladder_action(verdict, policy, calibration), verdict.rule))
        elif verdict.outcome in (Outcome.ABSTAIN, Outcome.UNREADABLE):
            abstentions.append(Abstention(verdict.rule, verdict.outcome, verdict.reason or "no reason given"))
            on_error = _strictest(on_error, Action(policy.on_error.value))
    action = Action.ALLOW
    for asked, _ in wanted:
        action = _strictest(action, asked)
    determining = tuple(rule for asked, rule in wanted if asked is action) if wanted else ()
    if on_error is not None and on_error.strictness > action.strictness:
        action, determining = on_error, ()
    calibrated = calibration is not None or not any(_named_thresholds(policy) for policy in policies)
    return Decision(action, determining, tuple(abstentions), on_error, calibrated)


def threshold_value(threshold: Threshold, calibration: Mapping[str, float] | None) -> float:
    """Resolve a number or a ``calibrated.NAME`` to a probability; raises ``UsageError`` if unknown."""
    if not isinstance(threshold, str):
        return threshold
    name = threshold.removeprefix("calibrated.")
    known = UNCALIBRATED if calibration is None else calibration
    if name not in known:
        raise UsageError(
            f"threshold `{threshold}` is not in the calibration",
            f"known thresholds: {', '.join(sorted(known))}",
        )
    return known[name]


def check_thresholds(policies: Sequence[Policy], calibration: Mapping[str, float] | None) -> None:
    """Raise ``UsageError`` now, rather than at the first violation, for an unknown threshold name."""
    for policy in policies:
        for name in _named_thresholds(policy):
            threshold_value(name, calibration)


def ladder_step(
    verdict: Verdict, policy: Policy, calibration: Mapping[str, float] | None = None
) -> ActionStep | None:
    """Return the first step whose every predicate holds, or None: then ``otherwise`` counts."""
    return next((step for step in policy.actions if _step_matches(step, verdict, calibration)), None)


def _ladder_action(verdict: Verdict, policy: Policy, calibration: Mapping[str, float] | None) -> Action:
    step = ladder_step(verdict, policy, calibration)
    return policy.otherwise if step is None else step.do


def _step_matches(step: ActionStep, verdict: Verdict, calibration: Mapping[str, float] | None) -> bool:
    if step.severity_at_least is not None and verdict.severity < step.severity_at_least:
        return False
    if step.rules is not None and verdict.rule.partition("#")[2] not in step.rules:
        return False
    if step.probability_at_least is None:
        return True
    return (verdict.probability or 0.0) >= threshold_value(step.probability_at_least, calibration)


def _named_thresholds(policy: Policy) -> list[str]:
    return [s.probability_at_least for s in policy.actions if isinstance(s.probability_at_least, str)]


def _strictest(one: Action | None, other: Action) -> Action:
    return other if one is None or other.strictness > one.strictness else one
