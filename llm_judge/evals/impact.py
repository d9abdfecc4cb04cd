"""The same items under two versions of the policies → what flips, and whether that is for the better.

One engine answers for both versions. Knows nothing about files of items or report formats.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llm_judge.decision import decide
from llm_judge.evals.grading import Expectation, Mark, grade
from llm_judge.evals.judging import build_judges, judge_items
from llm_judge.evals.paired import PairTally
from llm_judge.evals.statistics import Share, share
from llm_judge.policy.model import Action
from llm_judge.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llm_judge.batch.items import Item
    from llm_judge.engines.protocol import Engine, EngineInfo
    from llm_judge.policy.diff import PolicyDiff
    from llm_judge.policy.model import Policy
    from llm_judge.record import DecisionRecord
    from llm_judge.verdict import Verdict

GONE = "no such rule"  # stands for the verdict of a rule that one version does not have


@dataclass(frozen=True, slots=True)
class ImpactItem:
    """Something to judge under both versions.

    Attributes:
        item: what is opened and judged.
        shown: its words, for people.
        lang: ISO 639 code, None if unknown.
        expected: the right answer, None if unknown.
    """

    item: Item
    shown: str
    lang: str | None = None
    expected: Expectation | None = None


@dataclass(frozen=True, slots=True)
class VerdictFlip:
    """One rule that says something else; ``rule`` is its key in the new version where it has one."""

    rule: str
    before: str
    after: str
    probability_before: float | None
    probability_after: float | None


@dataclass(frozen=True, slots=True)
class ItemImpact:
    """What one item got from both versions; ``right_…`` is None where no answer is expected."""

    id: str
    shown: str
    lang: str | None
    expected: Expectation | None
    action_before: Action
    action_after: Action
    verdict_flips: tuple[VerdictFlip, ...]
    right_before: bool | None
    right_after: bool | None

    @property
    def flips(self) -> bool:
        """Whether its action or any verdict differs."""
        return self.action_before is not self.action_after or bool(self.verdict_flips)


@dataclass(frozen=True, slots=True)
class Impact:
    """What the items got.

    Attributes:
        policies: ids that were judged by.
        engine: who answered.
        items: those judged under both versions, in order.
        failed: items that could not be judged.
        overall: decision flips.
        rules: verdict flips by rule key, rules with a flip or an expected answer only.
        languages: decision flips by language.
    """

    policies: tuple[str, ...]
    engine: EngineInfo
    items: tuple[ItemImpact, ...]
    failed: int
    overall: PairTally
    rules: Mapping[str, PairTally]
    languages: Mapping[str, PairTally]

    @property
    def flipped(self) -> list[ItemImpact]:
        """Items whose action or verdict flips."""
        return [item for item in self.items if item.flips]

    @property
    def verdict_share(self) -> Share:
        """Items with at least one verdict that flips."""
        return share(sum(bool(item.verdict_flips) for item in self.items), len(self.items))

    def as_json(self) -> dict[str, Any]:
        """Plain data; lists the items that flip."""
        return {
            "policies": list(self.policies),
            "engine": {
                "engine": self.engine.engine,
                "model": self.engine.model,
                "model_digest": self.engine.model_digest,
                "adapter_digest": self.engine.adapter_digest,
            },
            "failed": self.failed,
            "decisions": self.overall.as_json(),
            "items_with_verdict_flips": self.verdict_share.as_json(),
            "rules": {name: tally.as_json() for name, tally in self.rules.items()},
            "languages": {name: tally.as_json() for name, tally in self.languages.items()},
            "flipped": [_item_json(item) for item in self.flipped],
        }


def measure_impact(
    old: Sequence[Policy],
    new: Sequence[Policy],
    diffs: Sequence[PolicyDiff],
    items: Sequence[ImpactItem],
    engine: Engine,
    advance: Callable[[int], None] = lambda _: None,
) -> Impact:
    """Judge every item by ``old`` and by ``new`` and compare.

    Args:
        old, new: what is judged by; an empty side lets everything pass.
        diffs: the comparison of the two, for renamed rules.
        advance: called with the number of readings done; ``2 × len(items)`` in all.

    Raises:
        BudgetExceeded, EngineError, PackageError, Interrupted: nothing is reported.
    """
    forward = renamed_keys(old, new, diffs)
    backward = {after: before for before, after in forward.items()}
    before = _answers(old, items, engine, advance)
    after = _answers(new, items, engine, advance)
    compared, failed = [], 0
    for item, one, two in zip(items, before, after, strict=True):
        if _failed(one) or _failed(two):
            failed += 1
            continue
        compared.append(_compare(item, one, two, forward, backward))
    rule_keys = list(dict.fromkeys([*(forward.get(k, k) for k in _keys(old)), *_keys(new)]))
    return Impact(
        policies=tuple(sorted({policy.policy for policy in (*old, *new)})),
        engine=engine.info,
        items=tuple(compared),
        failed=failed,
        overall=_overall(compared),
        rules=_by_rule(compared, rule_keys, forward),
        languages=_by_language(compared),
    )


def renamed_keys(old: Sequence[Policy], new: Sequence[Policy], diffs: Sequence[PolicyDiff]) -> dict[str, str]:
    """Return old key → new key of every rule that has another one now."""
    there = set(_keys(new))
    origin = {policy.policy: policy.policy for policy in new}
    for diff in diffs:
        origin.update({diff.policy: diff.origin} if diff.origin else {})
    names = {before: after for after, before in origin.items()}
    renamed = {diff.policy: dict(diff.renamed) for diff in diffs}
    found = {}
    for key in _keys(old):
        policy, _, rule = key.partition("#")
        name = names.get(policy, policy)
        target = f"{name}#{renamed.get(name, {}).get(rule, rule)}"
        if target != key and target in there:
            found[key] = target
    return found


def _keys(policies: Sequence[Policy]) -> list[str]:
    return [f"{policy.policy}#{rule.id}" for policy in policies for rule in policy.rules]


def _answers(
    policies: Sequence[Policy],
    items: Sequence[ImpactItem],
    engine: Engine,
    advance: Callable[[int], None],
) -> list[DecisionRecord | None]:
    """One record an item over all groups of policies; None where there are no policies."""
    if not policies:
        advance(len(items))
        return [None] * len(items)
    judges = build_judges(policies, engine)
    answers: list[DecisionRecord | None] = [None] * len(items)
    for number, judge in enumerate(judges):
        progress = advance if number == len(judges) - 1 else lambda _: None
        for i, record in enumerate(judge_items(judge, (each.item for each in items), progress)):
            answers[i] = _joined(answers[i], record, policies)
    return answers


def _joined(
    earlier: DecisionRecord | None, record: DecisionRecord, policies: Sequence[Policy]
) -> DecisionRecord:
    if earlier is None or record.error is not None:
        return record
    if earlier.error is not None:
        return earlier
    verdicts = (*earlier.verdicts, *record.verdicts)
    decision = decide(verdicts, policies)
    return replace(record, verdicts=verdicts, decision=decision, action=decision.action)


def _failed(record: DecisionRecord | None) -> bool:
    return record is not None and record.error is not None


def _compare(
    item: ImpactItem,
    one: DecisionRecord | None,
    two: DecisionRecord | None,
    forward: Mapping[str, str],
    backward: Mapping[str, str],
) -> ItemImpact:
    before = {forward.get(v.rule, v.rule): v for v in (one.verdicts if one else ())}
    after = {v.rule: v for v in (two.verdicts if two else ())}
    flips = [_flip(key, before.get(key), after.get(key)) for key in dict.fromkeys([*before, *after])]
    return ItemImpact(
        id=item.item.id,
        shown=item.shown,
        lang=item.lang,
        expected=item.expected,
        action_before=one.action if one else Action.ALLOW,
        action_after=two.action if two else Action.ALLOW,
        verdict_flips=tuple(flip for flip in flips if flip is not None),
        right_before=_right(item.expected, one, backward),
        right_after=_right(item.expected, two, forward),
    )


def _flip(key: str, before: Verdict | None, after: Verdict | None) -> VerdictFlip | None:
    one, two = _said(before), _said(after)
    # A rule that came or went changes nothing for an item that it finds clear.
    clear = Outcome.CLEAR.value
    if one == two or {one, two} == {GONE, clear}:
        return None
    p_before = before.probability if before else None
    return VerdictFlip(key, one, two, p_before, after.probability if after else None)


def _said(verdict: Verdict | None) -> str:
    if verdict is None:
        return GONE
    return f"exempt ({verdict.exemption})" if verdict.outcome is Outcome.EXEMPT else verdict.outcome.value


def _right(
    expected: Expectation | None, record: DecisionRecord | None, renamed: Mapping[str, str]
) -> bool | None:
    """Whether one version gives the expected answer, whichever version's names it is written in."""
    if expected is None:
        return None
    if record is None:
        return expected.rule is None or expected.verdict == Outcome.CLEAR
    names = {verdict.rule for verdict in record.verdicts}
    if expected.key is not None and expected.key not in names and expected.key in renamed:
        policy, _, rule = renamed[expected.key].partition("#")
        expected = replace(expected, policy=policy, rule=rule)
    if expected.verdict == Outcome.CLEAR and expected.key is not None and expected.key not in names:
        return True  # a rule that is not there does not fire
    return grade(expected, record).mark is Mark.PASS


