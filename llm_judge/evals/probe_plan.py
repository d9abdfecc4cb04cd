"""Policy + its cases → checks that say beforehand which answers must move and which must stay.

Each check is one rule read about one text under two versions of its policy. Knows nothing about engines.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_judge.compile import EXCEPT, NO, YES
from llm_judge.evals.probe_edits import (
    TOPICS,
    Topic,
    inverted,
    paraphrased,
    severities_reversed,
    with_clause,
    with_exemption,
    without_exemption,
)

if TYPE_CHECKING:
    from llm_judge.policy.cases import Case
    from llm_judge.policy.model import Policy, Rule


@dataclass(frozen=True, slots=True)
class Probe:
    """One kind of edit: what must move, what must stay, and the rate its moves count for."""

    name: str
    must_move: str
    must_stay: str
    rate: str | None


PROBES = (
    Probe("inverted", "every answer: yes to no, no to yes", "nothing", "inversion"),
    Probe("clause_added", "items about the added topic: no to yes", "clear items not about it", "clause"),
    Probe(
        "clause_removed", "items about the removed topic: yes to no", "items that violate anyway", "clause"
    ),
    Probe(
        "exemption_added", "violations about the topic: yes to except", "violations not about it", "clause"
    ),
    Probe("exemption_removed", "items it exempted: except to yes", "items that violate anyway", "clause"),
    Probe("unrelated_edited", "nothing", "every answer: another rule was inverted", None),
    Probe("severity_reversed", "nothing: severity is read by code", "every answer", None),
    Probe("paraphrased", "nothing", "every answer: the words changed, not the meaning", None),
)


@dataclass(frozen=True, slots=True)
class ProbeItem:
    """A text with the answer that the policy's author gives it."""

    id: str
    text: str
    verdict: str
    exemption: str | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """One rule read about one text under one version of the policy."""

    version: str
    rule: str
    text: str


@dataclass(frozen=True, slots=True)
class Check:
    """Two readings and what must be true of them.

    Attributes:
        moves: label before → label after, where the answer must move; None where it must stay.
    """

    probe: str
    rule: str
    item: str
    before: Ask
    after: Ask
    moves: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class PolicyPlan:
    """Every check of one policy, and the versions it needs by name; ``original`` is the policy itself."""

    policy: Policy
    versions: Mapping[str, Policy]
    checks: tuple[Check, ...]

    @property
    def asks(self) -> list[Ask]:
        """What must be read, each once, versions together so that each prefix is computed once."""
        found = dict.fromkeys(ask for check in self.checks for ask in (check.before, check.after))
        return sorted(found, key=lambda ask: list(self.versions).index(ask.version))


def rule_items(rule: Rule, cases: Iterable[Case]) -> list[ProbeItem]:
    """The rule's own cases and examples that are texts."""
    items = [
        ProbeItem(case.name, case.content, case.expect, case.exemption)
        for case in cases
        if case.rule == rule.id and case.content
    ]
    for number, example in enumerate(rule.examples, start=1):
        items.append(ProbeItem(f"example {number}", example.content, example.verdict, example.exemption))
    return items


def plan_policy(
    policy: Policy,
    cases: Sequence[Case],
    *,
    rules: Iterable[str] | None = None,
    probes: Iterable[str] | None = None,
    limit: int | None = 1,
    seed: int = 0,
) -> PolicyPlan:
    """Choose items and lay out the checks; the same arguments give the same plan.

    Args:
        rules: ids of rules to probe; all if None.
        probes: names of probes; all if None.
        limit: at most so many items of each rule and verdict; None for all.
    """
    wanted = set(probes) if probes is not None else {probe.name for probe in PROBES}
    versions = {"original": policy}
    checks: list[Check] = []
    for rule in policy.rules:
        if rules is not None and rule.id not in set(rules):
            continue
        dice = random.Random(f"{seed}/{policy.policy}/{rule.id}")  # noqa: S311  # a repeatable choice
        items = _chosen(rule_items(rule, cases), limit, dice)
        topic = dice.choice(TOPICS)
        builder = _Builder(policy, rule, items, topic, versions)
        for name in wanted:
            checks += builder.checks(name)
    order = [probe.name for probe in PROBES]
    checks.sort(key=lambda check: ([r.id for r in policy.rules].index(check.rule), order.index(check.probe)))
    used = {ask.version for check in checks for ask in (check.before, check.after)}
    return PolicyPlan(policy, {name: p for name, p in versions.items() if name in used}, tuple(checks))


