"""The examples of calling the service, run as they stand."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from serving import FIRES_ON

EXAMPLES = Path(__file__).parents[2] / "examples"
WORDS = {"judge.sh": ["sh"], "judge.mjs": ["node"]}
NEEDS = {"judge.sh": "curl", "judge.mjs": "node"}


def run(name: str, text: str, url: str) -> subprocess.CompletedProcess[str]:
    if shutil.which(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    environment = {**os.environ, "LLM_JUDGE_URL": url}
    command = [*WORDS[name], str(EXAMPLES / name), text]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", WORDS)
def test_an_example_prints_what_to_do(name: str, url: str) -> None:
    for text, action in ((FIRES_ON, "remove"), ('Water "it", don\'t.', "allow")):
        done = run(name, text, url)
        assert (done.returncode, done.stdout) == (0, f"{action}\n"), done.stderr


@pytest.mark.parametrize("name", WORDS)
def test_an_example_without_a_decision_does_what_on_error_wants(name: str, url: str) -> None:
    done = run(name, " ", url)
    assert done.returncode == 1 and done.stdout.startswith("no decision (")
    assert done.stdout.endswith("do: review\n")


@pytest.mark.parametrize("name", WORDS)
def test_an_example_says_when_nobody_answers(name: str) -> None:
    assert run(name, "a", "http://127.0.0.1:9").returncode == 2
