"""The digest of an adapter: everything that changes an answer, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lora_files import lora_folder

from llm_judge.adapters.lora_folder import adapter_digest, read_settings
from llm_judge.errors import EngineError
from llm_judge.resources import content_folder


def test_settings_that_change_answers_change_the_digest(tmp_path: Path) -> None:
    digest = adapter_digest(lora_folder(tmp_path / "a"))
    assert digest != adapter_digest(lora_folder(tmp_path / "alpha", lora_alpha=16))
    assert digest != adapter_digest(lora_folder(tmp_path / "weights", seed=1))


def test_where_it_was_trained_and_the_order_of_targets_do_not(tmp_path: Path) -> None:
    digest = adapter_digest(lora_folder(tmp_path / "a"))
    other = {"base_model_name_or_path": "/home/someone/model", "target_modules": ["down_proj", "up_proj"]}
    assert digest == adapter_digest(lora_folder(tmp_path / "b", **other))


def test_the_shipped_adapter_has_usable_settings() -> None:
    settings = read_settings(content_folder("finetune") / "adapters" / "default")
    assert (settings.rank, settings.alpha, len(settings.targets)) == (16, 32.0, 7)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"peft_type": "IA3"}, "is not a LoRA adapter"),
        ({"r": 0}, "lacks usable `r`"),
        ({"r": "16"}, "lacks usable `r`"),
        ({"target_modules": None}, "lacks usable `r`"),
        ({"rank_pattern": [1]}, "lacks usable `r`"),
    ],
)
def test_unusable_settings_are_one_error(tmp_path: Path, config: dict[str, object], message: str) -> None:
    with pytest.raises(EngineError, match=message):
        adapter_digest(lora_folder(tmp_path / "a", **config))


def test_pickles_and_damaged_files_are_refused(tmp_path: Path) -> None:
    folder = lora_folder(tmp_path / "a")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(EngineError, match="pickled weights are never read"):
        adapter_digest(folder)
    (folder / "adapter_model.bin").rename(folder / "adapter_model.safetensors")
    for text in ("{", "[" * 100_000, json.dumps([]), "\x00"):
        (folder / "adapter_config.json").write_text(text)
        with pytest.raises(EngineError, match=r"cannot be read: not json|is not a LoRA adapter"):
            adapter_digest(folder)
