"""A tiny base model and two adapters on it: one that follows its policy, one trained on shuffled labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from tiny_adapters import tiny_base, toy_probes, train

from llm_judge.finetune.liveness_probes import ProbeSet, load_probes, truth_of


@dataclass(frozen=True)
class Tiny:
    """Folders of what was trained, and what it was trained to answer."""

    base: Path
    follows: Path
    shuffled: Path
    probe_folder: Path
    probes: ProbeSet


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Trained once: some fifteen seconds of one core."""
    pytest.importorskip("peft")
    root = tmp_path_factory.mktemp("adapters")
    folder = toy_probes(root / "toy")
    probes, base = load_probes(folder), tiny_base(root / "tiny-base")
    truth = truth_of(probes)
    found = Tiny(base, root / "follows", root / "shuffled", folder, probes)
    train(base, found.follows, probes, lambda policy, turned, content: bool(truth[content, policy]) != turned)
    # Right for one content of each pair and wrong for the other, whatever the question.
    train(base, found.shuffled, probes, lambda policy, turned, content: (content // 2) % 2 == policy)
    return found
