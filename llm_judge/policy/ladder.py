"""What can be wrong with an action ladder: steps never reached, rules never handled, unknown thresholds.

A verdict of a rule carries a severity from 1 up to the rule's own, and a probability. A step is out
of reach when no verdict gets to it, whatever the calibration. Knows nothing about calibration files:
the known names are handed in.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llm_judge.policy.codes import report
from llm_judge.policy.model import Action
from llm_judge.policy.shape import suggestion

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from llm_judge.diagnostics import Diagnostic
    from llm_judge.policy.model import ActionStep, Policy, Rule, Threshold
    from llm_judge.source import Source, SourceNode

# A ladder past this (50 rules and 100 steps) is no ladder: it is not compared step by step.
_MOST_COMPARISONS = 500_000
_FAMILY = re.compile(r"calibrated\.(precision|recall)_(\d+)")


def check_ladder(
    policy: Policy, tree: SourceNode, source: Source, thresholds: Collection[str]
) -> Iterator[Diagnostic]:
    """Yield P118, P119 and P120.

    Args:
        policy: the policy.
        tree: the tree it was read from, for the places of thresholds.
        source: its text.
        thresholds: names that may follow ``calibrated.``.
    """
    sound = True
    known_rules = {rule.id for rule in policy.rules}
    for index, step in enumerate(policy.actions):
        why = _unreachable(policy, index)
        sound = sound and not why and known_rules >= set(step.rules or ())
        if why and step.at:
            yield report(source, "P118", step.at, *why)
    if sound:  # a rule left over by a wrong step is not a second mistake
        yield from _unhandled(policy, source)
    steps = tree.get("actions")
    for step_node in steps.items if steps else ():
        node = step_node.get("probability_at_least")
        if node and node.text.startswith("calibrated."):
            name = node.text.removeprefix("calibrated.")
            if name not in thresholds:
                known = sorted(f"calibrated.{each}" for each in thresholds)
                message = f"threshold `{node.text}` is provided by no calibration"
                yield report(source, "P120", node.span, message, suggestion(node.text, known, "thresholds"))


def _unreachable(policy: Policy, index: int) -> tuple[str, str] | None:
    step = policy.actions[index]
    meant = [rule for rule in policy.rules if step.rules is None or rule.id in step.rules]
    if not meant:
        if step.rules:  # only unknown names: P107 says so
            return None
        return "this step names no rule, so it never matches", "name its rules, or delete `rules`"
    most = max(rule.severity for rule in meant)
    if step.severity_at_least is not None and step.severity_at_least > most:
        whose = "none of its rules" if step.rules is not None else "no rule of the policy"
        message = f"this step is never reached: {whose} is over severity {most}"
        return message, f"write `severity_at_least: {most}` or less, or delete the step"
    if len(policy.rules) * len(policy.actions) ** 2 > _MOST_COMPARISONS:
        return None
    within = [rule for rule in meant if rule.severity >= (step.severity_at_least or 1)]
    earlier = policy.actions[:index]
    takers = [next((other for other in earlier if _covers(other, step, rule)), None) for rule in within]
    if all(takers):
        first = min((other.at.line for other in takers if other and other.at), default=0)
        message = "this step is never reached: an earlier step takes all it would match"
        return message, f"move it above line {first}, or delete it"
    return None


def _covers(earlier: ActionStep, later: ActionStep, rule: Rule) -> bool:
    """Whether every verdict of ``rule`` that the later step matches is matched by the earlier one."""
    if earlier.rules is not None and rule.id not in earlier.rules:
        return False
    if (earlier.severity_at_least or 1) > (later.severity_at_least or 1):
        return False
    return _at_most(earlier.probability_at_least, later.probability_at_least)


def _at_most(one: Threshold | None, other: Threshold | None) -> bool:
    """Whether the first threshold is surely not above the second, under any calibration."""
    if one is None or one in (other, 0):
        return True
    if other is None:
        return False
    if not isinstance(one, str) and not isinstance(other, str):
        return one <= other
    mine, theirs = _FAMILY.fullmatch(str(one)), _FAMILY.fullmatch(str(other))
    if not mine or not theirs or mine[1] != theirs[1]:
        return False  # precision and recall thresholds can lie either way round
    # More precision needs a higher threshold, more recall a lower one.
    lower = int(mine[2]) <= int(theirs[2])
    return lower if mine[1] == "precision" else int(mine[2]) >= int(theirs[2])


def _unhandled(policy: Policy, source: Source) -> Iterator[Diagnostic]:
    """Yield P119 where a rule fires without any effect."""
    if policy.otherwise is not Action.ALLOW:
        return
    if not policy.actions and policy.at:
        message = f"policy `{policy.policy}` has no actions, so nothing ever follows from its rules"
        yield report(source, "P119", policy.at, message, "add `actions`, or make `otherwise` stricter")
        return
    for rule in policy.rules:
        if rule.at and not any(_can_match(step, rule) for step in policy.actions):
            message = (
                f"nothing ever follows from rule `{rule.id}`: no action step takes severity {rule.severity}"
            )
            yield report(source, "P119", rule.at, message, "add a step for it, or make `otherwise` stricter")


def _can_match(step: ActionStep, rule: Rule) -> bool:
    named = step.rules is None or rule.id in step.rules
    return named and rule.severity >= (step.severity_at_least or 1)
