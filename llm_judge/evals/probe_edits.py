"""One policy → the same policy with one deliberate edit, whose effect on verdicts is known in advance.

Pure functions over typed data. Knows nothing about items, engines or rates.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from llm_judge.policy.model import Exemption, Policy, Rule

PROBE_EXEMPTION = "probe"


@dataclass(frozen=True, slots=True)
class Topic:
    """Something harmless that hardly any content is about.

    Attributes:
        clause: goes on from "content that …".
        sentence: content to which the clause applies.
    """

    clause: str
    sentence: str


TOPICS = (
    Topic("mentions a bicycle", "My bicycle is blue."),
    Topic("mentions a lighthouse", "We walked to the lighthouse."),
    Topic("mentions an umbrella", "The umbrella is by the door."),
    Topic("mentions a piano", "There is a piano in the hall."),
    Topic("mentions a thunderstorm", "A thunderstorm passed last night."),
    Topic("mentions a teapot", "The teapot is on the shelf."),
)

# Whole words and what may stand for them; in guidelines these pairs mean the same.
_SYNONYMS = (
    ("Says", "States"),
    ("Compares", "Likens"),
    ("Calls for", "Demands"),
    ("Shows", "Displays"),
    ("Encourages", "Urges"),
    ("Offers", "Proposes"),
    ("Asks for", "Requests"),
    ("Claims", "Asserts"),
    ("Uses", "Makes use of"),
    ("Gives", "Provides"),
    ("Tells", "Instructs"),
    ("Describes", "Portrays"),
    ("because of", "on account of"),
    ("in order to", "so as to"),
    ("such as", "for example"),
    ("people", "persons"),
    ("someone", "a person"),
)
_LAST_TWO = re.compile(r", (\w+) or (\w+)(?=[.;]|$)")


def inverted(policy: Policy, rule_id: str) -> Policy:
    """The condition of one rule negated; its exemptions and examples, which would contradict, left out."""
    rule = policy.rule(rule_id)
    changes = {
        "title": f"Not: {rule.title}",
        "violates": f"Does not do this: {rule.violates}",
        "exemptions": (),
        "examples": (),
    }
    return _with_rule(policy, rule.model_copy(update=changes))


def with_clause(policy: Policy, rule_id: str, topic: Topic) -> Policy:
    """One rule that is also met by content about a harmless topic."""
    rule = policy.rule(rule_id)
    violates = f"{rule.violates.rstrip('.')}, or {topic.clause}."
    return _with_rule(policy, rule.model_copy(update={"violates": violates}))


def with_exemption(policy: Policy, rule_id: str, topic: Topic) -> Policy:
    """One rule from which content about a harmless topic is exempt as well."""
    rule = policy.rule(rule_id)
    added = Exemption(id=PROBE_EXEMPTION, when=f"The content {topic.clause}.")
    return _with_rule(policy, rule.model_copy(update={"exemptions": (*rule.exemptions, added)}))


def without_exemption(policy: Policy, rule_id: str, exemption_id: str) -> Policy:
    """One rule without one of its exemptions, and without the examples of it."""
    rule = policy.rule(rule_id)
    changes = {
        "exemptions": tuple(e for e in rule.exemptions if e.id != exemption_id),
        "examples": tuple(e for e in rule.examples if e.exemption != exemption_id),
    }
    return _with_rule(policy, rule.model_copy(update=changes))


def severities_reversed(policy: Policy) -> Policy:
    """The mildest rule as severe as the most severe one was, and so on."""
    values = [rule.severity for rule in policy.rules]
    ends = min(values) + max(values)
    rules = tuple(rule.model_copy(update={"severity": ends - rule.severity}) for rule in policy.rules)
    return policy.model_copy(update={"rules": rules})


def paraphrased(policy: Policy) -> Policy:
    """Every rule in other words: synonyms, the last two of a list swapped, or else a frame around it."""
    rules = tuple(rule.model_copy(update={"violates": paraphrase(rule.violates)}) for rule in policy.rules)
    return policy.model_copy(update={"rules": rules})


def paraphrase(text: str) -> str:
    """Return a sentence that means the same and is never the same."""
    changed = text
    for word, other in _SYNONYMS:
        changed = re.sub(rf"\b{word}\b", other, changed)
        changed = re.sub(rf"\b{word.lower()}\b", other[0].lower() + other[1:], changed)
    changed = _LAST_TWO.sub(r", \2 or \1", changed)
    return changed if changed != text else f"The content does the following: {text}"


def _with_rule(policy: Policy, changed: Rule) -> Policy:
    rules = tuple(changed if rule.id == changed.id else rule for rule in policy.rules)
    return policy.model_copy(update={"rules": rules})
