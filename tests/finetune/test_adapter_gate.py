"""Real adapters on a tiny real model, broken in the ways that happen, and the message each gets."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llm_judge.finetune.adapter_gate import LivenessResult, liveness
from llm_judge.finetune.gate_limits import default_limits, load_limits

pytest.importorskip("peft")

if TYPE_CHECKING:
    from conftest import Tiny

LIMITS = load_limits(default_limits())
Change = Callable[[dict[str, Any]], dict[str, Any]]


def gated(tiny: Tiny, adapter: Path) -> LivenessResult:
    return liveness(adapter, tiny.base, None, tiny.probes, LIMITS, dtype="float32")


def with_weights(adapter: Path, folder: Path, change: Change) -> Path:
    from safetensors.torch import load_file, save_file

    shutil.copytree(adapter, folder)
    save_file(change(load_file(folder / "adapter_model.safetensors")), folder / "adapter_model.safetensors")
    return folder


def test_an_adapter_that_follows_its_policy_passes(tiny: Tiny) -> None:
    found = gated(tiny, tiny.follows)
    assert found.passed, found.as_json()
    assert len(found.checks) == 9


def test_shuffled_labels_are_named(tiny: Tiny) -> None:
    found = gated(tiny, tiny.shuffled)
    assert not found.passed
    assert "shuffled labels" in str(found.diagnosis)


def test_zero_weights_are_named(tiny: Tiny, tmp_path: Path) -> None:
    def zero(weights: dict[str, Any]) -> dict[str, Any]:
        return {key: weight * (0 if "lora_B" in key else 1) for key, weight in weights.items()}

    found = gated(tiny, with_weights(tiny.follows, tmp_path / "zero", zero))
    assert "all update matrices are zero" in str(found.diagnosis)


def test_weights_that_are_not_finite_are_named(tiny: Tiny, tmp_path: Path) -> None:
    def spoil(weights: dict[str, Any]) -> dict[str, Any]:
        first = next(iter(weights))
        return {**weights, first: weights[first] * float("nan")}

    found = gated(tiny, with_weights(tiny.follows, tmp_path / "nan", spoil))
    assert "not finite" in str(found.diagnosis)


def test_wrong_prefixes_are_named(tiny: Tiny, tmp_path: Path) -> None:
    """As after training a vision-language model through its text class."""

    def moved(weights: dict[str, Any]) -> dict[str, Any]:
        return {key.replace("model.layers", "model.language_model.layers"): w for key, w in weights.items()}

    found = gated(tiny, with_weights(tiny.follows, tmp_path / "moved", moved))
    assert "wrong prefixes" in str(found.diagnosis)
    assert "model.language_model.layers.0" in str(found.diagnosis)


def test_a_scale_of_zero_has_no_effect(tiny: Tiny, tmp_path: Path) -> None:
    """Nothing in the weights shows it: only the answers do."""
    folder = tmp_path / "silent"
    shutil.copytree(tiny.follows, folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "lora_alpha": 0}))
    found = gated(tiny, folder)
    assert "answers like its base" in str(found.diagnosis)
    assert next(check.value for check in found.checks if check.name == "effect") == 0.0