def _overall(items: Sequence[ItemImpact]) -> PairTally:
    tally = PairTally()
    for item in items:
        _count_decision(tally, item)
    return tally


def _by_language(items: Sequence[ItemImpact]) -> dict[str, PairTally]:
    found: dict[str, PairTally] = {}
    for item in sorted(items, key=lambda item: (item.lang is None, item.lang or "")):
        _count_decision(found.setdefault(item.lang or "unknown", PairTally()), item)
    return found


def _count_decision(tally: PairTally, item: ItemImpact) -> None:
    same = item.action_before is item.action_after
    tally.add(None if same else (item.action_before.value, item.action_after.value))
    tally.compare(item.right_before, item.right_after)


def _by_rule(
    items: Sequence[ItemImpact], keys: Sequence[str], forward: Mapping[str, str]
) -> dict[str, PairTally]:
    found = {key: PairTally() for key in keys}
    for item in items:
        flips = {flip.rule: flip for flip in item.verdict_flips}
        for key, tally in found.items():
            flip = flips.get(key)
            tally.add((flip.before, flip.after) if flip else None)
            wanted = item.expected.key if item.expected else None
            if wanted is not None and forward.get(wanted, wanted) == key:
                tally.compare(item.right_before, item.right_after)
    return {key: tally for key, tally in found.items() if tally.flips or tally.expected}


def _item_json(item: ItemImpact) -> dict[str, Any]:
    return {
        "id": item.id,
        "lang": item.lang,
        "content": item.shown,
        "expected": str(item.expected) if item.expected else None,
        "action_before": item.action_before.value,
        "action_after": item.action_after.value,
        "right_before": item.right_before,
        "right_after": item.right_after,
        "verdicts": [
            {
                "rule": flip.rule,
                "before": flip.before,
                "after": flip.after,
                "probability_before": flip.probability_before,
                "probability_after": flip.probability_after,
            }
            for flip in item.verdict_flips
        ],
    }