def _chosen(items: Sequence[ProbeItem], limit: int | None, dice: random.Random) -> list[ProbeItem]:
    found: list[ProbeItem] = []
    for verdict in ("violates", "clear", "exempt"):
        alike = [item for item in items if item.verdict == verdict]
        dice.shuffle(alike)
        found += alike[:limit]
    return found


@dataclass(slots=True)
class _Builder:
    """Lays out the checks of one rule and notes the versions they need."""

    policy: Policy
    rule: Rule
    items: Sequence[ProbeItem]
    topic: Topic
    versions: dict[str, Policy]

    def checks(self, probe: str) -> Iterator[Check]:
        """Yield the checks of one probe; none where the rule offers nothing to probe."""
        method: Callable[[], Iterator[Check]] = getattr(self, f"_{probe}")
        return method()

    def _inverted(self) -> Iterator[Check]:
        version = self._version(f"inverted {self.rule.id}", lambda: inverted(self.policy, self.rule.id))
        for item in self._of("violates", "clear"):
            yield self._move("inverted", item, item.text, "original", version, {YES: NO, NO: YES})

    def _clause_added(self) -> Iterator[Check]:
        version = self._clause()
        for item in self._of("clear"):
            yield self._move("clause_added", item, self._about(item), "original", version, {NO: YES})
            yield self._stay("clause_added", item, version)

    def _clause_removed(self) -> Iterator[Check]:
        version = self._clause()
        for item in self._of("clear"):
            yield self._move("clause_removed", item, self._about(item), version, "original", {YES: NO})
        for item in self._of("violates"):
            yield self._stay("clause_removed", item, version)

    def _exemption_added(self) -> Iterator[Check]:
        version = self._version(
            f"exemption on {self.rule.id}", lambda: with_exemption(self.policy, self.rule.id, self.topic)
        )
        for item in self._of("violates"):
            yield self._move("exemption_added", item, self._about(item), "original", version, {YES: EXCEPT})
            yield self._stay("exemption_added", item, version)

    def _exemption_removed(self) -> Iterator[Check]:
        for name in dict.fromkeys(item.exemption for item in self._of("exempt") if item.exemption):
            version = self._version(
                f"{self.rule.id} without {name}",
                lambda name=name: without_exemption(self.policy, self.rule.id, name),  # type: ignore[misc]
            )
            for item in self._of("exempt"):
                if item.exemption == name:
                    yield self._move("exemption_removed", item, item.text, "original", version, {EXCEPT: YES})
            for item in self._of("violates"):
                yield self._stay("exemption_removed", item, version)

    def _unrelated_edited(self) -> Iterator[Check]:
        others = [rule.id for rule in self.policy.rules]
        other = others[(others.index(self.rule.id) + 1) % len(others)]
        if other != self.rule.id:
            version = self._version(f"inverted {other}", lambda: inverted(self.policy, other))
            yield from (self._stay("unrelated_edited", item, version) for item in self.items)

    def _severity_reversed(self) -> Iterator[Check]:
        if len({rule.severity for rule in self.policy.rules}) > 1:
            version = self._version("severities reversed", lambda: severities_reversed(self.policy))
            yield from (self._stay("severity_reversed", item, version) for item in self.items)

    def _paraphrased(self) -> Iterator[Check]:
        version = self._version("paraphrased", lambda: paraphrased(self.policy))
        yield from (self._stay("paraphrased", item, version) for item in self.items)

    def _of(self, *verdicts: str) -> list[ProbeItem]:
        return [item for item in self.items if item.verdict in verdicts]

    def _about(self, item: ProbeItem) -> str:
        return f"{item.text.rstrip()} {self.topic.sentence}"

    def _clause(self) -> str:
        return self._version(
            f"clause in {self.rule.id}", lambda: with_clause(self.policy, self.rule.id, self.topic)
        )

    def _version(self, name: str, make: Callable[[], Policy]) -> str:
        if name not in self.versions:
            self.versions[name] = make()
        return name

    def _move(
        self, probe: str, item: ProbeItem, text: str, one: str, two: str, moves: Mapping[str, str]
    ) -> Check:
        rule = self.rule.id
        return Check(probe, rule, item.id, Ask(one, rule, text), Ask(two, rule, text), moves)

    def _stay(self, probe: str, item: ProbeItem, version: str) -> Check:
        rule = self.rule.id
        return Check(
            probe, rule, item.id, Ask("original", rule, item.text), Ask(version, rule, item.text), None
        )
