"""Policies and overlays in, merged policies out: pure, and the same every time.

Later overlays are laid over earlier ones. Whatever an overlay contributes keeps the place it was
written at, so that a merged policy can say where each of its lines comes from. Expects overlays that
``overlay_check`` has passed. Knows nothing about files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from llm_judge.policy.model import ActionStep, Node, Policy, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llm_judge.policy.overlay_model import Overlay, PolicyChange, RuleChange

N = TypeVar("N", bound=Node)


def apply_overlays(policies: Sequence[Policy], overlays: Iterable[Overlay]) -> tuple[Policy, ...]:
    """Return the policies with the overlays laid over them, in the policies' order.

    Policies that no overlay names stay as they are, changes of policies that are not there are
    ignored, and a policy whose rules are all switched off is left out.
    """
    merged = tuple(policies)
    for overlay in overlays:
        changes = {change.policy: change for change in overlay.changes}
        laid = (
            _changed(policy, changes[policy.policy], overlay.stamp) if policy.policy in changes else policy
            for policy in merged
        )
        merged = tuple(policy for policy in laid if policy is not None)
    return merged


def _changed(policy: Policy, change: PolicyChange, stamp: str) -> Policy | None:
    changes = {each.rule: each for each in change.rules}
    off = {name for name, each in changes.items() if each.switch_off}
    kept = tuple(
        _changed_rule(rule, changes[rule.id]) if rule.id in changes else rule
        for rule in policy.rules
        if rule.id not in off
    )
    rules = kept + change.add_rules
    if not rules:
        return None
    steps = (_without(step, off) for step in change.actions_first + policy.actions)
    new: dict[str, Any] = {
        "definitions": {**policy.definitions, **change.definitions},
        "rules": rules,
        "actions": tuple(step for step in steps if step is not None),
    }
    terms = [f"definitions.{name}" for name in change.definitions if name not in policy.definitions]
    named = {"definitions": "definitions", "actions_first": "actions", "add_rules": "rules"}
    named.update({term: term for term in terms})
    for key in ("otherwise", "on_error"):
        if (value := getattr(change, key)) is not None:
            new[key], named[key] = value, key
    moved = {"otherwise", "on_error"}
    merged = _with_places(policy, change, named, moved).model_copy(update=new)
    return merged.model_copy(update={"overlays": (*policy.overlays, stamp)})


def _changed_rule(rule: Rule, change: RuleChange) -> Rule:
    gone = set(change.remove_exemptions)
    new: dict[str, Any] = {
        "exemptions": tuple(e for e in rule.exemptions if e.id not in gone) + change.add_exemptions,
        "examples": tuple(e for e in rule.examples if e.exemption not in gone) + change.add_examples,
    }
    named = {"add_exemptions": "exemptions", "add_examples": "examples"}
    for key, better in (("raise_severity_to", max), ("lower_severity_to", min)):
        wanted = getattr(change, key)
        if wanted is not None and better(wanted, rule.severity) != rule.severity:
            new["severity"], named[key] = wanted, "severity"
    if change.floor and not rule.floor:
        new["floor"], named["floor"] = True, "floor"
    return _with_places(rule, change, named, {"severity", "floor"}).model_copy(update=new)


def _with_places(node: N, change: Node, named: dict[str, str], moved: set[str]) -> N:
    """Return the node knowing where the change wrote each key.

    Args:
        node: what is changed.
        change: what changes it.
        named: key of the change → key of the node.
        moved: keys of the node whose place is now in the overlay even where the base has them.
    """
    places = dict(node.places)
    for key, target in named.items():
        span = change.place(key)
        if span is not None and (target in moved or target not in places):
            places[target] = span
    return node.model_copy(update={"places": tuple(places.items())})


def _without(step: ActionStep, off: set[str]) -> ActionStep | None:
    """Return the step without rules that are switched off; a step that named only such rules goes."""
    if step.rules is None or not off.intersection(step.rules):
        return step
    left = tuple(name for name in step.rules if name not in off)
    return step.model_copy(update={"rules": left}) if left else None
