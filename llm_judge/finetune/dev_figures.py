"""How well a model in training answers held-out rows, in the figures of `llm-judge eval`.

Knows nothing about trainers or files.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from llm_judge.evals.scores import MIN_CLASS, auroc, class_shortage
from llm_judge.finetune.answer_loss import answer_log_probs
from llm_judge.finetune.training_rows import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llm_judge.finetune.token_rows import Rows

READS = (Kind.AREA, Kind.RULE, Kind.EXEMPTION)
Found = tuple[str, bool, float, float, float]  # kind, truth, P(yes), label mass, mean loss of the tokens


def dev_figures(found: Sequence[Found], least: int = MIN_CLASS) -> dict[str, float]:
    """Figures of answers, by name.

    ``loss``: mean over rows of the mean cross-entropy (nats) of an answer's tokens. ``label_mass``: mean
    probability that a read is answered with one of its labels. ``auroc_KIND``: of P(yes) among the labels;
    left out with fewer than ``least`` of either class. ``auroc``: mean of these. ``loss_KIND``: as ``loss``.
    """
    by_kind: dict[str, list[Found]] = defaultdict(list)
    for one in found:
        by_kind[one[0]].append(one)
    figures = {"loss": float(np.mean([one[4] for one in found]))}
    for kind, rows in sorted(by_kind.items()):
        figures[f"loss_{kind}"] = float(np.mean([one[4] for one in rows]))
        truth = np.asarray([one[1] for one in rows])
        short = class_shortage(int(truth.sum()), int((~truth).sum()), least)
        if kind in READS and not short:
            figures[f"auroc_{kind}"] = auroc(truth, np.asarray([one[2] for one in rows], dtype=np.float64))
    reads = [one[3] for kind in READS for one in by_kind.get(kind, ())]
    if reads:
        figures["label_mass"] = float(np.mean(reads))
    ranked = [value for name, value in figures.items() if name.startswith("auroc_")]
    if ranked:
        figures["auroc"] = float(np.mean(ranked))
    return figures


def answered(
    model: Any,
    rows: Rows,
    collate: Callable[[list[dict[str, Any]]], Mapping[str, Any]],
    labels: Sequence[int],
    batch: int,
    share: tuple[int, int] = (0, 1),
) -> list[Found]:
    """Read held-out rows, the longest first.

    Args:
        model: in any mode; left as it was.
        rows: with ``input_ids`` and ``labels``, or with pictures.
        collate: rows → what the model takes.
        labels: ids of yes, no and except.
        batch: rows of one forward.
        share: this process and the number of processes; each reads its share of the batches.
    """
    order = sorted(range(len(rows)), key=lambda row: -rows.lengths[row])
    batches = [order[at : at + batch] for at in range(0, len(order), batch)]
    training = model.training
    model.eval()
    found: list[Found] = []
    with torch.no_grad():
        for numbers in batches[share[0] :: share[1]]:
            made = collate([dict(rows.dataset[number]) for number in numbers])
            device = next(model.parameters()).device
            moved = {name: value.to(device) for name, value in made.items()}
            found += _found(model, moved, [rows.kinds[number] for number in numbers], labels)
    model.train(training)
    return found


def _found(model: Any, batch: dict[str, Any], kinds: Sequence[str], labels: Sequence[int]) -> list[Found]:
    log_probs, targets, places = answer_log_probs(model, batch)
    losses = -log_probs.gather(1, targets[:, None])[:, 0]
    offered = log_probs[:, list(labels)].exp()
    found: list[Found] = []
    for row, kind in enumerate(kinds):
        of_row = (places == row).nonzero()[:, 0]
        first = int(of_row[0])
        # Only a rule may be answered `except`.
        chosen = offered[first] if kind == Kind.RULE else offered[first][:2]
        mass = float(chosen.sum())
        loss = float(losses[of_row].mean())
        yes = float(chosen[0]) / mass if mass > 0 else 0.5
        found.append((kind, int(targets[first]) == labels[0], yes, mass, loss))
    return found
