"""The free-form JSON judge on the same items: what peers build first, as a baseline in the same table.

It answers yes or no, so its probabilities are 1 and 0; what cannot be read is unreadable, never clear.
Knows nothing about files or metrics.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from llm_judge.content.text import from_text
from llm_judge.errors import ContentError, JudgeError, UsageError
from llm_judge.evals.outcomes import ANY, Answer, EvalItem, ItemOutcome, Kind
from llm_judge.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llm_judge.compile import CompiledPolicy
    from llm_judge.engines.local import LocalEngine


def free_form_outcomes(
    engine: LocalEngine,
    compiled: CompiledPolicy,
    items: Sequence[EvalItem],
    advance: Callable[[int], None] = lambda _: None,
) -> list[ItemOutcome]:
    """Ask about every area of every item, one completion each.

    Raises:
        UsageError: an item is not a text; this judge reads nothing else.
    """
    from llm_judge.evals.naive import NaiveJudge

    judge = NaiveJudge(engine, compiled)
    found = []
    for item in items:
        if item.text is None:
            raise UsageError(
                f"the free-form judge reads texts only, not `{item.id}`", "choose a suite of texts"
            )
        computed, started = judge.tokens_computed, time.perf_counter()
        try:
            content = from_text(item.text, id=item.id)
            answers, sha256, error = judge.judge_areas(content), content.sha256, None
        except ContentError as trouble:
            answers, sha256, error = {}, "", trouble
        spent = (time.perf_counter() - started) * 1000
        tokens = judge.tokens_computed - computed
        found.append(_outcome(item, sha256, answers, spent, tokens, error))
        advance(1)
    return found


def _outcome(
    item: EvalItem,
    sha256: str,
    answers: Mapping[str, bool | None],
    ms: float,
    tokens: int,
    error: JudgeError | None,
) -> ItemOutcome:
    areas = [_answer(Kind.AREA, key, item.areas.get(key), value) for key, value in answers.items()]
    said = [value for value in answers.values() if value is not None]
    # One area that applies is enough; "no" needs every area to have been read.
    anything = True if any(said) else None if len(said) < len(answers) else False
    whole = [_answer(Kind.ITEM, ANY, item.harmful, anything)] if areas else []
    return ItemOutcome.of(
        item,
        sha256=sha256,
        answers=(*whole, *areas),
        action="review" if anything is not False else "allow",
        ms=ms,
        tokens=tokens,
        error=f"{type(error).__name__}: {error.message}" if error else None,
    )


def _answer(kind: Kind, key: str, truth: bool | None, said: bool | None) -> Answer:
    outcome = {True: Outcome.VIOLATES, False: Outcome.CLEAR, None: Outcome.UNREADABLE}[said]
    return Answer(
        kind, key, truth, None if said is None else float(said), 0.0, float(said is not None), outcome.value
    )
