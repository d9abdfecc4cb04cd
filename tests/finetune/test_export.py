"""Exports: what vLLM reads, without the machine it was trained on, and what it would get wrong refused."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from llm_judge.adapters.lora_folder import adapter_digest
from llm_judge.adapters.manifest import AdapterFacts, AdapterManifest, BaseModelReference
from llm_judge.adapters.registry import AdapterRegistry
from llm_judge.errors import UsageError
from llm_judge.finetune.export import RANKS, export_adapter, max_lora_rank, unserved

pytest.importorskip("safetensors")

KEY = "base_model.model.model.layers.0.mlp.up_proj.lora_{}.weight"


def adapter(folder: Path, key: str = KEY, **config: Any) -> Path:
    import numpy as np
    from safetensors.numpy import save_file

    folder.mkdir()
    save_file(
        {key.format(side): np.ones((4, 4), np.float32) for side in "AB"}, folder / "adapter_model.safetensors"
    )
    settings = {
        "peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["up_proj"], "bias": "none",
        "base_model_name_or_path": "/home/someone/model", "use_dora": False, "rank_pattern": {},
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps({**settings, **config}), "utf-8")
    return folder


def stored(tmp_path: Path) -> tuple[Path, AdapterManifest]:
    registry = AdapterRegistry(tmp_path / "registry")
    facts = AdapterFacts(base=BaseModelReference(name="tiny", digest="4" * 64))
    registry.add(adapter(tmp_path / "a"), "mine", facts)
    return registry.open("mine")


def test_a_folder_holds_its_own_checksums_and_no_path_of_ours(tmp_path: Path) -> None:
    folder, manifest = stored(tmp_path)
    out = tmp_path / "out"
    export_adapter(folder, manifest, "# card\n", out, "tiny")
    for line in (out / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
    assert "/home" not in "".join(path.read_text("utf-8", "replace") for path in out.iterdir())
    assert adapter_digest(out) == manifest.digest
    assert AdapterManifest.model_validate_json((out / "manifest.json").read_text()) == manifest


def test_a_tar_is_the_same_each_time(tmp_path: Path) -> None:
    folder, manifest = stored(tmp_path)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        export_adapter(folder, manifest, "# card\n", tmp_path / name / "mine.tar")
    data = (tmp_path / "one" / "mine.tar").read_bytes()
    assert data == (tmp_path / "two" / "mine.tar").read_bytes()
    with tarfile.open(tmp_path / "one" / "mine.tar") as archive:
        assert sorted(archive.getnames()) == sorted(
            f"mine/{name}"
            for name in ("README.md", "SHA256SUMS", "adapter_config.json", "adapter_model.safetensors",
                         "manifest.json")
        )  # fmt: skip
    with pytest.raises(UsageError, match="exists already"):
        export_adapter(folder, manifest, "", tmp_path / "one" / "mine.tar")


@pytest.mark.parametrize(
    ("key", "config", "why"),
    [
        (KEY, {"use_dora": True}, "DoRA"),
        (KEY, {"modules_to_save": ["lm_head"]}, "saved whole"),
        (KEY, {"rank_pattern": {"q_proj": 2}}, "ranks by module"),
        (KEY, {"alpha_pattern": {"q_proj": 2}}, "scales by module"),
        (KEY, {"bias": "all"}, "biases"),
        (KEY, {"r": 1024}, "rank 1024, over 512"),
        ("base_model.model.lm_head.lora_{}.weight", {}, "on words"),
        (
            "base_model.model.model.visual.blocks.0.attn.qkv.lora_{}.weight",
            {},
            "outside of the language model",
        ),
    ],
)
def test_what_vllm_gets_wrong_is_refused(tmp_path: Path, key: str, config: dict[str, Any], why: str) -> None:
    assert why in next(unserved(adapter(tmp_path / "a", key, **config)))


def test_ranks() -> None:
    assert [max_lora_rank(rank) for rank in (1, 4, 16, 17, 512)] == [1, 8, 16, 32, 512]
    assert all(max_lora_rank(rank) == rank for rank in RANKS)
    with pytest.raises(UsageError, match="no rank over 512"):
        max_lora_rank(513)
