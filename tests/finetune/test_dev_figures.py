"""Figures of held-out answers, by hand."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from llm_judge.finetune.dev_figures import dev_figures
from llm_judge.finetune.training_watch import Goal

FOUND = [
    ("rule", True, 0.9, 0.8, 0.2),
    ("rule", True, 0.4, 1.0, 0.4),
    ("rule", False, 0.5, 0.6, 0.6),
    ("rule", False, 0.1, 0.8, 0.8),
    ("area", True, 0.7, 1.0, 1.0),
    ("explanation", False, 0.5, 0.0, 3.0),
]


def test_figures_by_hand() -> None:
    figures = dev_figures(FOUND, least=2)
    assert figures["loss"] == pytest.approx(1.0)
    assert figures["loss_rule"] == pytest.approx(0.5)
    assert figures["label_mass"] == pytest.approx((0.8 + 1.0 + 0.6 + 0.8 + 1.0) / 5)
    assert figures["auroc_rule"] == figures["auroc"] == 0.75
    assert "auroc_area" not in figures  # one class only


def test_too_few_of_a_class_are_no_figure() -> None:
    assert not any(name.startswith("auroc") for name in dev_figures(FOUND))


def look(step: int, **figures: float) -> dict[str, float]:
    return {"step": step, **{f"eval_{name}": value for name, value in figures.items()}}


def test_the_first_of_equally_good_steps_is_the_best_and_the_beginning_is_none() -> None:
    history = [look(0, auroc=1.0), {"step": 1, "loss": 2.0}, look(5, auroc=0.6), look(10, auroc=0.8)]
    assert Goal("auroc", 0).best(history) == (10, 0)
    assert Goal("auroc", 0).best([*history, look(15, auroc=0.8), look(20, auroc=0.7)]) == (10, 2)
    assert Goal("loss", 0).best([look(5, loss=0.6), look(10, loss=0.8)]) == (5, 1)
    assert Goal("auroc", 0).best(history[:1]) is None
