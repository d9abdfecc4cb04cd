"""A rule and a text → the same with one deliberate edit, and the answer that is right afterwards.

A model that has only seen each rule as it stands can learn which texts are bad and never read the rule.
Every edit here changes the answer, or must not, in a way that is known beforehand. The topics of added
clauses and exemptions are not those of ``evals.probe_edits``, so that a probe still measures something.
Knows nothing about prompts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_judge.compile import EXCEPT, NO, YES
from llm_judge.evals.probe_edits import (
    Topic,
    inverted,
    paraphrased,
    with_clause,
    with_exemption,
    without_exemption,
)
from llm_judge.finetune.training_rows import Variant

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Mapping, Sequence

    from llm_judge.policy.model import Policy, Rule

_THINGS = {
    "a kite": "Our kite got stuck in a tree.",
    "a ferry": "The ferry left at noon.",
    "a wool scarf": "I am knitting a wool scarf.",
    "a chess board": "The chess board is in the drawer.",
    "a wheelbarrow": "The wheelbarrow has a flat tyre.",
    "a snowman": "The children built a snowman.",
    "a violin": "She practises the violin every day.",
    "a pumpkin": "We carved a pumpkin on Sunday.",
    "a map": "There is an old map on the wall.",
    "a rainbow": "A rainbow stood over the hill.",
    "a hammock": "The hammock hangs between two trees.",
    "a telescope": "His telescope points at the moon.",
    "a beehive": "The beehive is behind the shed.",
    "a postcard": "A postcard came from the coast.",
    "a candle": "The candle burnt all evening.",
    "a lawn mower": "The lawn mower needs new blades.",
}
_VERBS = ("mentions", "speaks of", "names")
TOPICS = tuple(Topic(f"{verb} {thing}", sentence) for thing, sentence in _THINGS.items() for verb in _VERBS)

_INVERSIONS = (  # title, condition
    ("Anything but: {title}", "Everything except content that does this: {violates}"),
    ("{title}, the opposite", "The content does not do the following. {violates}"),
    ("Absent: {title}", "Applies unless the content does this: {violates}"),
    ("Without: {title}", "Content that does this is fine, and all other content is meant: {violates}"),
    ("Missing: {title}", "Fails to do this: {violates}"),
    ("None of: {title}", "Nothing of this is in the content: {violates}"),
)
_FRAMES = (
    "The following is not allowed: {violates}",
    "A post breaks this rule when it does this: {violates}",
    "{violates} This, and nothing else, is meant.",
)


@dataclass(frozen=True, slots=True)
class Case:
    """One rule, one text, and how they stand to each other.

    Attributes:
        policy, rule: as published.
        text: what is judged.
        answer: ``yes``, ``no`` or ``except``.
        exemption: id of the one that applies, for ``except``.
    """

    policy: Policy
    rule: Rule
    text: str
    answer: str
    exemption: str | None = None


@dataclass(frozen=True, slots=True)
class Edited:
    """A case after an edit: the policy with its changed rule, the text, and what is right now."""

    variant: Variant
    policy: Policy
    rule_id: str
    text: str
    answer: str
    exemption: str | None = None


class Editor:
    """Makes edited cases; one source of chance gives one series.

    Args:
        draw: decides how rules are edited.
        texts: decides where a sentence is added to a text; ``draw`` where it is left out.
    """

    def __init__(self, draw: random.Random, texts: random.Random | None = None) -> None:
        self._draw = draw
        self._texts = texts or draw

    def inverted(self, case: Case) -> Iterator[Edited]:
        """The rule says the opposite; an exempt text meets the condition, so not its opposite."""
        number = self._draw.randrange(len(_INVERSIONS) + 1)
        policy = inverted(case.policy, case.rule.id)
        if number < len(_INVERSIONS):
            title, violates = _INVERSIONS[number]
            changes = {
                "title": title.format(title=case.rule.title)[:80],
                "violates": violates.replace("{violates}", case.rule.violates),
            }
            policy = _with(policy, policy.rule(case.rule.id).model_copy(update=changes))
        answer = YES if case.answer == NO else NO
        yield Edited(Variant.INVERTED, policy, case.rule.id, case.text, answer)

    def clause_removed(self, case: Case, donor: Case | None = None) -> Iterator[Edited]:
        """A clause that only one version of the rule has, and texts to which it applies or not.

        Args:
            case: for ``no``, a clause about a harmless topic; other answers hold with and without it.
            donor: a rule that the text of ``case`` breaks; it becomes a clause of the rule that it does not.
        """
        if donor is not None:
            merged = _merged(case, donor)
            if merged is not None:
                yield self._rule(Variant.CLAUSE_REMOVED, merged, case, case.text, YES)
                yield self._rule(Variant.CLAUSE_REMOVED, case.policy, case, case.text, NO)
            return
        topic = self._draw.choice(TOPICS)
        wider = with_clause(case.policy, case.rule.id, topic)
        about = self._about(case.text, topic)
        if case.answer == NO:
            yield self._rule(Variant.CLAUSE_REMOVED, wider, case, about, YES)
            yield self._rule(Variant.CLAUSE_REMOVED, case.policy, case, about, NO)
            yield self._rule(Variant.CLAUSE_REMOVED, wider, case, case.text, NO)
        elif case.answer == YES:
            yield self._rule(Variant.CLAUSE_REMOVED, wider, case, case.text, YES)

    def exemption_toggled(self, case: Case) -> Iterator[Edited]:
        """An exempt text without its exemption; a violation that a new exemption covers or not."""
        variant, topic = Variant.EXEMPTION_TOGGLED, self._draw.choice(TOPICS)
        if case.answer == EXCEPT and case.exemption:
            yield Edited(variant, case.policy, case.rule.id, case.text, EXCEPT, case.exemption)
            policy = without_exemption(case.policy, case.rule.id, case.exemption)
            if self._draw.random() < 0.5:
                policy = self._exempting(policy, case.rule.id, topic)
            yield self._rule(variant, policy, case, case.text, YES)
        elif case.answer == YES:
            policy = self._exempting(case.policy, case.rule.id, topic)
            about, added = self._about(case.text, topic), policy.rule(case.rule.id).exemptions[-1].id
            yield Edited(variant, policy, case.rule.id, about, EXCEPT, added)
            yield self._rule(variant, policy, case, case.text, YES)
            yield self._rule(variant, case.policy, case, about, YES)

    def rule_swapped(self, case: Case, other: Case) -> Iterator[Edited]:
        """The words of one rule under the id of another, in the other's area: the words decide."""
        policy = _given_words(case.policy, case.rule, other)
        if policy is not None:
            exemption = other.exemption if other.answer == EXCEPT else None
            variant = Variant.RULE_SWAPPED
            yield Edited(variant, policy, case.rule.id, case.text, other.answer, exemption)

    def paraphrased(self, case: Case) -> Iterator[Edited]:
        """The rule in other words."""
        if self._draw.random() < 0.5:
            policy = paraphrased(case.policy)
        else:
            frame = self._draw.choice(_FRAMES)
            violates = frame.replace("{violates}", case.rule.violates)
            policy = _with(case.policy, case.rule.model_copy(update={"violates": violates}))
        yield self._rule(Variant.PARAPHRASED, policy, case, case.text, case.answer, case.exemption)

    def renumbered(self, case: Case) -> Iterator[Edited]:
        """Other ids for the rule and its exemptions."""
        new = {each.id: self._new_id() for each in case.rule.exemptions}
        exemptions = tuple(e.model_copy(update={"id": new[e.id]}) for e in case.rule.exemptions)
        changes = {"id": self._new_id(), "exemptions": exemptions, "examples": ()}
        rule = case.rule.model_copy(update=changes)
        rules = tuple(rule if each.id == case.rule.id else each for each in case.policy.rules)
        policy = case.policy.model_copy(update={"rules": rules})
        exemption = new.get(case.exemption or "")
        yield Edited(Variant.RENUMBERED, policy, rule.id, case.text, case.answer, exemption)

    def _rule(
        self,
        variant: Variant,
        policy: Policy,
        case: Case,
        text: str,
        answer: str,
        exemption: str | None = None,
    ) -> Edited:
        return Edited(variant, policy, case.rule.id, text, answer, exemption)

    def _exempting(self, policy: Policy, rule_id: str, topic: Topic) -> Policy:
        """An exemption for a topic comes last, under an id that says nothing."""
        rule = with_exemption(policy, rule_id, topic).rule(rule_id)
        last = rule.exemptions[-1].model_copy(update={"id": self._new_id()})
        return _with(policy, rule.model_copy(update={"exemptions": (*rule.exemptions[:-1], last)}))

    def _about(self, text: str, topic: Topic) -> str:
        """The text with a sentence to which the topic's clause applies, before or after it."""
        if self._texts.random() < 0.3:
            return f"{topic.sentence} {text.lstrip()}"
        return f"{text.rstrip()} {topic.sentence}"

    def _new_id(self) -> str:
        return f"{self._draw.choice('abcdefghkmnprstuvw')}{self._draw.randrange(10, 1_000)}"


