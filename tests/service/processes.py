"""``llm-judge serve`` as a process of its own, behind a scripted engine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "cli"))
from cli_runs import FIRES, POLICY, SCRIPT

__all__ = ["FIRES", "POLICY", "SCRIPT", "address_in", "start"]


def start(folder: Path, *words: str) -> tuple[subprocess.Popen[bytes], Path]:
    (folder / "sales.yaml").write_text(POLICY)
    (folder / "script.json").write_text(json.dumps(SCRIPT))
    log = folder / "log.txt"
    command = [sys.executable, "-m", "llm_judge", "serve", "-p", "sales.yaml", "-e", "scripted:script.json"]
    with log.open("wb") as stream:
        return subprocess.Popen([*command, "--port", "0", *words], cwd=folder, stderr=stream), log


def address_in(log: Path, process: subprocess.Popen[bytes]) -> str:
    """Wait for the line that says where the service answers."""
    ends = time.monotonic() + 240  # a busy machine starts slowly
    while not (found := re.search(r"https?://[^ ]+:\d+", log.read_text())):
        assert process.poll() is None and time.monotonic() < ends, log.read_text()
        time.sleep(0.05)
    return found[0]
