"""Verdicts → Decision: plain code over the policies' action ladders; no model is asked.

Every rule that fires is looked up in the ladder of its policy; the strictest action wins and names
its rules. A rule that could not be decided brings in its policy's ``on_error``, and says so.

Each policy's ladder compares with thresholds of that policy's own calibration. Where it has none, those over
all areas pooled stand in. A precision that the calibration found nowhere is a bar that nothing passes: no
removal without the promise. A recall that it found nowhere is a bar that everything passes: what the rule
fires on must not slip through because the model is weak. A decision names every such gap it met.

Knows nothing about prompts or engines.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from llm_judge.calibration import Calibration
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


class Effect(StrEnum):
    """What becomes of a step whose threshold the calibration does not give its policy."""

    SHARED = "shared"  # the threshold over all areas pooled stands in
    NEVER = "never"  # it never matches: a precision that is reached nowhere
    ALWAYS = "always"  # it matches all that fires: a recall that is reached nowhere


@dataclass(frozen=True, slots=True)
class Gap:
    """A threshold that a ladder names and that the calibration does not give the policy itself.

    Attributes:
        policy, threshold: id, and name without ``calibrated.``.
        effect: what becomes of steps with this threshold.
        reason: why there is none of its own.
    """

    policy: str
    threshold: str
    effect: Effect
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
        calibrated: False without a calibration where any ladder names thresholds; with one, where a rule
            fired whose ladder names a threshold that does not hold what it promises.
        gaps: thresholds named by ladders of rules that fired, that the calibration does not give.
    """

    action: Action
    determining_rules: tuple[str, ...]
    abstentions: tuple[Abstention, ...]
    on_error: Action | None
    calibrated: bool
    gaps: tuple[Gap, ...] = ()

    @property
    def undecided(self) -> bool:
        """True when no rule determined the action and at least one could not be decided."""
        return not self.determining_rules and bool(self.abstentions)


def decide(
    verdicts: Sequence[Verdict], policies: Sequence[Policy], calibration: Calibration | None = None
) -> Decision:
    """Combine the verdicts of one content.

    Args:
        verdicts: one per rule, in policy order.
        policies: the policies they belong to.
        calibration: thresholds, by policy; None for stand-ins.

    Raises:
        UsageError: a ladder names a threshold that is not known.
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
    fired = {rule.partition("#")[0] for _, rule in wanted}
    gaps = threshold_gaps([policy for policy in policies if policy.policy in fired], calibration)
    if calibration is None:
        calibrated = not any(_named_thresholds(policy) for policy in policies)
    else:
        calibrated = all(gap.effect is Effect.NEVER for gap in gaps)
    return Decision(action, determining, tuple(abstentions), on_error, calibrated, gaps)


def threshold_value(threshold: Threshold, policy: str, calibration: Calibration | None) -> float:
    """Return the probability that a step of this policy compares with.

    Args:
        threshold: a number, or ``calibrated.NAME``.
        policy: id.
        calibration: None for stand-ins.

    Returns:
        0..1, or infinity where a step with this threshold never matches.

    Raises:
        UsageError: no calibration of this kind holds such a name.
    """
    if not isinstance(threshold, str):
        return threshold
    name = threshold.removeprefix("calibrated.")
    if calibration is None:
        known: Iterable[str] = UNCALIBRATED
        if name in UNCALIBRATED:
            return UNCALIBRATED[name]
    else:
        known = calibration.shared
        found = calibration.threshold(policy, name)
        if found is not None:
            return found.at if found.at is not None else _WHEN_UNREACHED[_effect(name)]
    raise UsageError(
        f"`{policy}` names the threshold `{threshold}`, which is not in the calibration",
        f"known thresholds: {', '.join(sorted(known))}",
    )


def threshold_gaps(policies: Sequence[Policy], calibration: Calibration | None) -> tuple[Gap, ...]:
    """Return every named threshold that the calibration does not give a policy, in policy order.

    Nothing without a calibration: then all named thresholds are stand-ins.

    Raises:
        UsageError: a ladder names a threshold that is not known. Every policy is looked at, so that this
            is known at the start rather than at the first violation.
    """
    gaps = []
    for policy in policies:
        for named in dict.fromkeys(_named_thresholds(policy)):
            threshold_value(named, policy.policy, calibration)  # raises where it is not known
            if calibration is not None:
                gaps.append(_gap(policy.policy, named.removeprefix("calibrated."), calibration))
    return tuple(gap for gap in gaps if gap is not None)


def _gap(policy: str, name: str, calibration: Calibration) -> Gap | None:
    """What a policy lacks; None where the threshold is its own and is reached."""
    found = calibration.threshold(policy, name)
    reached = found is not None and found.at is not None
    reasons = []
    if not calibration.is_own(policy, name):
        reasons.append(f"the policy has no thresholds of its own: {calibration.why_not_own(policy)}")
    if not reached:
        reasons.append((found and found.reason) or "it was not reached")
    if not reasons:
        return None
    return Gap(policy, name, Effect.SHARED if reached else _effect(name), "; ".join(reasons))


def _effect(name: str) -> Effect:
    """What becomes of steps with a threshold of this name that is reached nowhere."""
    return Effect.ALWAYS if name.startswith("recall_") else Effect.NEVER


_WHEN_UNREACHED = {Effect.NEVER: math.inf, Effect.ALWAYS: 0.0}


def ladder_step(
    verdict: Verdict, policy: Policy, calibration: Calibration | None = None
) -> ActionStep | None:
    """Return the first step whose every predicate holds, or None: then ``otherwise`` counts."""
    matches = (step for step in policy.actions if _step_matches(step, verdict, policy.policy, calibration))
    return next(matches, None)


def _ladder_action(verdict: Verdict, policy: Policy, calibration: Calibration | None) -> Action:
    step = ladder_step(verdict, policy, calibration)
    return policy.otherwise if step is None else step.do


def _step_matches(step: ActionStep, verdict: Verdict, policy: str, calibration: Calibration | None) -> bool:
    if step.severity_at_least is not None and verdict.severity < step.severity_at_least:
        return False
    if step.rules is not None and verdict.rule.partition("#")[2] not in step.rules:
        return False
    if step.probability_at_least is None:
        return True
    return (verdict.probability or 0.0) >= threshold_value(step.probability_at_least, policy, calibration)


def _named_thresholds(policy: Policy) -> list[str]:
    return [s.probability_at_least for s in policy.actions if isinstance(s.probability_at_least, str)]


def _strictest(one: Action | None, other: Action) -> Action:
    return other if one is None or other.strictness > one.strictness else one