def _with(policy: Policy, changed: Rule) -> Policy:
    rules = tuple(changed if rule.id == changed.id else rule for rule in policy.rules)
    return policy.model_copy(update={"rules": rules})


def _merged(case: Case, donor: Case) -> Policy | None:
    """The policy of ``case`` whose rule is also met by what ``donor``'s rule is met by."""
    definitions = _definitions(case.policy, donor.policy)
    if definitions is None:
        return None
    violates = f"{case.rule.violates.rstrip('.')}, or does this: {donor.rule.violates}"
    rule = case.rule.model_copy(update={"violates": violates})
    return _with(case.policy.model_copy(update={"definitions": definitions}), rule)


def _given_words(policy: Policy, rule: Rule, other: Case) -> Policy | None:
    """The policy with ``other``'s rule under the id of ``rule``."""
    definitions = _definitions(policy, other.policy)
    if definitions is None:
        return None
    moved = other.rule.model_copy(update={"id": rule.id, "modalities": None})
    return _with(policy.model_copy(update={"definitions": definitions}), moved)


def _definitions(one: Policy, other: Policy) -> Mapping[str, str] | None:
    """The definitions of both; None where they mean different things by one word."""
    if any(other.definitions.get(name, meaning) != meaning for name, meaning in one.definitions.items()):
        return None
    return {**other.definitions, **one.definitions}


def known_cases(policies: Sequence[Policy], rules: Mapping[str, str], text: str) -> list[Case]:
    """Every rule of ``policies`` whose answer is known, with it; an exempt one has no exemption here."""
    return [
        Case(policy, rule, text, rules[key])
        for policy in policies
        for rule in policy.rules
        if (key := f"{policy.policy}#{rule.id}") in rules
    ]
