"""`llm-judge finetune dpo`: preference training of an adapter on pairs of a better and a worse answer."""

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


def dpo(
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
    """Train an adapter on pairs of a better and a worse answer.

    The reference is the adapter it starts from, or the base model.

      llm-judge finetune dpo --data train --start-from adapter --out better
    """
    settings = {"data": data, "out": out, "model": model, "start_from": start_from}
    train("dpo", recipe, {**settings, "seed": seed, "max_steps": max_steps}, resume, plan)
