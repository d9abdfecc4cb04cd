"""A labelled item and the judge's record of it → an outcome: truth and answer side by side.

Knows nothing about engines, files or metrics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_judge.evals.outcomes import ANY, Answer, EvalItem, ItemOutcome, Kind
from llm_judge.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge.record import DecisionRecord
    from llm_judge.verdict import AreaAnswer, Verdict


def outcome_of(
    item: EvalItem,
    record: DecisionRecord,
    tokens: float = 0.0,
    *,
    whole: bool = True,
    cached: bool = False,
) -> ItemOutcome:
    """Put what is true of ``item`` beside what ``record`` says.

    Args:
        item: the labels.
        record: of the same item, judged by the policies the labels are about.
        tokens: computed for this item.
        whole: whether every policy was asked; if not, there is no answer about the item as a whole: the
            likeliest of few areas is no fair match for the likeliest of all.
        cached: whether an earlier run answered it.
    """
    return ItemOutcome.of(
        item,
        sha256=str(record.item.get("sha256", "")),
        answers=_answers(item, record, whole),
        action=record.action.value,
        evidence_hit=_evidence_hit(item, record.verdicts),
        ms=sum(record.timings_ms.values()),
        tokens=tokens,
        error=f"{record.error['type']}: {record.error['message']}" if record.error else None,
        cached=cached,
    )


def _answers(item: EvalItem, record: DecisionRecord, whole: bool) -> tuple[Answer, ...]:
    areas = [area_answer(item, area, _worst(record.verdicts, area.area)) for area in record.areas]
    rules = [_rule_answer(item, verdict) for verdict in record.verdicts]
    return (*whole_and_areas(item, areas, whole=whole), *rules)


def whole_and_areas(item: EvalItem, areas: Sequence[Answer], *, whole: bool) -> tuple[Answer, ...]:
    """Put the answer about the item as a whole before those about its areas, where all were asked."""
    return (*([_item_answer(item, areas)] if whole and areas else ()), *areas)


def _worst(verdicts: Sequence[Verdict], area: str) -> Outcome:
    """The worst outcome of any rule of an area; clear where it has none."""
    found = (verdict.outcome for verdict in verdicts if verdict.rule.partition("#")[0] == area)
    return min(found, key=lambda outcome: outcome.rank, default=Outcome.CLEAR)


def _rule_answer(item: EvalItem, verdict: Verdict) -> Answer:
    known = item.rules.get(verdict.rule)
    return Answer(
        kind=Kind.RULE,
        key=verdict.rule,
        truth=None if known is None else known == "yes",
        probability=verdict.probability,
        exempt_probability=verdict.exempt_probability,
        label_mass=verdict.label_mass,
        outcome=verdict.outcome.value,
        asked=verdict.asked,
    )


def area_answer(item: EvalItem, area: AreaAnswer, outcome: Outcome) -> Answer:
    """What is true of an area beside what was read of it and what became of that."""
    return Answer(
        kind=Kind.AREA,
        key=area.area,
        truth=item.areas.get(area.area),
        probability=area.probability,
        exempt_probability=0.0,
        label_mass=area.label_mass,
        outcome=outcome.value,
    )


def _item_answer(item: EvalItem, areas: Sequence[Answer]) -> Answer:
    """Anything at all: the likeliest area and the worst outcome speak for the item."""
    read = [area.probability for area in areas if area.probability is not None]
    return Answer(
        kind=Kind.ITEM,
        key=ANY,
        truth=item.harmful,
        probability=max(read, default=None),
        exempt_probability=0.0,
        label_mass=min(area.label_mass for area in areas),
        outcome=min((Outcome(area.outcome) for area in areas), key=lambda o: o.rank).value,
    )


def _evidence_hit(item: EvalItem, verdicts: Sequence[Verdict]) -> bool | None:
    """Whether any evidence of a rule that fired overlaps a marked span; None without spans or evidence."""
    cited = [
        (piece.start, piece.end)
        for verdict in verdicts
        if verdict.outcome is Outcome.VIOLATES
        for piece in verdict.evidence
        if piece.start is not None and piece.end is not None
    ]
    if not item.spans or not cited:
        return None
    return any(start < end_of and begin < end for start, end in cited for begin, end_of in item.spans)
