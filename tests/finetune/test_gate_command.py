"""The gate from the command line, on a tiny real model: passed, refused, remembered, promoted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from run_pairs import outcomes, run_folder

from llm_judge.adapters.lora_folder import adapter_digest
from llm_judge.adapters.registry import AdapterRegistry
from llm_judge.packaged import file_sha256

for needed in ("peft", "sklearn", "pyarrow"):
    pytest.importorskip(needed)

if TYPE_CHECKING:
    from conftest import Tiny

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def finetune(tiny: Tiny, tmp_path: Path) -> Command:
    """`llm-judge finetune …` with a registry of its own."""
    environment = {**os.environ, "LLM_JUDGE_ADAPTERS": str(tmp_path / "registry")}

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "llm_judge", "finetune", *map(str, words)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return run


def test_only_what_passes_both_gates_is_promoted(tiny: Tiny, tmp_path: Path, finetune: Command) -> None:
    asked = ("--base", tiny.base, "--probes", tiny.probe_folder)
    digest = adapter_digest(tiny.follows)
    ours = run_folder(
        tmp_path / "ours",
        outcomes("core", 2.0),
        digest,
        model_digest=file_sha256(tiny.base / "model.safetensors"),
    )
    same = run_folder(
        tmp_path / "same",
        outcomes("core", 2.0),
        None,
        model_digest=file_sha256(tiny.base / "model.safetensors"),
    )
    worse = run_folder(
        tmp_path / "worse",
        outcomes("core", 0.3),
        None,
        model_digest=file_sha256(tiny.base / "model.safetensors"),
    )
    added = finetune("adapters", "add", tiny.follows, "--name", "mine", "--run", ours, "--base", tiny.base)
    assert added.returncode == 0, added.stderr
    refused = finetune("gate", "mine", "--candidate", ours, "--current", same, *asked)
    assert refused.returncode == 1, refused.stderr
    assert "not promoted: it is not shown to be better" in refused.stdout
    assert "has not passed the promotion gate" in finetune("adapters", "promote", "mine").stderr
    passed = finetune(
        "gate", "mine", "--candidate", ours, "--current", worse, *asked, "--out", tmp_path / "gate.json"
    )
    assert passed.returncode == 0, passed.stdout + passed.stderr
    report = json.loads((tmp_path / "gate.json").read_text())
    assert (report["passed"], report["adapter"], len(report["liveness"]["checks"])) == (True, digest, 9)
    assert finetune("adapters", "promote", "mine").returncode == 0
    registry = AdapterRegistry(tmp_path / "registry")
    assert registry.state().current == digest
    assert {each.metric for each in registry.manifest("mine").metrics} == {"auroc", "auprc"}


def test_a_refusal_says_why_and_exits_with_one(tiny: Tiny, finetune: Command) -> None:
    done = finetune("gate", tiny.shuffled, "--base", tiny.base, "--probes", tiny.probe_folder)
    assert done.returncode == 1, done.stderr
    assert "not alive: its answers move, but not with the labels" in done.stdout
    assert "refused" in done.stdout
