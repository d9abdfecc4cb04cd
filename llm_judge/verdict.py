"""Reading and Completion → Verdict: what one rule says about one content, with evidence.

"Could not tell" is its own outcome, never folded into clear. The model cites segment ids; quotes,
offsets, seconds and frames are looked up here. Knows nothing about actions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from llm_judge.compile import EXCEPT, NO_EXEMPTION, YES, CompiledRule
from llm_judge.content.content import Content, Segment
from llm_judge.engines.protocol import Completion, Reading


class Outcome(StrEnum):
    """What a rule says, worst first."""

    VIOLATES = "violates"
    UNREADABLE = "unreadable"
    ABSTAIN = "abstain"
    EXEMPT = "exempt"
    CLEAR = "clear"

    @property
    def rank(self) -> int:
        """0 for the worst outcome."""
        return _RANKS[self]


_RANKS = {outcome: rank for rank, outcome in enumerate(Outcome)}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where a probability turns into an outcome; all in 0..1.

    The defaults were chosen on dev rows for the packaged adapter (finetune/adapters/default/README.md): a
    weak model, so a wide band between clear and firing stays "could not tell". They are no calibration.

    Attributes:
        fires_at: a rule fires at this probability or above.
        clear_below: a rule is clear under this; between the two it abstains.
        min_label_mass: under this the model did not follow the answer format, and the rule abstains.
        area_gate: rules of an area are asked when the area's probability is at least this.
    """

    fires_at: float = 0.7
    clear_below: float = 0.26
    min_label_mass: float = 0.5
    area_gate: float = 0.25


@dataclass(frozen=True, slots=True)
class Evidence:
    """A segment the verdict rests on, resolved to its words and its place in the original."""

    segment: int
    kind: str
    quote: str
    start: int | None = None
    end: int | None = None
    start_s: float | None = None
    end_s: float | None = None
    frame: int | None = None
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one rule says about one content.

    Attributes:
        rule: ``<policy>#<rule>``.
        outcome: violates, clear, exempt, abstain or unreadable.
        probability: P(violates) among the labels, 0..1; for a rule that was not asked because its
            area is clear, the area's probability, an upper bound. None when unreadable.
        exempt_probability: P(exempt) among the labels, 0 for rules without exemptions.
        label_mass: probability of all labels over the full vocabulary.
        asked: False when the area was clearly clear and the rule itself was not read.
        reason: why it abstained or could not be read.
        exemption: id of the exemption that applies, for exempt verdicts.
        severity: of the rule; what the action ladder reads.
        assessed_severity: how bad the explanation finds this item; shown to people, decides nothing.
        evidence, rationale: from the explanation, where one was made.
        explanation: ``agrees`` or ``disagrees`` with the probability, ``unreadable``, or None.
    """

    rule: str
    outcome: Outcome
    probability: float | None
    exempt_probability: float
    label_mass: float
    asked: bool
    severity: int
    reason: str | None = None
    exemption: str | None = None
    evidence: tuple[Evidence, ...] = ()
    rationale: str | None = None
    explanation: str | None = None
    assessed_severity: int | None = None


@dataclass(frozen=True, slots=True)
class AreaAnswer:
    """Whether anything of one area may apply: what decided that its rules were asked or not.

    Attributes:
        area: policy id.
        probability: P(yes) among the labels, 0..1; None when unreadable.
        label_mass: probability of all labels over the full vocabulary.
        opened: whether the rules of the area were asked.
    """

    area: str
    probability: float | None
    label_mass: float
    opened: bool


def worst_area(answers: Sequence[AreaAnswer]) -> AreaAnswer:
    """Return the worst answer about one area over the windows of one content."""
    return max(answers, key=lambda answer: (answer.opened, answer.probability or 0.0))


def yes_probability(reading: Reading) -> float | None:
    """P(yes) among the labels, or None when the reading holds no usable number."""
    return _share(reading, YES)


def verdict_from_reading(rule: CompiledRule, reading: Reading, thresholds: Thresholds) -> Verdict:
    """Turn one rule's reading into a verdict without evidence."""
    probability = _share(reading, YES)
    if probability is None or not math.isfinite(reading.label_mass):
        return _unsure(rule, Outcome.UNREADABLE, "the engine returned no usable probability", reading)
    exempt = (_share(reading, EXCEPT) or 0.0) if EXCEPT in reading.logprobs else 0.0
    if reading.label_mass < thresholds.min_label_mass:
        outcome, reason = Outcome.ABSTAIN, f"label mass {reading.label_mass:.2f} is too low"
    elif probability >= thresholds.fires_at:
        outcome, reason = Outcome.VIOLATES, None
    elif probability + exempt >= thresholds.fires_at and exempt > probability:
        outcome, reason = Outcome.EXEMPT, None
    elif probability + exempt < thresholds.clear_below:
        outcome, reason = Outcome.CLEAR, None
    else:
        outcome, reason = Outcome.ABSTAIN, _between(probability, exempt)
    only = rule.rule.exemptions[0].id if len(rule.rule.exemptions) == 1 else None
    return Verdict(
        rule=rule.key,
        outcome=outcome,
        probability=probability,
        exempt_probability=exempt,
        label_mass=reading.label_mass,
        asked=True,
        severity=rule.rule.severity,
        reason=reason,
        exemption=only if outcome is Outcome.EXEMPT else None,
    )


