"""LoRA fine-tuning on token trees: read top to bottom.

    python -m llm_judge.finetune.examples DATA train.npz
    python -m llm_judge.finetune.examples DATA dev.npz --split dev --per-cell 12
    python -m llm_judge.finetune.train MODEL_FOLDER train.npz dev.npz OUT_FOLDER

A row is one content with its questions behind it, all behind one cached policy prefix (examples.py). A
question sees the prefix, its content and itself, and its positions start after its content, so one forward
pass trains what serving reads. Loss is cross-entropy at the answer over the full vocabulary: that is what
makes label mass mean something.

The model always computes with merged weights W = W0 + s·B·A, as it is served, and the chain rule gives the
gradients of the factors: dA = s·Bᵀ·dW, dB = s·dW·Aᵀ. On a CPU that was 1.5 times as fast as adding the
low-rank path to every layer (docs/LOG.md). Keys and values of the prefix are computed with the current
weights but without a gradient, and are reused for a few steps.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from llm_judge.engines.allocator import keep_freed_memory

ATTENTION = "llm_judge_train"
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
EXPLANATION = 3  # kind of a target inside an explanation; 0 area, 1 rule, 2 exemption


def make_parser() -> argparse.ArgumentParser:
    """Every setting of a run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="folder of the converted packaged model")
    parser.add_argument("train", type=Path, help="training trees from examples.py")
    parser.add_argument("dev", type=Path, help="dev trees, only measured")
    parser.add_argument("out", type=Path, help="adapter folder to write")
    # Optimisation
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--end-rate", type=float, default=0.05, help="share of the rate left at the end")
    parser.add_argument("--warmup", type=int, default=20, help="steps")
    parser.add_argument("--tokens-per-step", type=int, default=2048, help="padding included")
    parser.add_argument("--explanation-weight", type=float, default=0.25, help="of each explanation token")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--prefix-steps", type=int, default=8, help="steps a computed prefix is reused for")
    # Runtime
    parser.add_argument("--minutes", type=float, default=0, help="stop in time and save; 0 = no limit")
    parser.add_argument("--start-from", type=Path, help="go on from this adapter, such as OUT/checkpoint")
    parser.add_argument("--seed", type=int, default=1)
    return parser


