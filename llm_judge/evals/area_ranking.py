"""Items ranked by their areas alone: the cheapest answers that AUROC and AUPRC can be made of.

No rule is asked, which saves most of the tokens; there is no decision, and an area's outcome is what the
judge's thresholds make of the area's own probability. Knows nothing about files or metrics.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from llm_judge.content.content import Content
from llm_judge.errors import ContentError
from llm_judge.evals.outcome_of import area_answer, whole_and_areas
from llm_judge.evals.outcomes import EvalItem, ItemOutcome
from llm_judge.evals.recall import Answered
from llm_judge.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge.engines.protocol import Engine
    from llm_judge.judge import Judge
    from llm_judge.verdict import AreaAnswer, Thresholds

NO_ACTION = "none"  # nothing was decided


def answer_areas(
    judge: Judge,
    opened: Sequence[Content | Answered | ContentError],
    asked: Sequence[frozenset[str] | None],
) -> list[Answered | ContentError]:
    """Ask the areas of each content, and nothing else.

    Args:
        judge: over the policies of the suite.
        opened: contents are judged together; what was answered before, or cannot be judged, stays as it is.
        asked: for each content the policies to ask about, None for all.
    """
    started = time.perf_counter()
    counted = item_tokens(judge.engine)
    contents = {n: each for n, each in enumerate(opened) if isinstance(each, Content)}
    read = judge.read_areas(list(contents.values()), [asked[n] for n in contents])
    ms = (time.perf_counter() - started) * 1000 / max(len(contents), 1)
    tokens = (item_tokens(judge.engine) - counted) / max(len(contents), 1)
    found = {n: each for n, each in enumerate(opened) if not isinstance(each, Content)}
    for (n, content), areas in zip(contents.items(), read, strict=True):
        found[n] = (
            areas if isinstance(areas, ContentError) else Answered(content.sha256, areas, None, ms, tokens)
        )
    return [found[n] for n in range(len(opened))]


def ranked(
    item: EvalItem, found: Answered | ContentError, thresholds: Thresholds, *, whole: bool, cached: bool
) -> ItemOutcome:
    """Return the outcome of an item by its areas alone.

    Args:
        item: the labels.
        found: what was answered about its areas, or why it cannot be judged.
        thresholds: of the judge.
        whole: whether every policy was asked; only then is there an answer about the item as a whole.
        cached: whether an earlier run answered it.
    """
    if isinstance(found, ContentError):
        told = f"{type(found).__name__}: {found.message}"
        return ItemOutcome.of(item, sha256="", answers=(), action=NO_ACTION, error=told)
    areas = [area_answer(item, area, _outcome(area, thresholds)) for area in found.areas]
    return ItemOutcome.of(
        item,
        sha256=found.sha256,
        answers=whole_and_areas(item, areas, whole=whole),
        action=NO_ACTION,
        ms=found.ms,
        tokens=found.tokens,
        cached=cached,
    )


def item_tokens(engine: Engine) -> int:
    """Tokens computed for items so far; 0 where the engine does not count.

    Prefixes are left out: they are computed once a process, so a run that was stopped would count them twice.
    """
    return int(getattr(engine, "tokens_computed", 0)) - int(getattr(engine, "prefix_tokens", 0))


def _outcome(area: AreaAnswer, thresholds: Thresholds) -> Outcome:
    if area.probability is None:
        return Outcome.UNREADABLE
    if area.label_mass < thresholds.min_label_mass:
        return Outcome.ABSTAIN
    if area.probability >= thresholds.fires_at:
        return Outcome.VIOLATES
    return Outcome.CLEAR if area.probability < thresholds.clear_below else Outcome.ABSTAIN
