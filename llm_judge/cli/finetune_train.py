"""What `llm-judge finetune sft`, `dpo` and `grpo` share: their options, the plan, the run, what is shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_judge.cli.extras import require_extra
from llm_judge.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

RecipeFile = Annotated[
    Path | None, typer.Argument(metavar="[RECIPE]", help="YAML recipe; the shipped one if left out.")
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="FOLDER|FILE", help="Folder of `finetune data`, or a file of rows with pictures."
    ),
]
Out = Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="Folder of the adapter.")]
Model = Annotated[
    str | None, typer.Option("--model", metavar="FOLDER", help="Base model, instead of the recipe's.")
]
StartFrom = Annotated[
    Path | None, typer.Option("--start-from", metavar="FOLDER", help="Go on from this adapter.")
]
Seed = Annotated[int | None, typer.Option(min=0, metavar="N", help="Instead of the recipe's seed.")]
MaxSteps = Annotated[
    int | None, typer.Option("--max-steps", min=1, metavar="N", help="Stop after so many steps.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a run that was killed.")]
PlanOnly = Annotated[
    bool, typer.Option("--plan", help="Show steps, memory and time, and what would be done; train nothing.")
]
_NEEDED = ("trl", "peft", "accelerate", "datasets")


def train(
    stage: str,
    recipe: Path | None,
    settings: Mapping[str, Any],
    resume: bool,
    plan_only: bool,
) -> None:
    """Read the recipe, show the plan, and train.

    Args:
        stage: ``sft``, ``dpo`` or ``grpo``.
        recipe: its file, None for the shipped one.
        settings: options that stand in for the recipe's own; None where they were not given.
        resume, plan_only: options.

    Raises:
        UsageError: something is missing or wrong.
        PolicyError: the recipe is wrong.
    """
    from llm_judge.finetune.training_recipe import load_training_recipe, recipe_named

    said = load_training_recipe(recipe or recipe_named(stage), stage)
    given = {name: _plain(value) for name, value in settings.items() if value is not None}
    said = said.model_copy(update=given)
    if said.data is None:
        raise UsageError("there is no training data", "give its folder with --data")
    if said.out is None and not plan_only:
        raise UsageError("there is no folder to write", "give one with --out")
    require_extra("training", "train", _NEEDED)
    from llm_judge.finetune.training import Training, tell

    training = Training(said, tell)
    if training.first:
        for line in training.plan().lines():
            (typer.echo if plan_only else tell)(line)
    if plan_only:
        if training.first:
            typer.echo(
                f"nothing was trained; {_started(said.start_from)}, the best on dev by {said.watch} ships"
            )
        return
    record = training.run(Path(str(said.out)), resume)
    if training.first:
        _show(record, str(said.out))


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _started(start_from: str | None) -> str:
    return (
        "it would start from a new adapter" if start_from is None else f"it would start from `{start_from}`"
    )


def _show(record: Mapping[str, Any], out: str) -> None:
    """Figures on dev before and after, on stdout.

    Raises:
        typer.Exit: nothing was learnt.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table("held-out rows", "before", f"step {record['adapter']['step']}")
    before, after = record["dev_before"], record["dev_after"]
    for name in sorted(set(before) | set(after)):
        if name != "step" and isinstance(after.get(name), float):
            table.add_row(name, *(f"{each[name]:.4f}" if name in each else "n/a" for each in (before, after)))
    Console(highlight=False).print(table)
    seconds = record["seconds"]
    typer.echo(f"{record['steps']} steps in {seconds} s; the adapter is in {out}", err=True)
    if not record["learnt"]:
        typer.echo("no figure moved: nothing was learnt", err=True)
        raise typer.Exit(ExitCode.FOUND)
