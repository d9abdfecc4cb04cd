"""Two versions of policies → what changed, in words a policy lead understands.

Compares typed data, so layout, comments and the order of keys never show. Every difference that
``policy_digest`` counts is a change of meaning; ownership and version are shown beside them as notes.
Knows nothing about files, git, prompts or engines.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from llm_judge.policy.model import ActionStep, Example, Exemption, Node, Policy, Rule, Status

_PLACEHOLDER = re.compile(r"\{([A-Za-z][A-Za-z0-9_-]*)\}")
_WORDS = re.compile(r"\s+|[^\s]+")
_JUDGED = frozenset({Status.TEST, Status.STABLE})  # as folders are read
_SAME_RULE = 0.8  # likeness of two descriptions under different ids that are taken for one rule


@dataclass(frozen=True, slots=True)
class WordChange:
    """A stretch of words: ``kind`` is ``same``, ``removed`` or ``added``."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changed.

    Attributes:
        rule: id of the rule it is about, the new one where it was renamed; None for the policy.
        text: what changed, in one line.
        meaning: whether it can change what is judged or done; ownership, version and notes do not.
        words: both versions of a wording, word by word; empty where ``text`` says it all.
    """

    rule: str | None
    text: str
    meaning: bool = True
    words: tuple[WordChange, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyDiff:
    """What changed in one policy.

    Attributes:
        policy: its id, the new one where it was renamed.
        state: ``added``, ``removed``, ``changed``, or ``layout`` where only the file's text differs.
        changes: in reading order.
        renamed: old → new rule ids.
        origin: its old id where the policy was renamed, else None.
    """

    policy: str
    state: str
    changes: tuple[Change, ...]
    renamed: tuple[tuple[str, str], ...] = ()
    origin: str | None = None

    @property
    def meaning(self) -> bool:
        """Whether anything that counts changed."""
        return any(change.meaning for change in self.changes)


def diff_policies(
    old: Sequence[Policy], new: Sequence[Policy], texts: dict[str, tuple[str, str]] | None = None
) -> list[PolicyDiff]:
    """Compare two sets of policies by their ids.

    Args:
        texts: the two file texts of a policy by id, to say where only layout or comments changed.

    Returns:
        One entry for each policy with a difference, sorted by id.
    """
    before, after = {p.policy: p for p in old}, {p.policy: p for p in new}
    moved = dict(_moved(before, after))
    found = []
    for name in sorted({*before, *after} - set(moved)):
        one, two = before.get(name), after.get(name)
        origin = next((o for o, n in moved.items() if n == name), None)
        if origin is not None and two is not None:
            renamed = Change(None, f"policy `{origin}` renamed `{name}`")
            inner = diff_policy(before[origin], two)
            found.append(PolicyDiff(name, "changed", (renamed, *inner.changes), inner.renamed, origin))
        elif one is None and two is not None:
            rules = ", ".join(rule.id for rule in two.rules)
            found.append(PolicyDiff(name, "added", (Change(None, f"policy added with rules {rules}"),)))
        elif two is None and one is not None:
            rules = ", ".join(rule.id for rule in one.rules)
            found.append(PolicyDiff(name, "removed", (Change(None, f"policy removed with rules {rules}"),)))
        elif one is not None and two is not None:
            found += _changed(one, two, (texts or {}).get(name))
    return found


def diff_policy(old: Policy, new: Policy) -> PolicyDiff:
    """Compare two versions of one policy."""
    renamed = dict(_renamed(old.rules, new.rules))
    changes = (
        *_policy_fields(old, new),
        *_definitions(old, new),
        *_rules(old, new, renamed),
        *_actions(old, new),
        *_notes(old, new),
    )
    return PolicyDiff(new.policy, "changed", changes, tuple(renamed.items()))


def word_changes(old: str, new: str) -> tuple[WordChange, ...]:
    """Return both texts as one, word by word; white space belongs to the words around it."""
    one, two = _WORDS.findall(old), _WORDS.findall(new)
    found: list[WordChange] = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, one, two, autojunk=False).get_opcodes():
        if kind == "equal":
            found.append(WordChange("same", "".join(one[a:b])))
            continue
        if b > a:
            found.append(WordChange("removed", "".join(one[a:b])))
        if d > c:
            found.append(WordChange("added", "".join(two[c:d])))
    return tuple(found)


def step_text(step: ActionStep) -> str:
    """One step of a ladder in words: ``remove at severity ≥ 4, probability ≥ 0.9``."""
    parts = []
    if step.severity_at_least is not None:
        parts.append(f"severity ≥ {step.severity_at_least}")
    if step.probability_at_least is not None:
        parts.append(f"probability ≥ {step.probability_at_least}")
    if step.rules is not None:
        parts.append(f"rules {', '.join(sorted(set(step.rules)))}")
    return f"{step.do.value} at {', '.join(parts)}" if parts else f"{step.do.value} always"


def _changed(old: Policy, new: Policy, texts: tuple[str, str] | None) -> Iterator[PolicyDiff]:
    found = diff_policy(old, new)
    if found.changes:
        yield found
    elif texts is not None and texts[0] != texts[1]:
        yield PolicyDiff(new.policy, "layout", ())


def _moved(before: dict[str, Policy], after: dict[str, Policy]) -> Iterator[tuple[str, str]]:
    """Yield old and new id of policies that kept all their rules under another id."""
    fresh = {name: policy for name, policy in after.items() if name not in before}
    for name, policy in before.items():
        if name not in after:
            only = len(before) == len(after) == 1  # two files given outright are two versions
            same = [n for n, other in fresh.items() if only or _data(other.rules) == _data(policy.rules)]
            if same:
                del fresh[same[0]]
                yield name, same[0]


def _renamed(old: Sequence[Rule], new: Sequence[Rule]) -> Iterator[tuple[str, str]]:
    """Yield old and new id of rules whose description stayed, or nearly so, under another id."""
    gone = [rule for rule in old if rule.id not in {r.id for r in new}]
    fresh = [rule for rule in new if rule.id not in {r.id for r in old}]
    for rule in gone:
        likeness = [
            (difflib.SequenceMatcher(None, rule.violates, other.violates, autojunk=False).ratio(), other)
            for other in fresh
        ]
        best = max(likeness, key=lambda pair: pair[0], default=None)
        if best is not None and best[0] >= _SAME_RULE:
            fresh.remove(best[1])
            yield rule.id, best[1].id


def _wording(rule: str | None, name: str, old: str, new: str) -> Iterator[Change]:
    if old != new:
        yield Change(rule, f"{name} reworded", words=word_changes(old, new))


def _policy_fields(old: Policy, new: Policy) -> Iterator[Change]:
    if old.status is not new.status:
        judged = (old.status in _JUDGED) != (new.status in _JUDGED)
        ending = ""
        if judged:
            ending = ": it is judged now" if new.status in _JUDGED else ": it is no longer judged"
        yield Change(None, f"status {old.status} → {new.status}{ending}", meaning=judged)
    yield from _wording(None, "title", old.title, new.title)
    yield from _wording(None, "summary", old.summary, new.summary)
    if set(old.modalities) != set(new.modalities):
        yield Change(None, f"modalities {_set_change(old.modalities, new.modalities)}")


def _definitions(old: Policy, new: Policy) -> Iterator[Change]:
    for term in sorted({*old.definitions, *new.definitions}):
        one, two = old.definitions.get(term), new.definitions.get(term)
        users = list(dict.fromkeys([*_users(old, term), *_users(new, term)]))
        used = f" (used by {', '.join(users)})" if users else " (used by no rule)"
        if one is None:
            yield Change(None, f"definition `{term}` added{used}", bool(users))
        elif two is None:
            yield Change(None, f"definition `{term}` removed{used}", bool(users))
        elif one != two:
            yield Change(None, f"definition `{term}` changed{used}", bool(users), word_changes(one, two))


def _users(policy: Policy, term: str) -> list[str]:
    return [
        rule.id
        for rule in policy.rules
        if any(
            term in _PLACEHOLDER.findall(text) for text in (rule.violates, *(e.when for e in rule.exemptions))
        )
    ]


def _rules(old: Policy, new: Policy, renamed: dict[str, str]) -> Iterator[Change]:
    before = {renamed.get(rule.id, rule.id): rule for rule in old.rules}
    after = {rule.id: rule for rule in new.rules}
    for name, rule in before.items():
        if name not in after:
            yield Change(
                rule.id, f"rule removed: {rule.title}", words=(WordChange("removed", rule.violates),)
            )
    for name, rule in after.items():
        if name not in before:
            yield Change(name, f"rule added: {rule.title}", words=(WordChange("added", rule.violates),))
        else:
            yield from _rule(before[name], rule, (old, new))
    kept = [name for name in before if name in after]
    if kept != [name for name in after if name in before]:
        yield Change(None, f"rules reordered: {', '.join(after)}")


def _rule(old: Rule, new: Rule, policies: tuple[Policy, Policy]) -> Iterator[Change]:
    name = new.id
    if old.id != name:
        yield Change(name, f"renamed from {old.id}")
    yield from _wording(name, "title", old.title, new.title)
    yield from _wording(name, "description", old.violates, new.violates)
    if old.severity != new.severity:
        yield Change(name, f"severity {old.severity} → {new.severity}")
    asked = [
        set(rule.modalities or policy.modalities) for rule, policy in zip((old, new), policies, strict=True)
    ]
    if asked[0] != asked[1] and (old.modalities or new.modalities):
        yield Change(name, f"modalities {_set_change(*asked)}")
    if old.floor != new.floor:
        yield Change(name, "floor set: overlays may not loosen it" if new.floor else "floor lifted")
    yield from _exemptions(name, old.exemptions, new.exemptions)
    yield from _examples(name, old.examples, new.examples)


def _exemptions(rule: str, old: Sequence[Exemption], new: Sequence[Exemption]) -> Iterator[Change]:
    before, after = {e.id: e for e in old}, {e.id: e for e in new}
    for name, exemption in before.items():
        if name not in after:
            removed = (WordChange("removed", exemption.when),)
            yield Change(rule, f"exemption `{name}` removed", words=removed)
    for name, exemption in after.items():
        if name not in before:
            yield Change(rule, f"exemption `{name}` added", words=(WordChange("added", exemption.when),))
        else:
            yield from _wording(rule, f"exemption `{name}`", before[name].when, exemption.when)
    if before.keys() == after.keys() and list(before) != list(after):
        yield Change(rule, f"exemptions reordered: {', '.join(after)}")


def _examples(rule: str, old: Sequence[Example], new: Sequence[Example]) -> Iterator[Change]:
    before, after = {e.content: e for e in old}, {e.content: e for e in new}
    changes = []
    for content, example in before.items():
        if content not in after:
            words = (WordChange("removed", content),)
            changes.append(Change(rule, f"example ({example.verdict}) removed", words=words))
    for content, example in after.items():
        earlier = before.get(content)
        words = (WordChange("added" if earlier is None else "same", content),)
        if earlier is None:
            changes.append(Change(rule, f"example ({example.verdict}) added", words=words))
        elif _answer(earlier) != _answer(example):
            changes.append(Change(rule, f"example {_answer(earlier)} → {_answer(example)}", words=words))
        else:
            changes += _wording(rule, "reason of an example", earlier.because, example.because)
    if not changes and _data(old) != _data(new):
        changes.append(Change(rule, "examples reordered"))
    yield from changes


def _data(nodes: Sequence[Node]) -> list[dict[str, Any]]:
    """Plain data, which is equal where only the places in the file differ."""
    return [node.model_dump() for node in nodes]


def _answer(example: Example) -> str:
    return f"{example.verdict} ({example.exemption})" if example.exemption else example.verdict


def _actions(old: Policy, new: Policy) -> Iterator[Change]:
    one, two = [step_text(step) for step in old.actions], [step_text(step) for step in new.actions]
    for kind, a, b, c, d in difflib.SequenceMatcher(None, one, two, autojunk=False).get_opcodes():
        if kind == "replace" and b - a == d - c:
            for was, now, number in zip(one[a:b], two[c:d], range(c + 1, d + 1), strict=True):
                yield Change(None, f"action step {number}: {was} → {now}")
        elif kind != "equal":
            for number, text in zip(range(a + 1, b + 1), one[a:b], strict=True):
                yield Change(None, f"action step {number} removed: {text}")
            for number, text in zip(range(c + 1, d + 1), two[c:d], strict=True):
                yield Change(None, f"action step {number} added: {text}")
    if old.otherwise is not new.otherwise:
        yield Change(None, f"otherwise {old.otherwise} → {new.otherwise}")
    if old.on_error is not new.on_error:
        yield Change(None, f"on_error {old.on_error} → {new.on_error}")


def _notes(old: Policy, new: Policy) -> Iterator[Change]:
    fields: dict[str, Callable[[Policy], Any]] = {
        "version": lambda policy: policy.version,
        "owner": lambda policy: policy.owner,
    }
    for name, field in fields.items():
        if field(old) != field(new):
            yield Change(None, f"{name} {field(old)} → {field(new)}", meaning=False)
    for name in sorted({*old.maps_to, *new.maps_to}):
        one, two = old.maps_to.get(name, ()), new.maps_to.get(name, ())
        if one != two:
            yield Change(None, f"maps_to {name}: {_set_change(one, two)}", meaning=False)


def _set_change(old: Sequence[Any] | set[Any], new: Sequence[Any] | set[Any]) -> str:
    """``+audio −video``: what came and what went."""
    came = [f"+{item}" for item in sorted(set(new) - set(old))]
    went = [f"−{item}" for item in sorted(set(old) - set(new))]
    return " ".join([*came, *went]) or "reordered"
