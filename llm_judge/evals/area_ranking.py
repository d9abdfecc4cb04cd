"""Items ranked by their areas alone: the cheapest answers that AUROC and AUPRC can be made of.

No rule is asked, which saves most of the tokens; there is no decision, and an area's outcome is what the
judge's thresholds make of the area's own probability. Knows nothing about files or metrics.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from llm_judge.content.content import Content
from llm_judge.errors import ContentError
from llm_judge.evals.outcomes import ANY, Answer, EvalItem, ItemOutcome, Kind
from llm_judge.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llm_judge.engines.protocol import Engine
    from llm_judge.judge import Judge
    from llm_judge.verdict import AreaAnswer, Thresholds

NO_ACTION = "none"  # nothing was decided


def rank_items(
    judge: Judge,
    items: Sequence[EvalItem],
    open_item: Callable[[EvalItem], Content],
    asked: Sequence[frozenset[str] | None],
) -> list[ItemOutcome]:
    """Ask the areas of each item, and nothing else.

    Args:
        judge: over the policies of the suite.
        items: judged together.
        open_item: returns what is judged; a ``ContentError`` is that item's error.
        asked: for each item the policies to ask about, None for all; only then is it scored as a whole.
    """
    started = time.perf_counter()
    counted = item_tokens(judge.engine)
    opened = [_opened(open_item, item) for item in items]
    contents = [each for each in opened if isinstance(each, Content)]
    kept = [policies for each, policies in zip(opened, asked, strict=True) if isinstance(each, Content)]
    read = iter(judge.read_areas(contents, kept))
    answers = [next(read) if isinstance(each, Content) else each for each in opened]
    ms = (time.perf_counter() - started) * 1000 / max(len(items), 1)
    tokens = (item_tokens(judge.engine) - counted) / max(len(items), 1)
    thresholds = judge.settings.thresholds
    return [
        ItemOutcome.of(
            item,
            sha256=each.sha256 if isinstance(each, Content) else "",
            answers=() if isinstance(found, ContentError) else _answers(item, found, thresholds, policies),
            action=NO_ACTION,
            ms=ms,
            tokens=tokens,
            error=f"{type(found).__name__}: {found.message}" if isinstance(found, ContentError) else None,
        )
        for item, each, found, policies in zip(items, opened, answers, asked, strict=True)
    ]


def item_tokens(engine: Engine) -> int:
    """Tokens computed for items so far; 0 where the engine does not count.

    Prefixes are left out: they are computed once a process, so a run that was stopped would count them twice.
    """
    return int(getattr(engine, "tokens_computed", 0)) - int(getattr(engine, "prefix_tokens", 0))


def _opened(open_item: Callable[[EvalItem], Content], item: EvalItem) -> Content | ContentError:
    try:
        return open_item(item)
    except ContentError as error:
        return error


def _answers(
    item: EvalItem,
    areas: Sequence[AreaAnswer],
    thresholds: Thresholds,
    asked: frozenset[str] | None,
) -> tuple[Answer, ...]:
    found = [
        Answer(
            Kind.AREA,
            area.area,
            item.areas.get(area.area),
            area.probability,
            0.0,
            area.label_mass,
            _outcome(area, thresholds).value,
        )
        for area in areas
    ]
    if asked is not None or not found:
        return tuple(found)
    whole = Answer(
        Kind.ITEM,
        ANY,
        item.harmful,
        max((area.probability for area in areas if area.probability is not None), default=None),
        0.0,
        min(area.label_mass for area in areas),
        min((Outcome(answer.outcome) for answer in found), key=lambda outcome: outcome.rank).value,
    )
    return (whole, *found)


def _outcome(area: AreaAnswer, thresholds: Thresholds) -> Outcome:
    if area.probability is None:
        return Outcome.UNREADABLE
    if area.label_mass < thresholds.min_label_mass:
        return Outcome.ABSTAIN
    if area.probability >= thresholds.fires_at:
        return Outcome.VIOLATES
    return Outcome.CLEAR if area.probability < thresholds.clear_below else Outcome.ABSTAIN
