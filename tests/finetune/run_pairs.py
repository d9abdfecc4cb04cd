"""Eval runs of two adapters on the same items, in memory or as folders."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llm_judge.evals.outcomes import Answer, ItemOutcome, Kind
from llm_judge.evals.run_folder import RunFolder

JUDGE: dict[str, Any] = {
    "policy_digest": "1" * 64,
    "prompt_digest": "2" * 64,
    "settings_digest": "3" * 64,
    "engine": "local",
    "model": "tiny",
    "model_digest": "4" * 64,
    "dtype": "bfloat16",
}


def outcomes(suite: str, sharpness: float, area: str = "safety/hate", count: int = 160) -> list[ItemOutcome]:
    """Items whose probability goes with the truth, more with ``sharpness``; truth and noise stay the same."""
    draw = random.Random(suite)
    found = []
    for number in range(count):
        truth = draw.random() < 0.5
        score = draw.gauss(sharpness if truth else 0.0, 1.0)
        probability = round(1 / (1 + 2.718281828**-score), 4)
        said = "violates" if probability >= 0.7 else "clear"
        answer = Answer(
            kind=Kind.AREA, key=area, truth=truth, probability=probability, exempt_probability=0.0,
            label_mass=1.0, outcome=said,
        )  # fmt: skip
        found.append(
            ItemOutcome(
                item=f"{suite}:{number}", sha256=f"{number}", suite=suite, source="set", modality="text",
                lang="en", slices=(), group=f"{number}", answers=(answer,), action="allow",
            )
        )  # fmt: skip
    return found


def run_folder(folder: Path, rows: Sequence[ItemOutcome], adapter: str | None, **judge: Any) -> Path:
    """Write a finished run."""
    identity = {
        "suites": sorted({row.suite for row in rows}),
        "judge": {**JUDGE, "adapter_digest": adapter, **judge},
    }
    with RunFolder(folder, identity) as run:
        run.append(rows)
        run.finish({"seconds": 1.0})
    return folder
