"""What the tests of the command line share: a policy, a scripted engine, runs and their results."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
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
    exemptions:
      - id: warning
        when: Warns of such an offer.
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
FIRES = "Pay a small fee to claim your prize."
ANSWER = {
    "evidence": [1],
    "exemption": "none",
    "severity": 3,
    "rationale": "It asks first.",
    "verdict": "violates",
}
SCRIPT = {
    "reads": [
        {"question": "area:*", "contains": "fee", "probabilities": {"yes": 0.9, "no": 0.1}},
        {"question": "rule:*MS1", "contains": "fee", "probabilities": {"yes": 0.95, "no": 0.03}},
    ],
    "completions": [{"contains": "fee", "json": ANSWER}],
    "failures": [{"contains": "unplugged", "message": "the engine was unplugged"}],
}


@dataclass(frozen=True)
class Run:
    """What the shell sees of one command."""

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """Standard output, which must be nothing but JSON lines."""
        return [json.loads(line) for line in self.out.split("\n") if line]

    @property
    def ids(self) -> list[str]:
        return [record["item"]["id"] for record in self.records]


def checked(code: int, out: str, err: str) -> Run:
    """No run, however it ends, may show a traceback or call an expected error internal."""
    for banned in ("Traceback", "internal error", "Exception ignored"):
        assert banned not in err + out
    return Run(code, out, err)


def start(*words: str | Path, **options: Any) -> subprocess.Popen[bytes]:
    """Start ``python -m llm_judge judge`` as a process of its own, to be stopped or starved."""
    command = [sys.executable, "-m", "llm_judge", "judge", "-p", "sales.yaml", "-e", "scripted:script.json"]
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*command, *map(str, words)], **streams | options)


def ended(process: subprocess.Popen[bytes]) -> Run:
    out, err = process.communicate(timeout=60)
    return checked(process.returncode, (out or b"").decode(), (err or b"").decode())


def wait_for(path: Path, size: int, process: subprocess.Popen[bytes]) -> None:
    """Return when the file is larger than ``size`` bytes, or the process has ended."""
    while process.poll() is None and not (path.exists() and path.stat().st_size > size):
        time.sleep(0.005)


def write_rows(path: Path, rows: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def saved(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def saved_ids(path: Path) -> list[str]:
    return [record["item"]["id"] for record in saved(path)]
