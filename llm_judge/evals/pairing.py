"""Two runs → pairs of outcomes with the same questions, truth and slices, so that only the judge differs.

Knows nothing about metrics or tests.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from llm_judge.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge.evals.outcomes import Answer, ItemOutcome

    Pair = tuple[ItemOutcome, ItemOutcome]


@dataclass(slots=True)
class Paired:
    """Items of both runs, earlier run first, and how many more have other content."""

    pairs: list[Pair] = field(default_factory=list)
    changed: int = 0


def paired(before: Sequence[ItemOutcome], after: Sequence[ItemOutcome]) -> Paired:
    """Pair items by id; where both digests are known and differ, an item is counted as changed instead."""
    earlier = {outcome.item: outcome for outcome in before}
    found = Paired()
    for outcome in after:
        match = earlier.get(outcome.item)
        if match is None:
            continue
        if match.sha256 and outcome.sha256 and match.sha256 != outcome.sha256:
            found.changed += 1
        else:
            found.pairs.append((match, outcome))
    return found


def aligned(before: ItemOutcome, after: ItemOutcome) -> Pair:
    """Return a pair with the same questions, truth and slices, and probabilities in both or neither."""
    ones = {(answer.kind, answer.key): answer for answer in before.answers}
    others = {(answer.kind, answer.key): answer for answer in after.answers}
    if before.error is not None:
        ones = {key: _unread(answer) for key, answer in others.items()}
    elif after.error is not None:
        others = {key: _unread(answer) for key, answer in ones.items()}
    both = [_alike(ones[key], others[key]) for key in others if key in ones]
    earlier = replace(
        before,
        suite=after.suite,
        source=after.source,
        modality=after.modality,
        lang=after.lang,
        slices=after.slices,
        group=after.group,
        answers=tuple(one for one, _ in both),
    )
    return earlier, replace(after, answers=tuple(other for _, other in both))


def _unread(answer: Answer) -> Answer:
    return replace(answer, probability=None, label_mass=0.0, outcome=Outcome.UNREADABLE.value)


def _alike(one: Answer, other: Answer) -> tuple[Answer, Answer]:
    readable = one.probability is not None and other.probability is not None
    first, second = (
        replace(a, truth=other.truth, probability=a.probability if readable else None) for a in (one, other)
    )
    return first, second