def verdicts_not_asked(
    rules: Sequence[CompiledRule], probability: float | None, label_mass: float
) -> list[Verdict]:
    """The verdicts of rules whose area is clearly clear: the area's probability bounds them."""
    return [
        Verdict(
            rule=rule.key,
            outcome=Outcome.CLEAR,
            probability=probability,
            exempt_probability=0.0,
            label_mass=label_mass,
            asked=False,
            severity=rule.rule.severity,
        )
        for rule in rules
    ]


def worst_verdict(verdicts: Sequence[Verdict]) -> int:
    """Return the index of the worst verdict of one rule over the windows of one content."""
    if len(verdicts) == 1:  # most contents have one window, and a hundred rules
        return 0
    return min(
        range(len(verdicts)), key=lambda i: (verdicts[i].outcome.rank, -(verdicts[i].probability or 0.0))
    )


def with_explanation(verdict: Verdict, completion: Completion, content: Content) -> Verdict:
    """Attach evidence and rationale from a constrained completion.

    A completion that was cut off or is not valid leaves the verdict as it is and says so; the
    probability decides, so an explanation that disagrees is marked, not obeyed.
    """
    answer = _parse(completion)
    if answer is None:
        return replace(verdict, explanation="unreadable")
    by_id = {segment.id: segment for segment in content.segments}
    # `type` and not `isinstance`: true is not segment 1.
    cited = [by_id[i] for i in dict.fromkeys(i for i in answer["evidence"] if type(i) is int) if i in by_id]
    could_not_tell = verdict.outcome in (Outcome.ABSTAIN, Outcome.UNREADABLE)
    agrees = could_not_tell or answer["verdict"] == verdict.outcome.value
    exemption = verdict.exemption
    if verdict.outcome is Outcome.EXEMPT and exemption is None and answer["exemption"] != NO_EXEMPTION:
        exemption = answer["exemption"]
    return replace(
        verdict,
        evidence=tuple(resolve(segment) for segment in cited),
        rationale=answer["rationale"],
        exemption=exemption,
        assessed_severity=answer["severity"],
        explanation="agrees" if agrees else "disagrees",
    )


def resolve(segment: Segment) -> Evidence:
    """Look up what a cited segment id stands for."""
    return Evidence(
        segment=segment.id,
        kind=segment.kind.value,
        quote=segment.text,
        start=segment.start,
        end=segment.end,
        start_s=segment.start_s,
        end_s=segment.end_s,
        frame=segment.frame,
        box=segment.box,
    )


def _parse(completion: Completion) -> dict[str, Any] | None:
    if completion.finish_reason != "stop":
        return None
    try:
        answer = json.loads(completion.text)
    except (ValueError, RecursionError):
        return None
    wanted = {"evidence": list, "exemption": str, "severity": int, "rationale": str, "verdict": str}
    if not isinstance(answer, dict) or any(type(answer.get(k)) is not t for k, t in wanted.items()):
        return None
    return answer


def _share(reading: Reading, label: str) -> float | None:
    """P(label) among the labels of the question: exp(l) / Σ exp(l')."""
    values = list(reading.logprobs.values())
    if label not in reading.logprobs or not all(math.isfinite(v) for v in values):
        return None
    highest = max(values)
    return math.exp(reading.logprobs[label] - highest) / sum(math.exp(v - highest) for v in values)


def _between(probability: float, exempt: float) -> str:
    """Why neither firing nor clear could be said."""
    if not exempt:
        return f"probability {probability:.2f} is in the uncertain band"
    return f"probability {probability:.2f} with {exempt:.2f} for exempt is in the uncertain band"


def _unsure(rule: CompiledRule, outcome: Outcome, reason: str, reading: Reading) -> Verdict:
    mass = reading.label_mass if math.isfinite(reading.label_mass) else 0.0
    return Verdict(rule.key, outcome, None, 0.0, mass, True, rule.rule.severity, reason)
