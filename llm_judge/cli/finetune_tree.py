"""`llm-judge finetune tree`: training of a small text model on a CPU, as the shipped adapter was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from llm_judge.cli.finetune_train import Data, MaxSteps, Model, Out, RecipeFile, Resume, Seed, StartFrom
from llm_judge.errors import UsageError

Epochs = Annotated[float | None, typer.Option(min=0.001, metavar="N", help="Instead of the recipe's epochs.")]


def tree(
    recipe: RecipeFile = None,
    data: Data = None,
    out: Out = None,
    model: Model = None,
    start_from: StartFrom = None,
    seed: Seed = None,
    max_steps: MaxSteps = None,
    epochs: Epochs = None,
    resume: Resume = False,
) -> None:
    """Train an adapter of a small text model on a CPU, in the layout the judge reads.

    All questions about a content stand in one tree behind a shared policy prefix, and LoRA factors are
    trained through merged weights. A run that was killed goes on with `--resume` to the same losses.

      llm-judge finetune data finetune/recipes/shipped-data.yaml --data DATA_FOLDER --out rows
      llm-judge finetune tree --data rows --start-from finetune/adapters/default --out adapter
    """
    from llm_judge.finetune.tree_recipe import load_tree_recipe, tree_recipe

    said = load_tree_recipe(recipe or tree_recipe())
    given: dict[str, Any] = {"data": data, "out": out, "model": model, "start_from": start_from}
    given |= {"seed": seed, "max_steps": max_steps, "epochs": epochs}
    said = said.model_copy(
        update={
            name: str(value) if isinstance(value, Path) else value
            for name, value in given.items()
            if value is not None
        }
    )
    if said.data is None:
        raise UsageError("there is no training data", "give its folder with --data")
    if said.out is None:
        raise UsageError("there is no folder to write", "give one with --out")
    from llm_judge.finetune.training import tell
    from llm_judge.finetune.tree_training import TreeTraining

    record = TreeTraining(said, tell).run(Path(said.out), resume)
    show(record, said.out)


def show(record: dict[str, Any], out: str) -> None:
    """Figures on dev before and after, on stdout."""
    from rich.console import Console
    from rich.table import Table

    table = Table("held-out rows", "before", "after")
    for name, before in record["dev_before"].items():
        table.add_row(name, f"{before:g}", f"{record['dev_after'][name]:g}")
    Console(highlight=False).print(table)
    typer.echo(f"{record['steps']} steps in {record['seconds']} s; the adapter is in {out}", err=True)
