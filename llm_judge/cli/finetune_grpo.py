"""`llm-judge finetune grpo`: training of an adapter on answers that it draws, with labels as rewards."""

from __future__ import annotations

from llm_judge.cli.finetune_train import (
    Data,
    MaxSteps,
    Model,
    Out,
    PlanOnly,
    RecipeFile,
    Resume,
    Seed,
    StartFrom,
    train,
)


def grpo(
    recipe: RecipeFile = None,
    data: Data = None,
    out: Out = None,
    model: Model = None,
    start_from: StartFrom = None,
    seed: Seed = None,
    max_steps: MaxSteps = None,
    resume: Resume = False,
    plan: PlanOnly = False,
) -> None:
    """Train an adapter on answers that it draws, rewarded by the labels of their rows.

    A missed violation costs more than a false alarm (`missed_cost`); what cannot be read costs the most.

      llm-judge finetune grpo --data train --start-from adapter --out better
    """
    settings = {"data": data, "out": out, "model": model, "start_from": start_from}
    train("grpo", recipe, {**settings, "seed": seed, "max_steps": max_steps}, resume, plan)
