"""`llm-judge finetune adapters`: the adapters of this machine, and which one judges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_judge.errors import ExitCode

if TYPE_CHECKING:
    from llm_judge.adapters.manifest import AdapterManifest, RegistryState
    from llm_judge.adapters.registry import AdapterRegistry

RegistryFolder = Annotated[
    Path | None,
    typer.Option(
        "--registry",
        metavar="FOLDER",
        envvar="LLM_JUDGE_ADAPTERS",
        help="Folder of the registry; `llm-judge/adapters` in the user's data folder if left out.",
    ),
]
Reference = Annotated[
    str,
    typer.Argument(metavar="ADAPTER", help="A name, `current`, or 8 or more digits of a digest."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

app = typer.Typer(
    help="Keep adapters by what they are, name them, and say which one is current.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


def opened_registry(folder: Path | None) -> AdapterRegistry:
    """Return the registry that a command was given, or the user's."""
    from llm_judge.adapters.registry import AdapterRegistry, registry_folder

    return AdapterRegistry(folder or registry_folder())


@app.command("list")
def list_adapters(registry: RegistryFolder = None, as_json: AsJson = False) -> None:
    """List the adapters: names, rank, gates passed, and which one is current."""
    from rich.console import Console
    from rich.table import Table

    opened = opened_registry(registry)
    state = opened.state()
    rows = [_row(state, manifest) for manifest in sorted(state.manifests.values(), key=lambda m: m.added)]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table(caption=f"registry: {opened.folder}")
    for column in ("digest", "names", "rank", "added", "gates passed", ""):
        table.add_column(column, no_wrap=column == "digest")
    for row in rows:
        gates = ", ".join(name for name in ("liveness", "promotion") if row["gates"][name]) or "none"
        mark = "current" if row["current"] else ""
        table.add_row(
            row["digest"][:12], ", ".join(row["names"]), str(row["rank"]), row["added"], gates, mark
        )
    Console().print(table)


@app.command("add")
def add(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="A LoRA adapter: adapter_config.json, adapter_model.safetensors."
        ),
    ],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What to call it.")],
    run: Annotated[
        list[Path] | None,
        typer.Option(
            "--run",
            metavar="RUN",
            help="Finished eval run judged by it, for its figures; give it several times for several.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FOLDER", help="Its training data, as `finetune data` made it."),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", metavar="FILE", help="The recipe it was trained by; kept.")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", metavar="FILE", help="A calibration made for it; kept.")
    ] = None,
    base: Annotated[
        Path | None,
        typer.Option("--base", metavar="FOLDER", help="Model it was trained on; the runs say it too."),
    ] = None,
    registry: RegistryFolder = None,
) -> None:
    """Copy an adapter into the registry, under the digest of its settings and weights.

    llm-judge finetune adapters add out --name hate-2 --run runs/hate-2/core-text --data train
    """
    from llm_judge.adapters.lora_folder import adapter_digest
    from llm_judge.adapters.registry import check_name
    from llm_judge.adapters.stored_folder import CALIBRATION, RECIPE
    from llm_judge.finetune.adapter_facts import adapter_facts

    check_name(name)
    digest = adapter_digest(folder)
    facts = adapter_facts(digest, runs=run or (), data=data, calibration=calibration, base=base)
    more = {kept: path for kept, path in ((RECIPE, recipe), (CALIBRATION, calibration)) if path is not None}
    manifest = opened_registry(registry).add(folder, name, facts, more)
    typer.echo(f"{name}: {manifest.digest}")


@app.command("show")
def show(reference: Reference, registry: RegistryFolder = None, as_json: AsJson = False) -> None:
    """Show what is known about an adapter, and where its folder is."""
    opened = opened_registry(registry)
    manifest, state = opened.manifest(reference), opened.state()
    row = {**_row(state, manifest), "folder": str(opened.path_of(manifest.digest))}
    row["manifest"] = manifest.model_dump(mode="json", by_alias=True)
    if as_json:
        typer.echo(json.dumps(row))
        return
    typer.echo(f"adapter {manifest.digest}\nnames {', '.join(row['names'])}\nfolder {row['folder']}")
    base = f"{manifest.base.name} {manifest.base.digest[:12]}" if manifest.base else "not said"
    typer.echo(
        f"base {base}\nrank {manifest.rank}, alpha {manifest.alpha:g}, on {', '.join(manifest.targets)}"
    )
    for label, digest in (
        ("policies", manifest.policy_digest),
        ("training data", manifest.data_digest),
        ("calibration", manifest.calibration_digest),
    ):
        typer.echo(f"{label} {digest[:12] if digest else 'not said'}")
    for each in manifest.metrics:
        ends = "no interval" if each.low is None else f"{each.low:.3f} to {each.high:.3f}"
        typer.echo(
            f"{each.suite}: {each.metric} of {each.kind} {each.key} {each.value} ({ends}, n={each.items})"
        )


@app.command("verify")
def verify(
    reference: Annotated[
        str | None, typer.Argument(metavar="[ADAPTER]", help="One adapter; all of them if left out.")
    ] = None,
    registry: RegistryFolder = None,
) -> None:
    """Read every byte of the adapters and compare it with the manifests; exit code 1 if anything differs."""
    found = opened_registry(registry).problems(reference)
    for digest, problems in found.items():
        if not problems:
            typer.echo(f"{digest[:12]}: whole")
        for problem in problems:
            typer.echo(f"{digest[:12]}: {problem}", err=True)
    raise typer.Exit(ExitCode.FOUND if any(found.values()) else ExitCode.OK)


@app.command("promote")
def promote(
    reference: Reference,
    ungated: Annotated[
        str | None,
        typer.Option(
            "--ungated", metavar="REASON", help="Why it need not pass the gates; kept in the history."
        ),
    ] = None,
    registry: RegistryFolder = None,
) -> None:
    """Make an adapter the current one, which `--engine local:current` uses.

    It must have passed `finetune gate`: liveness, and a comparison with the one that is current now.
    """
    manifest = opened_registry(registry).promote(reference, ungated)
    typer.echo(f"current: {manifest.digest}")


@app.command("rollback")
def rollback(registry: RegistryFolder = None) -> None:
    """Make the adapter current that was so before."""
    manifest = opened_registry(registry).rollback()
    typer.echo(f"current: {manifest.digest}")


def _row(state: RegistryState, manifest: AdapterManifest) -> dict[str, Any]:
    gates = state.gates.get(manifest.digest)
    passed = gates.model_dump() if gates else {"liveness": None, "promotion": None, "against": None}
    return {
        "digest": manifest.digest,
        "names": state.names_of(manifest.digest),
        "rank": manifest.rank,
        "added": manifest.added,
        "gates": passed,
        "current": state.current == manifest.digest,
    }
