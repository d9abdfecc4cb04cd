"""LoRA fine-tuning on token trees: read top to bottom.

    python -m llm_judge.finetune.examples DATA train.npz
    python -m llm_judge.finetune.examples DATA dev.npz --split dev --per-cell 60
    python train.py MODEL_FOLDER train.npz dev.npz OUT_FOLDER

Each sequence is one policy prefix with several contents and their questions behind it (examples.py).
A question sees the prefix, its content and itself, and its positions start after its content, so one
forward pass trains what serving reads. Loss is cross-entropy at the answer over the full vocabulary:
that is what makes label mass mean something. Needs torch, transformers and peft, and nothing else of
this package, so that it can run on a machine that has only those.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import random
import time
from pathlib import Path
from typing import Any

import numpy as np

PREFIX, BODY, BRANCH = 0, 1, 2


def make_parser() -> argparse.ArgumentParser:
    """Every setting of a run, with the values the shipped adapter was trained with."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="folder of the converted packaged model")
    parser.add_argument("train", type=Path, help="training trees from examples.py")
    parser.add_argument("dev", type=Path, help="dev trees, only measured")
    parser.add_argument("out", type=Path, help="adapter folder to write")
    # Optimisation
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--warmup", type=float, default=0.03, help="share of the steps")
    parser.add_argument("--packs-per-step", type=int, default=1)
    parser.add_argument("--explanation-weight", type=float, default=0.25, help="of each explanation token")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--frozen-layers", type=int, default=20, help="of 30, counted from the bottom")
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
    torch.manual_seed(options.seed)
    random.seed(options.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    base = AutoModelForCausalLM.from_pretrained(
        options.model, dtype=torch.bfloat16, attn_implementation="sdpa"
    )
    labels = [AutoTokenizer.from_pretrained(options.model).encode(w)[0] for w in ("yes", "no", "except")]
    peft_model = with_adapter(base, options).to(device)
    weights = [p for p in peft_model.parameters() if p.requires_grad]
    for weight in weights:
        weight.data = weight.data.float()  # small updates vanish in bfloat16
    model = SplitModel(base, options.frozen_layers)
    train, dev = Trees(options.train, device), Trees(options.dev, device)
    with torch.no_grad():
        before = measure(model, dev, labels)
    print(f"{len(train)} packs, {sum(w.numel() for w in weights)} weights, dev before {before}", flush=True)

    steps = math.ceil(len(train) * options.epochs / options.packs_per_step)
    optimiser = torch.optim.AdamW(weights, lr=options.learning_rate, weight_decay=0.0)
    started = time.monotonic()
    order: list[int] = []
    for step in range(steps):
        # With a time limit the schedule follows the clock, so that the rate still ends at zero.
        spent = (time.monotonic() - started) / (options.minutes * 60) if options.minutes else step / steps
        done = max(spent, step / steps)
        if done >= 1:
            break
        rate = min((step + 1) / (steps * options.warmup + 1), 0.5 * (1 + math.cos(math.pi * done)))
        for group in optimiser.param_groups:
            group["lr"] = options.learning_rate * rate
        total = 0.0
        for _ in range(options.packs_per_step):
            order = order or random.sample(range(len(train)), len(train))
            with torch.autocast(device, dtype=torch.bfloat16):
                loss = tree_loss(model, train, order.pop(), options.explanation_weight)
            (loss / options.packs_per_step).backward()
            total += float(loss.detach()) / options.packs_per_step
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if step % 25 == 0:
            print(f"step {step}/{steps} loss {total:.4f} {time.monotonic() - started:.0f} s", flush=True)
            peft_model.save_pretrained(options.out / "checkpoint")

    with torch.no_grad():
        after = measure(model, dev, labels)
    print(f"dev after {after}", flush=True)
    for weight in weights:
        weight.data = weight.data.bfloat16()
    peft_model.save_pretrained(options.out)
    run = {
        "steps": step + 1,
        "dev_before": before,
        "dev_after": after,
        "seconds": round(time.monotonic() - started),
    }
    settings = {name: str(value) for name, value in vars(options).items()}
    (options.out / "training.json").write_text(
        json.dumps({"settings": settings, "run": run}, indent=2) + "\n"
    )


def with_adapter(base: Any, options: argparse.Namespace) -> Any:
    """Put LoRA on every linear layer above the frozen ones, fresh or from an earlier run."""
    from peft import LoraConfig, PeftModel, get_peft_model

    if options.start_from:
        return PeftModel.from_pretrained(base, options.start_from, is_trainable=True)
    config = LoraConfig(
        r=options.rank,
        lora_alpha=2 * options.rank,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        layers_to_transform=list(range(options.frozen_layers, base.config.num_hidden_layers)),
        layers_pattern="layers",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(base, config)


class SplitModel:
    """The packaged model cut in two: frozen lower layers, and upper layers with the head."""

    def __init__(self, base: Any, frozen_layers: int) -> None:
        import torch

        self.head = base.lm_head
        self.lower, self.upper = (self._part(base.model) for _ in range(2))
        self.lower.layers = base.model.layers[:frozen_layers]
        self.lower.norm = torch.nn.Identity()
        self.upper.layers = base.model.layers[frozen_layers:]

    @staticmethod
    def _part(inner: Any) -> Any:
        part = copy.copy(inner)
        part._modules = dict(inner._modules)
        return part


class Trees:
    """The packs of one file, as tensors on the device."""

    def __init__(self, path: Path, device: str) -> None:
        with np.load(path, allow_pickle=False) as arrays:
            self._arrays = {name: arrays[name] for name in arrays.files}
        self._device = device
        self._hidden: dict[int, Any] = {}

    def frozen(self, model: SplitModel, index: int, pack: dict[str, Any]) -> Any:
        """What the frozen layers make of a pack, (1, T, width): computed once, kept for the next epoch."""
        import torch

        if index not in self._hidden:
            with torch.no_grad():
                self._hidden[index] = model.lower(
                    input_ids=pack["tokens"],
                    position_ids=pack["positions"],
                    attention_mask=pack["mask"],
                    use_cache=False,
                ).last_hidden_state
        return self._hidden[index]

    def __len__(self) -> int:
        return len(self._arrays["tokens_at"]) - 1

    def pack(self, index: int) -> dict[str, Any]:
        """Return one pack as tensors.

        ``tokens`` and ``positions``: (1, T). ``mask``: (1, 1, T, T), 0 where a row may look, else lowest.
        ``where``, ``target``: (N,) rows that are scored and the token each should predict.
        ``single``: (N,) True for one-token answers, False inside an explanation.
        """
        import torch

        def part(name: str) -> np.ndarray[Any, Any]:
            start, end = self._arrays[f"{name}_at"][index : index + 2]
            return np.asarray(self._arrays[name][start:end])

        tokens, pieces, targets = part("tokens").astype(np.int64), part("pieces"), part("targets")
        kind = np.repeat(pieces[:, 0], pieces[:, 2])
        content = np.repeat(pieces[:, 1], pieces[:, 2])
        branch = np.repeat(np.arange(len(pieces)), pieces[:, 2])
        positions: list[np.ndarray[Any, Any]] = []
        lengths: dict[Any, int] = {}
        for piece_kind, number, length in pieces:
            start = {PREFIX: 0, BODY: lengths.get("prefix", 0), BRANCH: lengths.get(number, 0)}[
                int(piece_kind)
            ]
            positions.append(np.arange(start, start + length))
            if piece_kind == PREFIX:
                lengths["prefix"] = length
            elif piece_kind == BODY:
                lengths[number] = start + length
        k, c, b = (torch.from_numpy(a).to(self._device) for a in (kind, content, branch))
        causal = torch.ones(len(tokens), len(tokens), dtype=torch.bool, device=self._device).tril()
        own_body = (k == BODY)[None, :] & (c[:, None] == c[None, :])
        sees = (k == PREFIX)[None, :] | own_body | (b[:, None] == b[None, :])
        per_branch = np.bincount(branch[targets[:, 0]], minlength=len(pieces))
        single = per_branch[branch[targets[:, 0]]] == 1
        allowed = causal & sees
        mask = torch.zeros(allowed.shape, dtype=torch.bfloat16, device=self._device)
        mask = mask.masked_fill(~allowed, torch.finfo(torch.bfloat16).min)  # twice as fast as bool on a CPU
        return {
            "tokens": torch.from_numpy(tokens)[None].to(self._device),
            "positions": torch.from_numpy(np.concatenate(positions)).long()[None].to(self._device),
            "mask": mask[None, None],
            "where": torch.from_numpy(targets[:, 0].astype(np.int64)).to(self._device),
            "target": torch.from_numpy(targets[:, 1].astype(np.int64)).to(self._device),
            "single": torch.from_numpy(single).to(self._device),
        }


def answer_logits(model: SplitModel, pack: dict[str, Any], hidden: Any) -> Any:
    """(N, vocabulary) float32 logits at the scored rows only: the head is most of a small model's cost."""
    hidden = model.upper(
        inputs_embeds=hidden,
        position_ids=pack["positions"],
        attention_mask=pack["mask"],
        use_cache=False,
    ).last_hidden_state
    return model.head(hidden[0, pack["where"]]).float()


def tree_loss(model: SplitModel, trees: Trees, index: int, explanation_weight: float) -> Any:
    """Weighted mean cross-entropy over the scored rows of one pack."""
    import torch

    pack = trees.pack(index)
    logits = answer_logits(model, pack, trees.frozen(model, index, pack))
    losses = torch.nn.functional.cross_entropy(logits, pack["target"], reduction="none")
    weight = torch.where(pack["single"], 1.0, explanation_weight)
    return (losses * weight).sum() / weight.sum()


def measure(model: SplitModel, trees: Trees, labels: list[int]) -> dict[str, float]:
    """Dev loss and accuracy of the one-token answers, AUROC of P(yes), mean label mass."""
    import torch

    truth, scores, hits, masses, losses = [], [], [], [], []
    for index in range(len(trees)):
        pack = trees.pack(index)
        with torch.autocast(str(pack["tokens"].device.type), dtype=torch.bfloat16):
            logits = answer_logits(model, pack, trees.frozen(model, index, pack))[pack["single"]]
        target = pack["target"][pack["single"]]
        losses += torch.nn.functional.cross_entropy(logits, target, reduction="none").tolist()
        chosen = logits.log_softmax(-1).exp()[:, labels]
        truth += (target == labels[0]).tolist()
        scores += (chosen[:, 0] / chosen.sum(-1)).tolist()
        hits += (torch.tensor(labels, device=target.device)[chosen.argmax(-1)] == target).tolist()
        masses += chosen.sum(-1).tolist()
    means = {"loss": np.mean(losses), "accuracy": np.mean(hits), "label_mass": np.mean(masses)}
    return {
        "answers": len(truth),
        "auroc": auroc(truth, scores),
        **{k: round(float(v), 4) for k, v in means.items()},
    }


def auroc(truth: list[bool], scores: list[float]) -> float:
    """Share of (positive, negative) pairs in the right order, by rank sums (Mann and Whitney 1947)."""
    ranks = np.argsort(np.argsort(np.asarray(scores))) + 1
    positive = np.asarray(truth)
    n = int(positive.sum())
    return round(float((ranks[positive].sum() - n * (n + 1) / 2) / max(n * (len(truth) - n), 1)), 4)


if __name__ == "__main__":
    main()
