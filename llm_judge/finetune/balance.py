"""Equally much of everything: rows by set, language and answer, and questions by their answers.

A set whose rows nearly all have one answer teaches a model to know the set, not the rule. Knows nothing about
prompts or files.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llm_judge.finetune.rows import LabelledRow
    from llm_judge.finetune.training_rows import TrainingRow

_LEAST = 10  # a question may have so many of one answer, however rare the other is


@dataclass(frozen=True, slots=True)
class Caps:
    """Limits on questions.

    Attributes:
        answer_ratio: of one question within one set and variant, and of one variant altogether, the commonest
            answer may stand so many times as often as the next.
        single_answer: questions of a set that has one answer only.
        per_area_language: questions of one kind, area, language and answer.
    """

    answer_ratio: float = 2.0
    single_answer: int = 60
    per_area_language: int = 1_500


def sampled_rows(rows: Sequence[LabelledRow], per_cell: int, seed: int) -> list[LabelledRow]:
    """At most ``per_cell`` rows of each source, language and set of answers about areas, in random order."""
    cells: dict[tuple[str, ...], list[LabelledRow]] = defaultdict(list)
    for row in rows:
        answers = (f"{area}={value}" for area, value in sorted(row.areas.items()))
        cells[(row.source, row.lang, *answers)].append(row)
    shuffle = random.Random(seed)
    sample = []
    for _, members in sorted(cells.items()):
        shuffle.shuffle(members)
        sample += members[:per_cell]
    shuffle.shuffle(sample)
    return sample


def balanced(
    rows: Sequence[TrainingRow], caps: Caps, draw: random.Random
) -> tuple[list[TrainingRow], Counter[str]]:
    """Leave out what there is too much of.

    Returns:
        The rows that stay, in random order, and how many do not, by reason.
    """
    shuffled = draw.sample(list(rows), len(rows))
    kept, of_sets = _evened(shuffled, caps, lambda row: (row.kind, row.key, row.source, row.variant))
    # An edit that comes with one answer would give it away as well.
    kept, of_edits = _evened(kept, caps, lambda row: (row.kind, row.variant))
    seen: Counter[tuple[str, ...]] = Counter()
    found = []
    for row in kept:
        cell = (row.kind, row.area, row.lang, row.answer)
        if seen[cell] < caps.per_area_language:
            seen[cell] += 1
            found.append(row)
    left_out = Counter(
        {
            "one answer too often in a set": of_sets,
            "one answer too often after an edit": of_edits,
            "enough of this area, language and answer": len(kept) - len(found),
        }
    )
    return found, +left_out


def _evened(
    rows: Sequence[TrainingRow], caps: Caps, question: Callable[[TrainingRow], tuple[str, ...]]
) -> tuple[list[TrainingRow], int]:
    """Cap the commonest answer of each question; return what stays, and how many do not."""
    counts: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for row in rows:
        counts[question(row)][row.answer] += 1
    limits = {name: _limit(answers, caps) for name, answers in counts.items()}
    seen: Counter[tuple[str, ...]] = Counter()
    kept = []
    for row in rows:
        one = (*question(row), row.answer)
        if seen[one] < limits[question(row)]:
            seen[one] += 1
            kept.append(row)
    return kept, len(rows) - len(kept)


def _limit(answers: Counter[str], caps: Caps) -> int:
    """How often one answer may stand."""
    ranked = [count for _, count in answers.most_common(2)]
    if len(ranked) == 1:
        return caps.single_answer
    return max(_LEAST, int(caps.answer_ratio * ranked[1]))


def consistent(rows: Sequence[TrainingRow]) -> tuple[list[TrainingRow], Counter[str]]:
    """Leave out repetitions, and prompts that stand with two right answers altogether."""
    answers: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        answers[(row.prefix, row.user)].add(row.answer)
    kept, left_out = [], Counter[str]()
    seen = set()
    for row in rows:
        if len(answers[(row.prefix, row.user)]) > 1:
            left_out["one prompt with two answers"] += 1
        elif (row.prefix, row.user, row.rejected) in seen:
            left_out["the same prompt again"] += 1
        else:
            seen.add((row.prefix, row.user, row.rejected))
            kept.append(row)
    return kept, left_out


def capped_pairs(
    rows: Sequence[TrainingRow], most: int, draw: random.Random
) -> tuple[list[TrainingRow], Counter[str]]:
    """At most ``most`` preference pairs of each contrast; of labels, at most half of them with one answer.

    Returns:
        The pairs that stay, in random order, and how many do not, by reason.
    """
    seen: Counter[tuple[str, str]] = Counter()
    kept = []
    for row in draw.sample(list(rows), len(rows)):
        contrast = str(row.contrast)
        cell = (contrast, row.answer if row.labels else "")
        if seen[cell] < (most // 2 if row.labels else most):
            seen[cell] += 1
            kept.append(row)
    return kept, Counter({"enough pairs of this contrast": len(rows) - len(kept)})
