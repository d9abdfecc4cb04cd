"""LoRA fine-tuning on token trees: read top to bottom.

A pack is one content with its questions behind it, all behind one cached policy prefix (trees.py), so one
forward pass trains what serving reads. Loss is cross-entropy at the answer over the full vocabulary: that
is what makes label mass mean something.

The model always computes with merged weights, as it is served (merged_lora.py). Keys and values of the
prefix are computed with the current weights but without a gradient, and are reused for a few steps. Layers
under ``first_layer`` keep the factors they start with: they need no backward pass, so a step costs less.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from llm_judge.compile import EXCEPT, NO, YES
from llm_judge.engines.allocator import keep_freed_memory
from llm_judge.engines.tokens import tokens_and_frame
from llm_judge.errors import UsageError
from llm_judge.finetune.base_model import ADAPTER_WEIGHTS, BaseModel, quiet_libraries
from llm_judge.finetune.merged_lora import MergedLora
from llm_judge.finetune.training_folder import RunFolder, recipe_digest
from llm_judge.finetune.tree_checkpoint import Standing, load_checkpoint, save_checkpoint
from llm_judge.finetune.tree_recipe import TreeRecipe
from llm_judge.finetune.trees import EXPLANATION, Trees, read_trees
from llm_judge.packaged import file_sha256

ATTENTION = "llm_judge_train"
TRAIN_FILES = ("reads.parquet", "explanations.parquet")
DEV_FILE = "dev_reads.parquet"
TOLD_EVERY = 25  # steps
CHECKPOINT_PREFIXES = 3  # a checkpoint each time prefixes were computed so often
BATCHES_OF_A_STEP = 2


class TreeTraining:
    """One run, from where its last checkpoint stands.

    Args:
        recipe: settings; ``data`` is given.
        tell: shows a line to people.

    Raises:
        UsageError: model, data or the adapter to start from are missing or wrong.
        EngineError: the model's tokenizer or chat template cannot be used.
    """

    def __init__(self, recipe: TreeRecipe, tell: Callable[[str], None]) -> None:
        self.recipe, self._tell = recipe, tell
        self.base = BaseModel.of(recipe.model)
        tokens, frame = tokens_and_frame(self.base.folder)
        rows = Path(str(recipe.data))
        self._trees = read_trees([rows / name for name in TRAIN_FILES], tokens, frame)
        dev = read_trees([rows / DEV_FILE], tokens, frame)
        self._dev = dev.sample(recipe.dev_answers, seed=1)
        self._labels = [tokens.label_id(word) for word in (YES, NO, EXCEPT)]
        steps = steps_of(self._trees, recipe.tokens_per_step, recipe.epochs, recipe.seed)
        self._steps = steps[: recipe.max_steps or None]
        self._digests = {name: file_sha256(rows / name) for name in (*TRAIN_FILES, DEV_FILE)}

    def run(self, out: Path, resume: bool) -> dict[str, Any]:
        """Take all steps that are left; write the adapter and ``training.json``.

        Args:
            out: folder of the run.
            resume: whether to go on with a run that was killed.

        Returns:
            The record, as ``training.json`` has it.

        Raises:
            UsageError: ``out`` or the checkpoint in it cannot be used.
            OutputError: something cannot be written.
        """
        import torch

        folder = RunFolder(out, self._inputs())
        folder.claim(resume)
        standing = folder.checkpoints / "standing"
        model, lora, optimiser = self._loaded()
        at = load_checkpoint(standing, lora.factors, optimiser) if resume else None
        lora.merge()
        before = at.before if at else measure(model, self._dev, self._labels)
        self._tell(f"{len(self._trees)} contents, {self._trees.tokens} tokens, {len(self._steps)} steps")
        losses = list(at.losses) if at else []
        started = time.monotonic() - (at.seconds if at else 0)
        prefixes = Prefixes(model, self._trees, self.recipe.prefix_steps)
        for step in range(len(losses), len(self._steps)):
            self._set_rate(optimiser, step)
            batches = self._steps[step]
            weight = self.recipe.explanation_weight
            losses.append(step_loss(model, self._trees, batches, prefixes.at(step), weight))
            lora.collect_gradients()
            torch.nn.utils.clip_grad_norm_(lora.factors, 1.0)
            optimiser.step()
            lora.merge()
            done, spent = step + 1, time.monotonic() - started
            if done % TOLD_EVERY == 0:
                self._tell(self._progress(losses, spent))
            # Where prefixes are computed anew anyway, so that going on from here changes nothing.
            if done % (CHECKPOINT_PREFIXES * self.recipe.prefix_steps) == 0:
                save_checkpoint(standing, lora.factors, optimiser, Standing(tuple(losses), spent, before))
        seconds = time.monotonic() - started
        lora.save(folder.checkpoints / "adapter")
        record = self._record(before, measure(model, self._dev, self._labels), losses, seconds)
        folder.finish(record, folder.checkpoints / "adapter")
        return record

    def _loaded(self) -> tuple[Any, MergedLora, Any]:
        import torch
        from transformers import AutoModelForCausalLM

        keep_freed_memory()
        quiet_libraries()
        register_attention()
        torch.manual_seed(self.recipe.seed)
        model = AutoModelForCausalLM.from_pretrained(
            self.base.folder,
            dtype=torch.bfloat16,
            attn_implementation=ATTENTION,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
        ).eval()
        start = Path(self.recipe.start_from) if self.recipe.start_from else None
        lora = MergedLora(model, self.recipe.rank, start, self.recipe.first_layer)
        rate = self.recipe.learning_rate
        return model, lora, torch.optim.AdamW(lora.factors, lr=rate, weight_decay=0.0)

    def _set_rate(self, optimiser: Any, step: int) -> None:
        recipe = self.recipe
        share = schedule(step, len(self._steps), recipe.warmup_steps, recipe.end_rate)
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * share

    def _progress(self, losses: Sequence[float], spent: float) -> str:
        done, left = len(losses), len(self._steps) - len(losses)
        minutes = spent / done * left / 60
        mean = float(np.mean(losses[-TOLD_EVERY:]))
        return f"step {done} of {len(self._steps)}: loss {mean:.4f}, {minutes:.0f} min left"

    def _inputs(self) -> dict[str, Any]:
        start = self.recipe.start_from
        weights = Path(start) / ADAPTER_WEIGHTS if start else None
        if weights and not weights.is_file():
            raise UsageError(
                f"there is no adapter in `{start}`", "give a folder with adapter_model.safetensors"
            )
        return {
            "recipe": recipe_digest(self.recipe),
            "data": self._digests,
            "base": self.base.digest,
            "start_from": file_sha256(weights) if weights else None,
        }

    def _record(
        self,
        before: Mapping[str, float],
        after: Mapping[str, float],
        losses: Sequence[float],
        seconds: float,
    ) -> dict[str, Any]:
        import torch

        left_out = {"data", "out", "model", "start_from"}
        return {
            "stage": self.recipe.stage,
            "model": self.base.name,
            "recipe": self.recipe.model_dump(mode="json", by_alias=True, exclude=left_out),
            "steps": len(losses),
            "seconds": round(seconds),
            "hardware": {"cpu_threads": torch.get_num_threads()},
            "dev_before": dict(before),
            "dev_after": dict(after),
            "losses": [round(loss, 4) for loss in losses],
        }


def schedule(step: int, steps: int, warmup: int, end: float) -> float:
    """Share of the learning rate: a linear start, then half a cosine down to ``end``."""
    decay = end + (1 - end) * 0.5 * (1 + math.cos(math.pi * step / steps))
    return min((step + 1) / (warmup + 1), decay)


def steps_of(trees: Trees, tokens: int, epochs: float, seed: int) -> list[list[list[int]]]:
    """Batches of each step; a part of an epoch is a part of its steps.

    A batch stands behind one prefix, so a step takes several: as many as make up its tokens.
    """
    draw = random.Random(seed)
    steps: list[list[list[int]]] = []
    for _ in range(math.ceil(epochs)):
        size = tokens + 1
        for batch in trees.batches(tokens // BATCHES_OF_A_STEP, draw):
            own = len(batch) * max(len(trees.packs[number].tokens) for number in batch)
            if size + own > tokens:
                steps.append([])
                size = 0
            steps[-1].append(batch)
            size += own
    return steps[: math.ceil(len(steps) * epochs / math.ceil(epochs))]


class Prefixes:
    """Keys and values of the prefixes with nearly the current weights.

    Args:
        steps: all are forgotten at every multiple of it; 0 keeps them.
    """

    def __init__(self, model: Any, trees: Trees, steps: int = 0) -> None:
        self._model, self._trees, self._steps = model, trees, steps
        self._found: dict[int, list[Any]] = {}

    def at(self, step: int) -> Prefixes:
        """Forget what has become too old."""
        if self._steps and step % self._steps == 0:
            self._found.clear()
        return self

    def of(self, prefix: int) -> list[Any]:
        """Per layer, keys and values ``[key heads, prefix length, head size]``."""
        import torch

        if prefix not in self._found:
            with torch.no_grad():
                ids = torch.tensor([self._trees.prefixes[prefix]])
                cache = self._model.model(ids, use_cache=True).past_key_values
            self._found[prefix] = [(layer.keys[0], layer.values[0]) for layer in cache.layers]
        return self._found[prefix]


def register_attention() -> None:
    """Make ``ATTENTION`` known to transformers; without a prefix it is the ordinary SDPA attention."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

    AttentionInterface.register(ATTENTION, _attention)
    AttentionMaskInterface.register(ATTENTION, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])


