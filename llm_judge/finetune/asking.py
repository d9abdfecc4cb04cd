"""Which questions a row is asked: those whose answer is known, the hard ones first.

Hit areas and rules, the rule that a near miss was written about, areas much like the right one, and a few
that are plainly not. Knows nothing about tokens or files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_judge.compile import EXCEPT, NO, YES
from llm_judge.finetune.rows import OWN
from llm_judge.policy.likeness import sentence

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from llm_judge.compile import CompiledArea, CompiledPolicy, CompiledRule, Question
    from llm_judge.finetune.rows import LabelledRow
    from llm_judge.policy.model import Policy

UNEXEMPT_SHARE = 0.4  # of broken rules with several exemptions: each is asked, and none applies
_NEIGHBOURS = 6  # areas that count as much like another


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is asked that is plainly not so.

    Attributes:
        other_areas: areas that do not apply, of one content.
        other_rules: how often a rule of such an area is asked.
    """

    other_areas: int = 4
    other_rules: float = 0.15


class Asker:
    """Chooses questions; one source of chance gives one series.

    Args:
        draw: the source of chance.
        limits: see there.
        policies: all areas, to know which are much like which.
    """

    def __init__(self, draw: random.Random, limits: Limits, policies: Sequence[Policy] = ()) -> None:
        self._draw, self._limits = draw, limits
        self._neighbours = neighbours(policies)

    def questions(self, compiled: CompiledPolicy, row: LabelledRow) -> list[tuple[Question, str]]:
        """Return questions of ``compiled`` and their right answers, areas first."""
        known = [area for area in compiled.areas if area.policy.policy in row.areas]
        applies = [area for area in known if row.areas[area.policy.policy]]
        other = [area for area in known if area not in applies]
        # The area that a near miss was written about is the one worth asking.
        near = [area for area in other if row.about and row.about.startswith(f"{area.policy.policy}#")]
        drawn = self._far(row, [area for area in other if area not in near])
        asked = [(area.question, YES if area in applies else NO) for area in [*applies, *near, *drawn]]
        for area in [*applies, *near, *drawn]:
            for rule in self._rules(area, row):
                answer = answer_of(rule, row)
                asked.append((rule.question, answer))
                asked += self._exemptions(rule, row, answer)
        return asked

    def _far(self, row: LabelledRow, areas: Sequence[CompiledArea]) -> list[CompiledArea]:
        """Areas that do not apply, half of them much like one that does or nearly does."""
        hit = {name for name, applies in row.areas.items() if applies} | {(row.about or "").partition("#")[0]}
        alike = {name for one in hit for name in self._neighbours.get(one, ())}
        like = [area for area in areas if area.policy.policy in alike]
        chosen = self._draw.sample(like, min(len(like), (self._limits.other_areas + 1) // 2))
        rest = [area for area in areas if area not in chosen]
        return chosen + self._draw.sample(rest, min(len(rest), self._limits.other_areas - len(chosen)))

    def _rules(self, area: CompiledArea, row: LabelledRow) -> list[CompiledRule]:
        """Rules that are hit, the rule a near miss was written about, and a few that are plainly not."""
        applies = row.areas[area.policy.policy]
        known = [rule for rule in area.rules if rule.key in row.rules or not applies]
        sure = [r for r in known if row.rules.get(r.key, NO) != NO or r.key == row.about]
        other = [rule for rule in known if rule not in sure]
        count = 1 if applies or sure else int(self._draw.random() < self._limits.other_rules)
        return sure + self._draw.sample(other, min(len(other), count))

    def _exemptions(self, rule: CompiledRule, row: LabelledRow, answer: str) -> list[tuple[Question, str]]:
        # Nobody looked for exemptions in the labelled sets.
        unexempt = answer == YES and row.source == OWN and self._draw.random() < UNEXEMPT_SHARE
        return exemption_questions(rule, row.exemption) if answer == EXCEPT or unexempt else []


def answer_of(rule: CompiledRule, row: LabelledRow) -> str:
    """What is known of a rule; one that is not named is not broken, and none without exemptions is exempt."""
    answer = row.rules.get(rule.key, NO)
    return YES if answer == EXCEPT and not rule.rule.exemptions else answer


def exemption_questions(rule: CompiledRule, exemption: str | None) -> list[tuple[Question, str]]:
    """Every exemption that is asked apart, and whether it is the one that applies."""
    ids = [each.id for each in rule.rule.exemptions]
    return [
        (question, YES if name == exemption else NO)
        for name, question in zip(ids, rule.exemption_questions, strict=False)
    ]


def fits(compiled: CompiledPolicy, row: LabelledRow) -> bool:
    """Whether the policies ask something the row answers; an own row must meet the rule it is about."""
    if row.about is not None and row.about.partition("#")[0] in {a.policy.policy for a in compiled.areas}:
        return any(rule.key == row.about for rule in compiled.rules)
    return row.about is None and any(area.policy.policy in row.areas for area in compiled.areas)


def neighbours(policies: Sequence[Policy]) -> dict[str, tuple[str, ...]]:
    """The areas whose titles, summaries and rules share most words with those of each area."""
    words = {policy.policy: _words(policy) for policy in policies}
    found = {}
    for name, mine in words.items():
        shared = {
            other: len(mine & theirs) / len(mine | theirs) for other, theirs in words.items() if other != name
        }
        found[name] = tuple(sorted(shared, key=lambda other: (-shared[other], other))[:_NEIGHBOURS])
    return found


def _words(policy: Policy) -> frozenset[str]:
    texts = [policy.title, policy.summary, *(rule.violates for rule in policy.rules)]
    return frozenset[str]().union(*(sentence(text).words for text in texts))
