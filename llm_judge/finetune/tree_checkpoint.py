"""Where a run of ``tree_training.py`` stands: factors and Adam's moments in float32, the losses so far.

A run that goes on from here computes what it would have computed anyway. Everything is written beside the
last checkpoint and takes its place by one rename. Knows nothing about trees.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_judge.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor
    from torch.optim import Optimizer

_TENSORS, _STATE = "state.safetensors", "state.json"
_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a run has come.

    Attributes:
        losses: of each step that was done.
        seconds: spent so far, over all starts.
        before: what was measured on dev before the first step.
    """

    losses: tuple[float, ...]
    seconds: float
    before: Mapping[str, float]


def save_checkpoint(
    folder: Path, factors: Sequence[Tensor], optimiser: Optimizer, standing: Standing
) -> None:
    """Replace the checkpoint in ``folder``."""
    from safetensors.torch import save_file

    part, old = folder.with_name(folder.name + ".part"), folder.with_name(folder.name + ".old")
    for left in (part, old):
        shutil.rmtree(left, ignore_errors=True)
    part.mkdir(parents=True)
    tensors = {}
    for number, factor in enumerate(factors):
        tensors[f"{number}.factor"] = factor.detach().clone()
        for name in _MOMENTS:
            tensors[f"{number}.{name}"] = optimiser.state[factor][name]
    save_file(tensors, part / _TENSORS)
    state = {
        "losses": standing.losses,
        "seconds": standing.seconds,
        "before": dict(standing.before),
    }
    (part / _STATE).write_text(json.dumps(state), encoding="utf-8")
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(folder: Path, factors: Sequence[Tensor], optimiser: Optimizer) -> Standing | None:
    """Put factors and moments back where the run stood; None where there is nothing to go on from.

    Raises:
        UsageError: the checkpoint is damaged.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    old = folder.with_name(folder.name + ".old")
    if not folder.exists() and old.exists():  # killed between the two renames
        old.rename(folder)
    if not folder.exists():
        return None
    try:
        state: dict[str, Any] = json.loads((folder / _STATE).read_text("utf-8"))
        tensors = load_file(folder / _TENSORS)
        with torch.no_grad():
            for number, factor in enumerate(factors):
                factor.copy_(tensors[f"{number}.factor"])
                moments = {name: tensors[f"{number}.{name}"] for name in _MOMENTS}
                optimiser.state[factor] = {"step": torch.tensor(float(len(state["losses"]))), **moments}
        return Standing(tuple(state["losses"]), state["seconds"], state["before"])
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise UsageError(
            f"the checkpoint `{folder}` is damaged: {error}", "remove it and start again"
        ) from None
