"""`llm-judge finetune data`: labelled rows and policies in, training rows in the judge's own prompts out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_judge.cli.options import DataFolder
from llm_judge.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping


def data(
    recipe: Annotated[
        Path | None, typer.Argument(metavar="[RECIPE]", help="YAML recipe; the shipped one if left out.")
    ] = None,
    data: DataFolder = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Folder to write; the recipe may name it too."),
    ] = None,
    misses: Annotated[
        list[Path] | None,
        typer.Option(
            "--misses",
            metavar="RUN",
            help="Finished eval run on training rows: what it got wrong becomes preference pairs. "
            "Give it several times for several.",
        ),
    ] = None,
    overrides: Annotated[
        Path | None,
        typer.Option(
            "--overrides",
            metavar="FILE",
            help="Reviewers' corrections, one JSON object a line: decision, text or sha256, rule, verdict.",
        ),
    ] = None,
    per_cell: Annotated[
        int | None,
        typer.Option(
            "--per-cell",
            min=1,
            metavar="N",
            help="Rows of each set, language and answer at most, instead of the recipe's number.",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Instead of the recipe's seed.")
    ] = None,
) -> None:
    """Compile labelled sets, our own rows and the policies into training rows, with the judge's own prompts.

    Writes reads, explanations and preference pairs in TRL's forms, the same from held-out rows (`dev_…`), a
    manifest and a page of statistics. Texts that a suite, a case or the demo scores on are left out.

      llm-judge finetune data --data DATA_FOLDER --out train
    """
    from llm_judge.cli.progress import item_progress
    from llm_judge.evals.suite_rows import data_folder
    from llm_judge.finetune.data_recipe import default_recipe, load_data_recipe
    from llm_judge.finetune.labelled import training_policies
    from llm_judge.finetune.training_data import compile_data

    path = recipe or default_recipe()
    policies = training_policies()
    settings = load_data_recipe(path, [policy.policy for policy in policies])
    given = {"per_cell": per_cell, "seed": seed}
    settings = settings.model_copy(update={name: n for name, n in given.items() if n is not None})
    folder = data_folder(data or (Path(settings.data) if settings.data else None))
    target = out or (Path(settings.out) if settings.out else None)
    if folder is None:
        raise UsageError("there are no labelled sets", "give their folder with --data")
    if target is None:
        raise UsageError("there is no folder to write", "give one with --out")
    manifest = compile_data(
        settings,
        path,
        policies,
        folder,
        target,
        lambda label, total: item_progress(total, label=label),
        runs=misses or (),
        overrides=overrides,
    )
    _show(manifest, target)


def _show(manifest: Mapping[str, Any], out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table("file", "rows", "tokens", "longest")
    for name, about in manifest["outputs"].items():
        tokens = about["tokens"]
        table.add_row(name, f"{about['rows']:,}", f"{tokens['all']:,}", f"{tokens['longest']:,}")
    console.print(table)
    table = Table("left out", "number")
    for reason, by in manifest["left_out"].items():
        table.add_row(reason, f"{sum(by.values()):,}")
    console.print(table)
    rows = manifest["rows"]
    typer.echo(f"{rows['train']} training rows and {rows['dev']} held-out rows, in {out}", err=True)