def main() -> None:
    """Train, measure on dev before and after, save the adapter and what it was trained with."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    options = make_parser().parse_args()
    keep_freed_memory()
    torch.manual_seed(options.seed)
    random.seed(options.seed)
    register_attention()
    model = AutoModelForCausalLM.from_pretrained(
        options.model, dtype=torch.bfloat16, attn_implementation=ATTENTION, local_files_only=True
    ).eval()
    tokenizer = AutoTokenizer.from_pretrained(options.model, local_files_only=True)
    labels = [tokenizer.encode(word)[0] for word in ("yes", "no", "except")]
    lora = MergedLora(model, options.rank, options.start_from)
    train, dev = Trees(options.train), Trees(options.dev)
    before = measure(model, dev, labels)
    print(
        f"{len(train)} rows, {sum(w.numel() for w in lora.factors)} weights, dev before {before}", flush=True
    )

    batches = train.batches(options.tokens_per_step, options.epochs)
    optimiser = torch.optim.AdamW(lora.factors, lr=options.learning_rate, weight_decay=0.0)
    prefixes = Prefixes(model, train, options.prefix_steps)
    started = time.monotonic()
    losses: list[float] = []
    step = 0
    for step, batch in enumerate(batches):
        # With a time limit the schedule follows the clock, so that the rate still ends low.
        spent = (time.monotonic() - started) / (options.minutes * 60) if options.minutes else 0.0
        done = max(spent, step / len(batches))
        if done >= 1:
            break
        decay = options.end_rate + (1 - options.end_rate) * 0.5 * (1 + math.cos(math.pi * done))
        for group in optimiser.param_groups:
            group["lr"] = options.learning_rate * min((step + 1) / (options.warmup + 1), decay)
        rows = train.padded(batch)
        loss = answer_loss(model, rows, prefixes.of(rows["prefix"], step), options.explanation_weight)
        loss.backward()
        lora.collect_gradients()
        torch.nn.utils.clip_grad_norm_(lora.factors, 1.0)
        optimiser.step()
        lora.merge()
        losses.append(float(loss.detach()))
        if step % 25 == 0:
            mean = float(np.mean(losses[-25:]))
            print(
                f"step {step}/{len(batches)} loss {mean:.4f} {time.monotonic() - started:.0f} s", flush=True
            )
        if step % 50 == 49:
            lora.save(options.out / "checkpoint")

    after = measure(model, dev, labels)
    print(f"dev after {after}", flush=True)
    lora.save(options.out)
    run = {"steps": step + 1, "dev_before": before, "dev_after": after}
    run["seconds"] = round(time.monotonic() - started)
    settings = {name: str(value) for name, value in vars(options).items()}
    report = json.dumps({"settings": settings, "run": run}, indent=2)
    (options.out / "training.json").write_text(report + "\n", encoding="utf-8")


class MergedLora:
    """Low-rank factors A, B of every linear layer, kept in float32 and merged into the model."""

    def __init__(self, model: Any, rank: int, start_from: Path | None) -> None:
        import torch

        self.rank, self.scale = rank, 2.0
        model.requires_grad_(False)
        linear = [(n, m) for n, m in model.named_modules() if n.rpartition(".")[2] in TARGETS]
        self._names = [name for name, _ in linear]
        self._weights = [module.weight.requires_grad_(True) for _, module in linear]
        self._base = [weight.detach().clone() for weight in self._weights]
        # A as PEFT starts it, B at zero: the first forward is the base model's.
        self._a = [torch.empty(rank, w.shape[1]) for w in self._weights]
        for a in self._a:
            torch.nn.init.kaiming_uniform_(a, a=math.sqrt(5))
        self._b = [torch.zeros(w.shape[0], rank) for w in self._weights]
        if start_from:
            self._load(start_from)
        self.factors = [factor.requires_grad_(True) for factor in (*self._a, *self._b)]
        self.merge()

    def merge(self) -> None:
        """W = W0 + s·B·A, rounded once to the model's dtype, as the engine merges it."""
        import torch

        with torch.no_grad():
            for weight, base, a, b in zip(self._weights, self._base, self._a, self._b, strict=True):
                weight.copy_(torch.addmm(base.float(), b, a, alpha=self.scale))

    def collect_gradients(self) -> None:
        """Turn the gradients of the merged weights into those of the factors."""
        for weight, a, b in zip(self._weights, self._a, self._b, strict=True):
            change = weight.grad.float()
            a.grad = self.scale * b.detach().T @ change
            b.grad = self.scale * change @ a.detach().T
            weight.grad = None

    def save(self, folder: Path) -> None:
        """Write a PEFT adapter folder, in bfloat16."""
        from peft import LoraConfig
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        tensors = {}
        for name, a, b in zip(self._names, self._a, self._b, strict=True):
            tensors[f"base_model.model.{name}.lora_A.weight"] = a.detach().bfloat16().contiguous()
            tensors[f"base_model.model.{name}.lora_B.weight"] = b.detach().bfloat16().contiguous()
        save_file(tensors, folder / "adapter_model.safetensors")
        alpha = int(self.scale * self.rank)
        config = LoraConfig(
            r=self.rank, lora_alpha=alpha, target_modules=sorted(TARGETS), task_type="CAUSAL_LM"
        )
        config.inference_mode = True
        config.save_pretrained(folder)

    def _load(self, folder: Path) -> None:
        from safetensors.torch import load_file

        tensors = load_file(folder / "adapter_model.safetensors")
        for number, name in enumerate(self._names):
            self._a[number] = tensors[f"base_model.model.{name}.lora_A.weight"].float()
            self._b[number] = tensors[f"base_model.model.{name}.lora_B.weight"].float()


