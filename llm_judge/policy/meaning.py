"""What a loadable policy can still say wrongly: unused words, rules twice, exemptions without effect.

``check`` refuses what cannot be judged; here stands what can be judged but hardly as it was meant.
Knows nothing about files, actions or cases.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llm_judge.content.content import Modality
from llm_judge.policy.check import MOST_PROBLEMS, PLACEHOLDER
from llm_judge.policy.codes import report
from llm_judge.policy.likeness import MIN_WORDS, Sentence, first_alike, near_equal, sentence
from llm_judge.policy.shape import did_you_mean
from llm_judge.source import Source, SourceNode, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llm_judge.diagnostics import Diagnostic
    from llm_judge.policy.model import Exemption, Policy, Rule

# What an exemption is about when it begins with it; a text may well speak of a film or a song.
_MEDIA = {
    Modality.IMAGE: r"images?|pictures?|photos?|photographs?|drawings?|paintings?",
    Modality.AUDIO: r"audio|recordings?|podcasts?",
    Modality.VIDEO: r"videos?(?! games?)|footage|clips?|animations?",
}
_MEDIUM = {kind: re.compile(rf"(?:the |an? )?(?:{words})\b", re.I) for kind, words in _MEDIA.items()}


def unused_definitions(tree: SourceNode, source: Source) -> Iterator[Diagnostic]:
    """Yield P114 for every definition that no text names, unless a misspelling of it is the cause."""
    definitions = tree.get("definitions")
    if definitions is None:
        return
    used = set(PLACEHOLDER.findall(source.text))
    known = [key.text for key, _ in definitions.entries]
    meant = {did_you_mean(name, known) for name in sorted(used - set(known))[:MOST_PROBLEMS]}
    for key, _ in definitions.entries:
        if key.text not in used | meant:
            message = f"definition {quoted(key.text)} is never used"
            help_line = f"write `{{{key.text}}}` in a rule or exemption, or delete the definition"
            yield report(source, "P114", key.span, message, help_line)


def similar_rules(placed: Sequence[tuple[Policy, Source]]) -> Iterator[Diagnostic]:
    """Yield P115 at every rule that says nearly what an earlier rule of any policy says."""
    rules = [(policy, rule, source) for policy, source in placed for rule in policy.rules]
    for earlier, later in first_alike([sentence(rule.violates) for _, rule, _ in rules]):
        (first, one, _), (second, two, source) = rules[earlier], rules[later]
        if first is not second and first.policy == second.policy:  # P111 says so
            continue
        where = f"`{one.id}`" if first is second else f"`{first.policy}#{one.id}`"
        message = f"rule `{two.id}` says nearly the same as {where}"
        if two.at:
            help_line = "say what sets them apart, or make one rule of the two"
            yield report(source, "P115", two.at, message, help_line)


def idle_exemptions(policy: Policy, source: Source) -> Iterator[Diagnostic]:
    """Yield P116 and P117 for exemptions that can never apply, or always do."""
    for rule in policy.rules:
        condition = sentence(rule.violates)
        said = [sentence(exemption.when) for exemption in rule.exemptions]
        same = {later: rule.exemptions[earlier].id for earlier, later in first_alike(said)}
        for index, exemption in enumerate(rule.exemptions):
            problem = _against_rule(rule, exemption, condition, said[index])
            if problem is None and index in same:
                message = f"exemption `{exemption.id}` can never be the reason: `{same[index]}` says the same"
                problem = "P116", message, "delete one of the two"
            problem = problem or _other_media(policy, rule, exemption)
            if problem and exemption.at:
                code, message, help_line = problem
                yield report(source, code, exemption.at, message, help_line)


def _against_rule(
    rule: Rule, exemption: Exemption, condition: Sentence, said: Sentence
) -> tuple[str, str, str] | None:
    broader = len(said.words) >= MIN_WORDS and said.words <= condition.words
    if not broader and not near_equal(condition.words, said.words):
        return None
    if condition.negated != said.negated:
        message = f"exemption `{exemption.id}` can never apply: it denies what rule `{rule.id}` is about"
        return "P116", message, "content that misses the condition is clear without an exemption: delete it"
    message = f"exemption `{exemption.id}` applies to everything that rule `{rule.id}` is about"
    return "P117", message, "name a circumstance that only some of this content has"


def _other_media(policy: Policy, rule: Rule, exemption: Exemption) -> tuple[str, str, str] | None:
    asked = set(rule.modalities or policy.modalities)
    if Modality.VIDEO in asked:  # which has pictures and sound
        asked |= {Modality.IMAGE, Modality.AUDIO}
    named = next((kind for kind, pattern in _MEDIUM.items() if pattern.match(exemption.when)), None)
    if named is None or named in asked:
        return None
    message = f"exemption `{exemption.id}` can never apply: rule `{rule.id}` is not asked of `{named}`"
    return "P116", message, "widen the rule's `modalities`, or delete the exemption"
