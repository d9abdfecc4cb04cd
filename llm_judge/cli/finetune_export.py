"""`llm-judge finetune export` and `card`: an adapter for a server, and what to know about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.cli.finetune_adapters import Reference, RegistryFolder, opened_registry

if TYPE_CHECKING:
    from llm_judge.adapters.manifest import AdapterManifest, RegistryState

Licence = Annotated[
    str | None, typer.Option("--licence", metavar="SPDX", help="Licence of the adapter, such as Apache-2.0.")
]


def export(
    reference: Reference,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="PATH", help="Folder, or file that ends in .tar; made.")
    ],
    licence: Licence = None,
    registry: RegistryFolder = None,
) -> None:
    """Write an adapter of the registry for vLLM: settings, safetensors, card, manifest, checksums.

    What vLLM would refuse or silently leave out is refused here. Prints how to serve it.

      llm-judge finetune export current --out hate-2.tar
    """
    from llm_judge.finetune.card import model_card
    from llm_judge.finetune.export import export_adapter, max_lora_rank

    opened = opened_registry(registry)
    folder, manifest = opened.open(reference)
    state = opened.state()
    name = _name(state, manifest)
    card = model_card(manifest, name, state.gates.get(manifest.digest), licence)
    base = manifest.base.name if manifest.base else None
    export_adapter(folder, manifest, card, out, base)
    typer.echo(f"{name} ({manifest.digest[:12]}) in {out}")
    typer.echo(
        f"serve it: --enable-lora --max-lora-rank {max_lora_rank(manifest.rank)} "
        f"--lora-modules {name}=FOLDER, and ask for the model `{name}`"
    )


def card(
    reference: Reference,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write it here instead of printing it.")
    ] = None,
    licence: Licence = None,
    registry: RegistryFolder = None,
) -> None:
    """Write the model card of an adapter: figures with intervals, digests, gates passed, limits.

    llm-judge finetune card hate-2 --out README.md
    """
    from llm_judge.cli.report_file import check_writable, write_text
    from llm_judge.finetune.card import model_card

    opened = opened_registry(registry)
    manifest, state = opened.manifest(reference), opened.state()
    text = model_card(manifest, _name(state, manifest), state.gates.get(manifest.digest), licence)
    if out is None:
        typer.echo(text)
        return
    check_writable(out)
    write_text(out, text)
    typer.echo(f"wrote {out}", err=True)


def _name(state: RegistryState, manifest: AdapterManifest) -> str:
    return next(iter(state.names_of(manifest.digest)), manifest.digest[:12])
