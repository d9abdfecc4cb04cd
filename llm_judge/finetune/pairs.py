"""Preference pairs that need no model: the right answer against one that is wrong in one known way.

Knows nothing about files or eval runs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llm_judge.compile import EXCEPT, YES
from llm_judge.finetune.replies import explanation
from llm_judge.finetune.training_rows import Contrast, TrainingRow

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence

    from llm_judge.compile import CompiledRule
    from llm_judge.content.content import Content
    from llm_judge.finetune.prompts import Scene


def label_pair(reads: Sequence[TrainingRow], draw: random.Random) -> list[TrainingRow]:
    """One of the questions with its right label against a wrong one; none where nothing is asked."""
    if not reads:
        return []
    row = draw.choice(reads)
    wrong = [label for label in row.labels if label != row.answer]
    return [replace(row, rejected=draw.choice(wrong), contrast=Contrast.LABEL)]


def explanation_pairs(
    scene: Scene,
    rule: CompiledRule,
    answer: str,
    cited: Sequence[int],
    clear: Sequence[CompiledRule],
    draw: random.Random,
) -> Iterator[TrainingRow]:
    """The right explanation of a rule that is met against one of another rule, and with a wrong exemption.

    Args:
        scene: content and policies.
        rule: what is explained.
        answer: ``yes`` or ``except``.
        cited: ids of the segments that show it.
        clear: rules that the content does not break.
        draw: the source of chance.
    """
    exemption = scene.row.exemption if answer == EXCEPT else None
    right = scene.explained(rule, answer, exemption, cited)
    if clear:
        wrong = explanation(rule, answer, exemption, cited, about=draw.choice(clear))
        yield replace(right, rejected=wrong, contrast=Contrast.RULE)
    others = [each.id for each in rule.rule.exemptions if each.id != exemption]
    if answer == EXCEPT:
        swapped = draw.choice(others) if others and draw.random() < 0.5 else None
        wrong = explanation(rule, EXCEPT if swapped else YES, swapped, cited)
        yield replace(right, rejected=wrong, contrast=Contrast.EXEMPTION)
    elif others:
        wrong = explanation(rule, EXCEPT, draw.choice(others), cited)
        yield replace(right, rejected=wrong, contrast=Contrast.EXEMPTION)


def segment_pair(
    scene: Scene, rule: CompiledRule, content: Content, cited: Sequence[int], draw: random.Random
) -> Iterator[TrainingRow]:
    """The right explanation against one that cites a harmless line."""
    harmless = [segment.id for segment in content.segments if segment.id not in cited]
    right = scene.explained(rule, YES, None, cited)
    wrong = explanation(rule, YES, None, [draw.choice(harmless)])
    yield replace(right, rejected=wrong, contrast=Contrast.SEGMENT)
