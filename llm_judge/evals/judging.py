"""Policies and an engine → judges over them, and items through a judge with progress.

Joins what the policy tools share. Knows nothing about what the records are used for.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from llm_judge.batch.run import run_batches
from llm_judge.compile import TargetModel, compile_policies
from llm_judge.errors import BudgetExceeded
from llm_judge.judge import Explain, Judge, JudgeSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from llm_judge.batch.items import Item
    from llm_judge.calibration import Calibration
    from llm_judge.engines.protocol import Engine
    from llm_judge.policy.model import Policy
    from llm_judge.record import DecisionRecord


def target_of(engine: Engine) -> TargetModel:
    """Return what the compiler must know of the model behind an engine."""
    return TargetModel(engine.info.model, engine.info.context_tokens, engine.count_tokens)


def build_judges(
    policies: Sequence[Policy],
    engine: Engine,
    *,
    alone: bool = False,
    explain: bool = False,
    calibration: Calibration | None = None,
) -> list[Judge]:
    """Return one judge over all policies, as in production, or as few as the model's context allows.

    Args:
        alone: one judge a policy instead.
        explain: whether verdicts that are not clear are explained.
        calibration: made for these policies together; None for stand-ins.

    Raises:
        BudgetExceeded: a single policy does not fit the model.
        UsageError: no policies, an action ladder names an unknown threshold, or the calibration was made
            for something else.
    """
    if alone and len(policies) > 1:
        groups = [[policy] for policy in policies]
    else:
        try:
            compiled = compile_policies(policies, target_of(engine))
        except BudgetExceeded:
            if len(policies) == 1:
                raise
            half = (len(policies) + 1) // 2
            groups = [[*policies[:half]], [*policies[half:]]]
        else:
            explained = Explain.AUTO if explain else Explain.NEVER
            return [Judge(compiled, engine, JudgeSettings(explain=explained, calibration=calibration))]
    return [
        judge
        for group in groups
        for judge in build_judges(group, engine, explain=explain, calibration=calibration)
    ]


def judge_items(
    judge: Judge, items: Iterable[Item], advance: Callable[[int], None] = lambda _: None
) -> list[DecisionRecord]:
    """Judge items in batches and return one record each, in order.

    Raises:
        Interrupted: Ctrl-C; the batch in hand is lost, since only whole runs can be reported.
        EngineError, PackageError: as raised by the engine or a perceiver.
    """
    found = []
    records = run_batches(judge, items)
    with closing(records):
        for record in records:
            found.append(record)
            advance(1)
    return found
