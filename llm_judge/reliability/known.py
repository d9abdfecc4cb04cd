"""Contents whose right answer is known, so that a wrong one is seen; with their policy and engine script."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

POLICY = """\
schema: 1
policy: demo/sales
version: 1.0.0
title: Misleading sales
summary: Offers that hide what they cost.
status: stable
owner: demo-team
modalities: [text, image, audio, video]
rules:
  - id: MS1
    title: Hidden fee
    violates: Asks for a fee before a prize is handed out.
    severity: 4
  - id: MS2
    title: False discount
    violates: Shows a discount on a price that was never asked.
    severity: 2
actions:
  - {severity_at_least: 4, probability_at_least: 0.9, do: remove}
  - {probability_at_least: 0.6, do: review}
otherwise: allow
on_error: review
"""
ON_ERROR = "review"
SURE, UNSURE, CLEAR = {"yes": 0.97, "no": 0.02}, {"yes": 0.4, "no": 0.6}, {"yes": 0.01, "no": 0.98}


@dataclass(frozen=True, slots=True)
class Known:
    """A text and the answer that it must get.

    Attributes:
        undecided: whether the engine cannot tell, so that ``on_error`` decides and the reply must say so.
    """

    text: str
    action: str
    undecided: bool = False


FIRES = Known("Pay a small fee to claim your prize.", "remove")
HARMLESS = Known("A walk by the lake in the morning.", "allow")
CANNOT_TELL = Known("Perhaps there is a discount.", ON_ERROR, undecided=True)
KNOWN = (HARMLESS, FIRES, HARMLESS, CANNOT_TELL)
_AREAS = ("area:demo/sales", "area:regulated/fraud")  # ours, and one of the shipped guidelines
_READS: list[dict[str, Any]] = [
    *({"question": a, "contains": FIRES.text, "probabilities": SURE} for a in _AREAS),
    *({"question": a, "contains": CANNOT_TELL.text, "probabilities": SURE} for a in _AREAS),
    {"question": "rule:*MS1", "contains": FIRES.text, "probabilities": SURE},
    {"question": "rule:*MS2", "contains": CANNOT_TELL.text, "probabilities": UNSURE},
]


def known(number: int) -> Known:
    """The content of the n-th request: one in four fires, one in four cannot be told."""
    return KNOWN[number % len(KNOWN)]


def probabilities(question: str, text: str) -> Mapping[str, float]:
    """What the engine says to a question about a prompt that holds a known content: label → probability."""
    lines = (line for line in _READS if line["contains"] in text and fnmatchcase(question, line["question"]))
    found = next(lines, None)
    return CLEAR if found is None else found["probabilities"]


def write_policy(folder: Path) -> Path:
    """Write the policy and return its file."""
    path = folder / "sales.yaml"
    path.write_text(POLICY, "utf-8")
    return path


def write_script(folder: Path, *, delay_ms: float = 0.0, log: Path | None = None) -> Path:
    """Write what the scripted engine answers and return its file.

    Args:
        folder: where to.
        delay_ms: how long every call of the engine takes.
        log: where the engine notes its calls.
    """
    script: dict[str, Any] = {"reads": _READS, "default": CLEAR, "delay_ms": delay_ms}
    if log is not None:
        script["log"] = str(log)
    path = folder / "script.json"
    path.write_text(json.dumps(script), "utf-8")
    return path