class Trees:
    """The rows of one file, and the prefixes they stand behind."""

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as arrays:
            self._arrays = {name: arrays[name] for name in arrays.files}

    def __len__(self) -> int:
        return len(self._arrays["prefix"])

    def part(self, name: str, index: int) -> np.ndarray[Any, Any]:
        """Return row ``index`` of the flat array ``name``."""
        start, end = self._arrays[f"{name}_at"][index : index + 2]
        return np.asarray(self._arrays[name][start:end])

    def batches(self, tokens: int, epochs: float = 1) -> list[list[int]]:
        """Rows of one prefix and like length, ``tokens`` a batch with padding, in random order."""
        found: list[list[int]] = []
        lengths = np.diff(self._arrays["tokens_at"])
        for _ in range(math.ceil(epochs)):
            # The noise lets the neighbours of a row differ from epoch to epoch.
            order = sorted(range(len(self)), key=lambda i: lengths[i] * random.uniform(0.9, 1.1))
            of_epoch: list[list[int]] = []
            for prefix in np.unique(self._arrays["prefix"]):
                of_epoch += _cut([i for i in order if self._arrays["prefix"][i] == prefix], lengths, tokens)
            random.shuffle(of_epoch)
            found += of_epoch
        return found[: math.ceil(len(found) * epochs / math.ceil(epochs))]

    def padded(self, rows: Sequence[int]) -> dict[str, Any]:
        """Return rows of one prefix as tensors.

        ``ids``, ``positions``: (B, L). ``mask``: (B, 1, L, L), 0 where a token may look, else lowest.
        ``row``, ``place``, ``target``, ``kind``: (N,), what is scored. ``prefix``: its number.
        """
        import torch

        prefix = int(self._arrays["prefix"][rows[0]])
        behind = len(self.part("prefixes", prefix))
        longest = max(len(self.part("tokens", i)) for i in rows)
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        positions = torch.full((len(rows), longest), behind, dtype=torch.long)
        seen = torch.eye(longest, dtype=torch.bool).repeat(len(rows), 1, 1)  # padding sees itself
        targets = []
        for row, index in enumerate(rows):
            tokens, lengths = self.part("tokens", index), self.part("lengths", index)
            ids[row, : len(tokens)] = torch.from_numpy(tokens.astype(np.int64))
            body = int(lengths[0])
            start = 0
            for length in map(int, lengths):
                own = slice(start, start + length)
                first = behind + (body if start else 0)
                positions[row, own] = torch.arange(first, first + length)
                seen[row, own, own] = torch.ones(length, length, dtype=torch.bool).tril()
                if start:
                    seen[row, own, :body] = True
                start += length
            targets += [(row, *target) for target in self.part("targets", index).tolist()]
        mask = torch.zeros(seen.shape, dtype=torch.bfloat16).masked_fill_(
            ~seen, torch.finfo(torch.bfloat16).min
        )
        scored = torch.tensor(targets, dtype=torch.long).T
        found = dict(zip(("row", "place", "target", "kind"), scored, strict=True))
        return {"ids": ids, "positions": positions, "mask": mask[:, None], "prefix": prefix, **found}


def _cut(order: Sequence[int], lengths: np.ndarray[Any, Any], tokens: int) -> Iterator[list[int]]:
    batch: list[int] = []
    for index in order:
        if batch and (len(batch) + 1) * max(lengths[index], *lengths[batch]) > tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


class Prefixes:
    """Keys and values of the prefixes with nearly the current weights."""

    def __init__(self, model: Any, trees: Trees, steps: int) -> None:
        self._model, self._trees, self._steps = model, trees, steps
        self._found: dict[int, tuple[int, Any]] = {}

    def of(self, prefix: int, step: int) -> list[Any]:
        """Per layer, keys and values ``[key heads, prefix length, head size]``."""
        import torch

        if prefix not in self._found or step - self._found[prefix][0] >= self._steps:
            ids = torch.from_numpy(self._trees.part("prefixes", prefix).astype(np.int64))[None]
            with torch.no_grad():
                cache = self._model.model(ids, use_cache=True).past_key_values
            self._found[prefix] = (step, [(layer.keys[0], layer.values[0]) for layer in cache.layers])
        layers: list[Any] = self._found[prefix][1]
        return layers


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


def answer_loss(model: Any, rows: dict[str, Any], prefix: list[Any], explanation_weight: float) -> Any:
    """Weighted mean cross-entropy over the scored places."""
    import torch

    losses = torch.nn.functional.cross_entropy(
        answer_logits(model, rows, prefix), rows["target"], reduction="none"
    )
    weight = torch.where(rows["kind"] == EXPLANATION, explanation_weight, 1.0)
    return (losses * weight).sum() / weight.sum()


def measure(model: Any, trees: Trees, labels: Sequence[int]) -> dict[str, float]:
    """Dev loss and accuracy of one-token answers, label mass, and AUROC of P(yes) by kind of question."""
    import torch

    prefixes = Prefixes(model, trees, steps=1 << 30)
    found: list[tuple[int, int, float, float, float]] = []
    for batch in trees.batches(2048):
        rows = trees.padded(batch)
        with torch.no_grad():
            logits = answer_logits(model, rows, prefixes.of(rows["prefix"], 0))
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
