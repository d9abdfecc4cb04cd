"""Weighted cross-entropy of answers, and batches of rows of like length: what training and dev share.

Knows nothing about files, recipes or trainers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import Sampler

from llm_judge.finetune.token_rows import IGNORED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

WEIGHT = "weight"
_STEPS_SORTED = 50  # rows of so many steps are sorted together: like lengths, yet other neighbours each epoch


class LengthBuckets(Sampler[int]):
    """Rows in random order, those of one step of like length, so that little is padded.

    The order depends on the seed and the epoch only: a resumed run sees what the killed one would have seen.

    Args:
        lengths: of all rows.
        step: rows of one step of all processes.
        seed: of the order.
        epoch: the first one; a resumed run does not start with 0.
    """

    def __init__(self, lengths: Sequence[int], step: int, seed: int, epoch: int = 0) -> None:
        self._lengths, self._step, self._seed, self.epoch = lengths, step, seed, epoch

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next pass."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        draw = torch.Generator().manual_seed(self._seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self), generator=draw).tolist()
        size = self._step * _STEPS_SORTED
        steps: list[list[int]] = []
        for start in range(0, len(order), size):
            alike = sorted(order[start : start + size], key=lambda row: self._lengths[row])
            steps += [alike[at : at + self._step] for at in range(0, len(alike), self._step)]
        # A short last step stays last: in the middle it would shift the bounds of all others.
        short = [steps.pop()] if steps and len(steps[-1]) < self._step else []
        shuffled = [steps[number] for number in torch.randperm(len(steps), generator=draw).tolist()]
        for step in (*shuffled, *short):
            yield from step


class WeightedCollator:
    """Makes batches as ``inner`` does, and adds the weights of the rows as ``weight`` (B,)."""

    def __init__(self, inner: Callable[[list[dict[str, Any]]], dict[str, Any]]) -> None:
        self._inner = inner

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        plain = [{name: value for name, value in row.items() if name != WEIGHT} for row in rows]
        batch = dict(self._inner(plain))
        batch[WEIGHT] = torch.tensor([row.get(WEIGHT, 1.0) for row in rows], dtype=torch.float32)
        return batch


def answer_log_probs(model: Any, batch: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Log-probabilities of the whole vocabulary where answers are predicted, and nowhere else.

    The head is the most expensive layer of a small model, and a prompt has hundreds of tokens: it is applied
    from the first answer of the batch on.

    Args:
        model: a causal language model whose forward takes ``logits_to_keep``.
        batch: what the model takes, and ``labels`` (B, L).

    Returns:
        Log-probabilities (N, vocabulary) in float32, target ids (N,) and row numbers (N,), row by row.
    """
    labels = batch["labels"][:, 1:]
    scored = labels != IGNORED
    first = int(scored.any(0).float().argmax())
    inputs = {name: value for name, value in batch.items() if name not in ("labels", WEIGHT)}
    kept = labels.shape[1] - first + 1  # the last position predicts nothing
    logits = model(**inputs, use_cache=False, logits_to_keep=kept).logits[:, :-1]
    mask = scored[:, first:]
    rows = mask.nonzero()[:, 0]
    return logits[mask].float().log_softmax(-1), labels[:, first:][mask], rows


def weighted_loss(model: Any, batch: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum over answer tokens of weight times cross-entropy, and the sum of the weights."""
    log_probs, targets, rows = answer_log_probs(model, batch)
    losses = -log_probs.gather(1, targets[:, None])[:, 0]
    weights = batch[WEIGHT].to(losses.device)[rows]
    return (losses * weights).sum(), weights.sum()


def total_weight(batch: dict[str, Any]) -> torch.Tensor:
    """What ``weighted_loss`` gives as the sum of the weights, without a forward."""
    counts = (batch["labels"][:, 1:] != IGNORED).sum(1)
    total: torch.Tensor = (counts * batch[WEIGHT].to(counts.device)).sum()
    return total
