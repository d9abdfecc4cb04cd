"""What a run will take, before it starts: steps, weights, memory, time.

Estimates: good to about a factor of two, and replaced by what is measured as soon as training runs. Knows
nothing about trainers.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_judge.finetune.training_recipe import DpoRecipe, GrpoRecipe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_judge.finetune.base_model import BaseModel
    from llm_judge.finetune.token_rows import Rows
    from llm_judge.finetune.training_recipe import Recipe

_GB = 1e9
# A token, layer and unit of width, at 16 bits: 34 (attention scores not kept), and the float32 copies that
# norms and the inputs of seven adapted layers keep. With 90, the packaged model takes a tenth more than said.
_ACTIVATION_BYTES = 90
_CHECKPOINTED_BYTES = 2  # of these, what is kept with gradient checkpointing
_OVERHEAD = 0.6e9  # libraries, kernels and buffers
# Of the speed of one large matrix product, what training reaches.
_EFFICIENCY_CPU, _EFFICIENCY_GPU = 0.2, 0.4  # measured on a CPU; a guess on a GPU
_DECODED = 6  # a drawn token costs so many times its forward: batches of one token are slow


@dataclass(frozen=True, slots=True)
class Size:
    """Weights of a model, as its configuration says; nothing is loaded.

    Attributes:
        all, body, adapter: numbers of weights: of the model; without embeddings and head; of the adapter.
        width, layers: of the (language) model.
    """

    all: int
    body: int
    adapter: int
    width: int
    layers: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will take.

    Attributes:
        steps: optimiser steps.
        rows, dev_rows: what is trained on, and looked at.
        tokens, longest: of the rows, answers included.
        size: of the model.
        memory: bytes of one process, by what they are for.
        free: bytes that are free where training would run.
        seconds: training and looks at dev.
        device: in words.
    """

    steps: int
    rows: int
    dev_rows: int
    tokens: int
    longest: int
    size: Size
    memory: dict[str, float]
    free: float
    seconds: float
    device: str

    def lines(self) -> list[str]:
        """For people."""
        needed = sum(self.memory.values())
        parts = ", ".join(f"{name} {value / _GB:.2f}" for name, value in self.memory.items())
        found = [
            f"{self.rows:,} rows of {self.tokens:,} tokens, the longest of {self.longest:,}",
            f"{self.dev_rows:,} rows held out, to look at",
            f"{self.steps:,} steps; {self.size.adapter:,} of {self.size.all:,} weights are trained",
            f"memory: about {needed / _GB:.1f} of {self.free / _GB:.1f} GB free ({parts})",
            f"time: about {in_words(self.seconds)} on {self.device}",
        ]
        if needed > self.free:
            found.append(
                "this may not fit: lower `batch` or `max_tokens`, or set `gradient_checkpointing: true`"
            )
        return found


