"""A LoRA folder in a few kilobytes, for what looks at files and not at answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


def lora_folder(folder: Path, seed: int = 0, **config: Any) -> Path:
    """Two small factors, random by ``seed``, and the settings PEFT writes."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True)
    draw = np.random.default_rng(seed)
    name = "base_model.model.model.layers.0.mlp.up_proj.lora_{}.weight"
    save_file(
        {name.format(side): draw.normal(size=(4, 4)).astype(np.float32) for side in "AB"},
        folder / "adapter_model.safetensors",
    )
    settings = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["up_proj", "down_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps({**settings, **config}), "utf-8")
    return folder
