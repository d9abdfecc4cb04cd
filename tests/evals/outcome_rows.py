"""Outcomes made in one line, for tests of what reads them."""

from __future__ import annotations

import random
from typing import Any

from llm_judge.evals.outcomes import Answer, ItemOutcome, Kind

AREA = "safety/hate"


def answer(truth: bool | None, probability: float | None, outcome: str | None = None, **how: Any) -> Answer:
    """An answer about an area; its outcome follows from the probability, with a band of 0.3 to 0.7."""
    if outcome is None:
        outcome = "unreadable" if probability is None else said(probability)
    base = {"kind": Kind.AREA, "key": AREA, "exempt_probability": 0.0, "label_mass": 1.0}
    return Answer(**{**base, "truth": truth, "probability": probability, "outcome": outcome, **how})


def said(probability: float) -> str:
    return "violates" if probability >= 0.7 else "abstain" if probability >= 0.3 else "clear"


def item(number: int | str, *answers: Answer, **how: Any) -> ItemOutcome:
    base = {
        "item": f"set:{number}",
        "sha256": f"{number}",
        "suite": "core-text",
        "source": "set",
        "modality": "text",
        "lang": "en",
        "slices": (),
        "group": f"{number}",
        "action": "allow",
    }
    return ItemOutcome(**{**base, "answers": answers, **how})


def table(*rows: tuple[bool | None, float | None], **how: Any) -> list[ItemOutcome]:
    """One item for each truth and probability."""
    return [item(number, answer(*row), **how) for number, row in enumerate(rows)]


def drawn(count: int, seed: int = 0, sharpness: float = 2.0, group_of: int = 1) -> list[ItemOutcome]:
    """Random items whose probability says something about the truth, more with ``sharpness``."""
    source = random.Random(seed)
    found = []
    for number in range(count):
        truth = source.random() < 0.4
        score = source.gauss(sharpness if truth else 0.0, 1.0) - sharpness / 2
        probability = round(1 / (1 + 2.718281828**-score), 3)
        group = f"g{number // group_of}"
        found.append(item(number, answer(truth, probability), group=group, ms=1.0 + number, tokens=10.0))
    return found