def steps_of(recipe: Recipe, rows: int, processes: int) -> int:
    """Optimiser steps of a run, as the trainer counts them."""
    batch = recipe.batch * processes
    # A step of drawn answers takes `batch` of them, and a prompt has several.
    answers = recipe.generations if isinstance(recipe, GrpoRecipe) else 1
    batches = -(-rows * answers // batch)
    each = max(-(-batches // recipe.accumulation), 1)
    whole = int(-(-each * recipe.epochs // 1))
    return min(recipe.max_steps, whole) if recipe.max_steps else whole


def plan(recipe: Recipe, base: BaseModel, rows: Rows, dev: Rows, processes: int = 1) -> Plan:
    """Estimate a run."""
    import torch

    size = size_of(base, recipe)
    steps = steps_of(recipe, len(rows), processes)
    on_gpu = torch.cuda.is_available()
    speed = _speed(recipe.dtype, on_gpu) * (_EFFICIENCY_GPU if on_gpu else _EFFICIENCY_CPU)
    tokens = sum(rows.lengths)
    share = steps * recipe.batch * recipe.accumulation * processes / max(len(rows), 1)
    if isinstance(recipe, GrpoRecipe):
        share /= recipe.generations
    looks = (steps // recipe.evaluate_every + 2) * sum(dev.lengths) * 2 * size.body
    work = _work(recipe, size, tokens, rows.lengths) * share + looks
    return Plan(
        steps=steps,
        rows=len(rows),
        dev_rows=len(dev),
        tokens=tokens,
        longest=max(rows.lengths),
        size=size,
        memory=_memory(recipe, size, max(rows.lengths)),
        free=_free(on_gpu),
        seconds=work / processes / speed,
        device=torch.cuda.get_device_name() if on_gpu else f"{torch.get_num_threads()} CPU threads",
    )


def size_of(base: BaseModel, recipe: Recipe) -> Size:
    """Count the weights of a model without making any."""
    import torch
    from transformers import AutoConfig

    from llm_judge.finetune.base_model import model_class

    config = AutoConfig.from_pretrained(base.folder, local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        model = model_class(base).from_config(config)
    inner = config.get_text_config()
    embedded = inner.vocab_size * inner.hidden_size
    total = sum(weight.numel() for weight in model.parameters())
    tied = bool(getattr(inner, "tie_word_embeddings", False))
    adapter = sum(
        recipe.rank * sum(module.weight.shape)
        for name, module in model.named_modules()
        if name.rpartition(".")[2] in recipe.targets and not re.search("visual", name)
    )
    body = total - embedded * (1 if tied else 2)
    return Size(total, body, adapter, inner.hidden_size, inner.num_hidden_layers)


def _work(recipe: Recipe, size: Size, tokens: int, lengths: Sequence[int]) -> float:
    """Floating-point operations of one pass over the rows.

    A forward takes 2 operations a weight and token, the gradients of activations as many; those of frozen
    weights are not computed. Attention adds 4 operations a layer, unit of width and pair of tokens, and twice
    that backward.
    """
    attention = 12 * size.layers * size.width * sum(length * length for length in lengths) / 2
    forward = 2 * size.body * tokens
    work = 2 * forward + 4 * size.adapter * tokens + attention
    if recipe.gradient_checkpointing:
        work += forward
    if isinstance(recipe, DpoRecipe):
        return 2 * (work + forward)
    if isinstance(recipe, GrpoRecipe):
        drawn = 2 * size.body * _DECODED * recipe.answer_tokens * len(lengths)
        return recipe.generations * (work + forward + drawn)
    return work


def _memory(recipe: Recipe, size: Size, longest: int) -> dict[str, float]:
    """Bytes of one process.

    Activations: Korthikanti, V. et al. (2022), "Reducing activation recomputation in large transformer
    models": 34 bytes a token, layer and unit of width at 16 bits, without the scores of attention; more with
    an adapter in float32.
    """
    wide = 2 if recipe.dtype == "float32" else 1
    rows = recipe.batch * (2 if isinstance(recipe, DpoRecipe) else 1)
    answer = recipe.answer_tokens if isinstance(recipe, GrpoRecipe) else 0
    tokens = rows * (longest + answer)
    each = _CHECKPOINTED_BYTES if recipe.gradient_checkpointing else _ACTIVATION_BYTES
    return {
        "weights": 2.0 * wide * size.all,
        "adapter and optimiser": 16.0 * size.adapter,
        "activations": float(each * wide * tokens * size.width * size.layers),
        "libraries": _OVERHEAD,
    }


def _speed(dtype: str, on_gpu: bool) -> float:
    """Floating-point operations a second of a matrix product here, measured in a blink."""
    import torch

    side = 4_096 if on_gpu else 1_024
    device = "cuda" if on_gpu else "cpu"
    matrix: Any = torch.ones(side, side, dtype=getattr(torch, dtype), device=device)
    matrix @ matrix
    started, times = time.perf_counter(), 0
    while time.perf_counter() - started < 0.2:
        product = matrix @ matrix
        float(product[0, 0])  # waits for the device
        times += 1
    return 2 * side**3 * times / (time.perf_counter() - started)


def _free(on_gpu: bool) -> float:
    if on_gpu:
        import torch

        return float(torch.cuda.mem_get_info()[0])
    return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def in_words(seconds: float) -> str:
    """``50 s``, ``4 min`` or ``2 h 10 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
