"""`llm-judge finetune sft`: supervised training of an adapter on what `finetune data` makes."""

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


def sft(
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
    """Train an adapter on right answers, with the judge's own prompts.

    Loss is on the answers only. Held-out rows are looked at with the figures of `llm-judge eval`, and the
    best step ships. A vision-language model learns from a file of rows with pictures; its vision tower stays
    as it is. Several GPUs: `accelerate launch -m llm_judge finetune sft …`.

      llm-judge finetune sft --data train --out adapter
      llm-judge finetune sft my.yaml --data train --out adapter --plan
    """
    settings = {"data": data, "out": out, "model": model, "start_from": start_from}
    train("sft", recipe, {**settings, "seed": seed, "max_steps": max_steps}, resume, plan)