def _attention(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, prefix: Any = None, **kwargs: Any
) -> tuple[Any, None]:
    """Every row behind one prefix that is never copied: ``[B, heads, L, size]`` → ``[B, L, heads, size]``."""
    import torch

    if prefix is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        plain: tuple[Any, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
        return plain
    rows, heads, length, size = query.shape
    groups = key.shape[1]
    keys, values = prefix[module.layer_idx]
    query = query.reshape(rows, groups, -1, size) * kwargs["scaling"]  # heads of one key head stand in a row
    own = query @ key.transpose(-1, -2)
    own = (own.view(rows, heads, length, length) + attention_mask).view(own.shape)
    before = (query.transpose(0, 1).reshape(groups, -1, size) @ keys.transpose(-1, -2)).view(
        groups, rows, -1, keys.shape[1]
    )
    shares = torch.cat([before.transpose(0, 1), own], -1).softmax(-1)
    of_prefix, of_own = torch.split(shares, [keys.shape[1], length], -1)
    out = of_own @ value
    out = out + (of_prefix.transpose(0, 1).reshape(groups, -1, keys.shape[1]) @ values).view(
        groups, rows, -1, size
    ).transpose(0, 1)
    return out.view(rows, heads, length, size).transpose(1, 2).contiguous(), None


def answer_logits(model: Any, rows: dict[str, Any], prefix: list[Any]) -> Any:
    """(N, vocabulary) float32 logits at the scored places only: the head is most of a small model's cost."""
    hidden = model.model(
        rows["ids"],
        position_ids=rows["positions"],
        attention_mask=rows["mask"],
        use_cache=False,
        prefix=prefix,
    ).last_hidden_state
    # As the engine reads: in bfloat16 logits near 20 lie 0.125 apart.
    return hidden[rows["row"], rows["place"]].float() @ model.lm_head.weight.float().T


def step_loss(
    model: Any, trees: Trees, batches: Sequence[Sequence[int]], prefixes: Prefixes, explanation_weight: float
) -> float:
    """Weighted mean cross-entropy over the scored places of all batches; leaves gradients in the model."""
    import torch

    rows = [trees.padded(batch) for batch in batches]
    for each in rows:
        each["weight"] *= torch.where(each["kind"] == EXPLANATION, explanation_weight, 1.0)
    whole = float(sum(each["weight"].sum() for each in rows))
    found = 0.0
    for each in rows:
        logits = answer_logits(model, each, prefixes.of(each["prefix"]))
        losses = torch.nn.functional.cross_entropy(logits, each["target"], reduction="none")
        loss = (losses * each["weight"]).sum() / whole
        loss.backward()
        found += float(loss.detach())
    return found


def measure(model: Any, trees: Trees, labels: Sequence[int]) -> dict[str, float]:
    """Dev loss and accuracy of one-token answers, label mass, and AUROC of P(yes) by kind of question."""
    import torch

    prefixes = Prefixes(model, trees)
    found: list[tuple[int, int, float, float, float]] = []
    for batch in trees.batches(2048, random.Random(1)):
        rows = trees.padded(batch)
        with torch.no_grad():
            logits = answer_logits(model, rows, prefixes.of(rows["prefix"]))
        chosen = logits.log_softmax(-1)[:, list(labels)].exp()
        loss = torch.nn.functional.cross_entropy(logits, rows["target"], reduction="none")
        score = chosen[:, 0] / chosen.sum(-1)
        figures = (rows["kind"], rows["target"], score, chosen.sum(-1), loss)
        found += list(zip(*(figure.tolist() for figure in figures), strict=True))
    table = np.asarray(found)
    table = table[table[:, 0] != EXPLANATION]
    report = {"answers": len(table), "loss": table[:, 4].mean(), "label_mass": table[:, 3].mean()}
    for kind, name in ((0, "area"), (1, "rule"), (2, "exemption")):
        of_kind = table[table[:, 0] == kind]
        report[f"auroc_{name}"] = auroc(of_kind[:, 1] == labels[0], of_kind[:, 2])
    return {name: round(float(value), 4) for name, value in report.items()}


def auroc(truth: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]) -> float:
    """Share of (positive, negative) pairs in the right order, ties half (Mann and Whitney 1947)."""
    positive, negative = scores[truth], np.sort(scores[~truth])
    if not len(positive) or not len(negative):
        return math.nan
    below = np.searchsorted(negative, positive, "left") + np.searchsorted(negative, positive, "right")
    return float(below.mean() / 2 / len(negative))
