"""`llm-judge finetune merge`: one model folder out of an adapter and its base."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llm_judge.cli.finetune_adapters import RegistryFolder
from llm_judge.cli.finetune_gate import AdapterArgument, BaseFolder, LimitsFile, base_model, located


def merge(
    adapter: AdapterArgument,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Made; must not exist.")],
    base: BaseFolder = None,
    dtype: Annotated[
        str, typer.Option("--dtype", metavar="DTYPE", help="Of the weights: `bfloat16` or `float32`.")
    ] = "bfloat16",
    limits: LimitsFile = None,
    registry: RegistryFolder = None,
) -> None:
    """Merge an adapter into its base, for a server without LoRA or a CPU, where LoRA is slow.

    Merged in float32, rounded once, read back and held against base and adapter on the liveness probes; the
    largest difference is printed, and over `parity_at_most` of the limits nothing is written (exit code 1).

      llm-judge finetune merge hate-2 --out merged
    """
    from llm_judge.finetune.gate_limits import default_limits, load_limits
    from llm_judge.finetune.liveness_probes import load_probes, probe_folder
    from llm_judge.finetune.merge import merge_to

    wanted = load_limits(limits or default_limits())
    folder, digest, _ = located(adapter, registry)
    model, model_digest = base_model(base)
    parity = merge_to(
        model,
        folder,
        out,
        load_probes(probe_folder()),
        dtype=dtype,
        at_most=wanted.parity_at_most,
        base_digest=model_digest,
    )
    typer.echo(f"adapter {digest[:12]} merged into {out}, {dtype}")
    typer.echo(
        f"merged against adapter, label log-probabilities of {parity.reads} reads: largest difference "
        f"{parity.largest:.4f} nats, mean {parity.mean:.4f} (limit {wanted.parity_at_most:g})"
    )
