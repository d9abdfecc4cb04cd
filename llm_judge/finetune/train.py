"""LoRA fine-tuning on token trees: read top to bottom.

    llm-judge finetune data --data DATA_FOLDER --out ROWS_FOLDER
    python -m llm_judge.finetune.train MODEL_FOLDER ROWS_FOLDER OUT_FOLDER

A pack is one content with its questions behind it, all behind one cached policy prefix (trees.py), so one
forward pass trains what serving reads. Loss is cross-entropy at the answer over the full vocabulary: that
is what makes label mass mean something. A run that was killed goes on from its last checkpoint when it is
started again.

The model always computes with merged weights, as it is served (merged_lora.py). Keys and values of the
prefix are computed with the current weights but without a gradient, and are reused for a few steps. Layers
under ``--first-layer`` keep the factors they start with: they need no backward pass, so a step costs less.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from llm_judge.compile import EXCEPT, NO, YES
from llm_judge.engines.allocator import keep_freed_memory
from llm_judge.engines.tokens import tokens_and_frame
from llm_judge.errors import JudgeError
from llm_judge.finetune.merged_lora import MergedLora
from llm_judge.finetune.tree_checkpoint import Standing, load_checkpoint, save_checkpoint
from llm_judge.finetune.trees import EXPLANATION, Trees, read_trees
from llm_judge.packaged import file_sha256

ATTENTION = "llm_judge_train"
TRAIN_FILES = ("reads.parquet", "explanations.parquet")
DEV_FILE = "dev_reads.parquet"
CHECKPOINT = "checkpoint"
CHECKPOINT_PREFIXES = 6  # a checkpoint each time prefixes were computed so often
BATCHES_OF_A_STEP = 2


def make_parser() -> argparse.ArgumentParser:
    """Every setting of a run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="folder of the converted packaged model")
    parser.add_argument("rows", type=Path, help="folder from `llm-judge finetune data`")
    parser.add_argument("out", type=Path, help="adapter folder to write")
    # Optimisation
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--end-rate", type=float, default=0.05, help="share of the rate left at the end")
    parser.add_argument("--warmup", type=int, default=20, help="steps")
    parser.add_argument("--tokens-per-step", type=int, default=2048, help="padding included")
    parser.add_argument("--explanation-weight", type=float, default=0.25, help="of each explanation token")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--first-layer", type=int, default=0, help="layers under this one stay as they are")
    parser.add_argument("--prefix-steps", type=int, default=8, help="steps a computed prefix is reused for")
    # Runtime
    parser.add_argument("--start-from", type=Path, help="go on from this adapter")
    parser.add_argument("--dev-answers", type=int, default=1500, help="measured before and after, at least")
    parser.add_argument("--seed", type=int, default=1)
    return parser


def main() -> None:
    """Train, measure on dev before and after, save the adapter and what it was trained with."""
    options = make_parser().parse_args()
    try:
        Training(options).run()
    except JudgeError as error:
        hint = f"\n  = help: {error.hint}" if error.hint else ""
        raise SystemExit(f"error: {error.message}{hint}") from None


class Training:
    """One run, from where its last checkpoint stands."""

    def __init__(self, options: argparse.Namespace) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        keep_freed_memory()
        torch.manual_seed(options.seed)
        register_attention()
        self._options = options
        self._settings = {name: str(value) for name, value in vars(options).items()}
        tokens, frame = tokens_and_frame(options.model)
        self._trees = read_trees([options.rows / name for name in TRAIN_FILES], tokens, frame)
        self._dev = read_trees([options.rows / DEV_FILE], tokens, frame).sample(options.dev_answers, seed=1)
        self._labels = [tokens.label_id(word) for word in (YES, NO, EXCEPT)]
        self._steps = steps_of(self._trees, options.tokens_per_step, options.epochs, options.seed)
        self._model = AutoModelForCausalLM.from_pretrained(
            options.model, dtype=torch.bfloat16, attn_implementation=ATTENTION, local_files_only=True
        ).eval()
        self._lora = MergedLora(self._model, options.rank, options.start_from, options.first_layer)
        self._optimiser = torch.optim.AdamW(self._lora.factors, lr=options.learning_rate, weight_decay=0.0)

    def run(self) -> None:
        """Take all steps that are left."""
        options, lora = self._options, self._lora
        at = load_checkpoint(options.out / CHECKPOINT, lora.factors, self._optimiser, self._settings)
        lora.merge()
        before = at.before if at else measure(self._model, self._dev, self._labels)
        print(f"{len(self._trees)} packs, {self._trees.tokens} tokens, dev before {before}", flush=True)
        losses = list(at.losses) if at else []
        started = time.monotonic() - (at.seconds if at else 0)
        prefixes = Prefixes(self._model, self._trees, options.prefix_steps)
        for step in range(len(losses), len(self._steps)):
            losses.append(self._step(step, prefixes.at(step)))
            done, spent = step + 1, time.monotonic() - started
            if done % 25 == 0:
                mean = float(np.mean(losses[-25:]))
                print(f"step {done}/{len(self._steps)} loss {mean:.4f} {spent:.0f} s", flush=True)
            # Where prefixes are computed anew anyway, so that going on from here changes nothing.
            if done % (CHECKPOINT_PREFIXES * options.prefix_steps) == 0:
                here = Standing(done, tuple(losses), spent, before, self._settings)
                save_checkpoint(options.out / CHECKPOINT, lora.factors, self._optimiser, here)
        self._finish(before, losses, time.monotonic() - started)

    def _step(self, step: int, prefixes: Prefixes) -> float:
        import torch

        options = self._options
        share = schedule(step, len(self._steps), options.warmup, options.end_rate)
        for group in self._optimiser.param_groups:
            group["lr"] = options.learning_rate * share
        loss = step_loss(self._model, self._trees, self._steps[step], prefixes, options.explanation_weight)
        self._lora.collect_gradients()
        torch.nn.utils.clip_grad_norm_(self._lora.factors, 1.0)
        self._optimiser.step()
        self._lora.merge()
        return loss

    def _finish(self, before: Mapping[str, float], losses: Sequence[float], seconds: float) -> None:
        after = measure(self._model, self._dev, self._labels)
        print(f"dev after {after}", flush=True)
        options = self._options
        self._lora.save(options.out)
        report = {
            "settings": self._settings,
            "rows": {name: file_sha256(options.rows / name) for name in (*TRAIN_FILES, DEV_FILE)},
            "steps": len(self._steps),
            "seconds": round(seconds),
            "dev_before": before,
            "dev_after": after,
            "losses": [round(loss, 4) for loss in losses],
        }
        (options.out / "training.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(options.out / CHECKPOINT, ignore_errors=True)


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


if __name__ == "__main__":
    main()
