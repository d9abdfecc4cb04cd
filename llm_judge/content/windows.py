"""Content too long for one prompt → overlapping windows of the same segments.

Ids are those of the parent, so evidence found in a window resolves against the parent. Knows
nothing about tokens: the caller says what a segment costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from llm_judge.content.content import Content, Coverage, Segment
from llm_judge.errors import ContentTooLarge


def windows(
    content: Content, max_cost: int, cost: Callable[[Segment], int], overlap_segments: int = 1
) -> list[Content]:
    """Return consecutive windows of ``content``, each costing at most ``max_cost``.

    Every segment is in at least one window. A window begins with up to ``overlap_segments`` of the
    one before, fewer where they leave no room for the next segment. Content that fits is returned
    as it is.

    Raises:
        ContentTooLarge: one segment alone costs more than ``max_cost``.
    """
    costs = [cost(segment) for segment in content.segments]
    for segment, amount in zip(content.segments, costs, strict=True):
        if amount > max_cost:
            raise ContentTooLarge(
                f"segment {segment.id} of `{content.id}` needs {amount} tokens, a window holds {max_cost}",
                hint="use a model with a longer context, or fewer policies at once",
            )
    spans = _spans(costs, max_cost, overlap_segments)
    if len(spans) <= 1:
        return [content]
    return [
        _window(content, content.segments[start:end], f"window {number} of {len(spans)}")
        for number, (start, end) in enumerate(spans, start=1)
    ]


def _spans(costs: Sequence[int], max_cost: int, overlap: int) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    start = total = 0
    for index, amount in enumerate(costs):
        if total + amount > max_cost:
            spans.append((start, index))
            start = max(start, index - overlap)
            total = sum(costs[start:index])
            while total + amount > max_cost:
                total -= costs[start]
                start += 1
        total += amount
    if costs:
        spans.append((start, len(costs)))
    return spans


def _window(content: Content, segments: tuple[Segment, ...], note: str) -> Content:
    whole = content.coverage
    coverage = replace(whole, seen=min(whole.seen, _seen(whole, segments)), notes=(*whole.notes, note))
    return replace(content, segments=segments, coverage=coverage)


def _seen(whole: Coverage, segments: tuple[Segment, ...]) -> float:
    """Return how much of the item these segments stand for, in the unit of ``whole``."""
    if whole.unit == "characters":
        return sum(len(segment.text) for segment in segments)
    if whole.unit == "seconds":
        starts = [segment.start_s for segment in segments if segment.start_s is not None]
        ends = [segment.end_s for segment in segments if segment.end_s is not None]
        return max(0.0, max(ends) - min(starts)) if starts and ends else whole.seen
    frames = {segment.frame for segment in segments if segment.frame is not None}
    return len(frames) or whole.seen
