"""A PEFT LoRA folder → checked settings and one digest that names it.

The digest covers the weights and every setting that can change an answer: the same weights under another
``lora_alpha`` are another adapter. Weights are safetensors or nothing; a pickle is never opened. Knows
nothing about base models, registries or engines.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_judge.errors import EngineError
from llm_judge.packaged import file_sha256

if TYPE_CHECKING:
    from pathlib import Path

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
# Where and by what an adapter was trained; none of it changes what it computes.
_NOT_COUNTED = frozenset({"base_model_name_or_path", "revision", "peft_version", "inference_mode"})
_SETS = ("target_modules", "exclude_modules")  # PEFT writes them in any order
_MOST_CONFIG_BYTES = 1 << 20
_PICKLES = ("adapter_model.bin", "adapter_model.pt", "adapter_model.pth", "pytorch_model.bin")


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """What an adapter is made of.

    Attributes:
        rank: the largest rank of any module.
        alpha: ``lora_alpha``; an update is scaled by alpha / rank.
        targets: names of the modules it changes, sorted; one regular expression stands as it is.
        config: the whole ``adapter_config.json``.
    """

    rank: int
    alpha: float
    targets: tuple[str, ...]
    config: dict[str, Any]


def read_settings(folder: Path) -> LoraSettings:
    """Return the settings of an adapter folder whose files are all there.

    Raises:
        EngineError: a file is missing or damaged, the weights are pickles, or it is no LoRA adapter.
    """
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if not (folder / name).is_file():
            pickled = name == ADAPTER_WEIGHTS and any((folder / each).is_file() for each in _PICKLES)
            why = ", and pickled weights are never read" if pickled else ""
            hint = "save it with safe_serialization=True" if pickled else None
            raise EngineError(f"the adapter `{folder}` has no {name}{why}", hint)
    config = _read_config(folder / ADAPTER_CONFIG)
    if config.get("peft_type") != "LORA":
        raise EngineError(f"the adapter `{folder}` is not a LoRA adapter")
    try:
        ranks = [config["r"], *(config.get("rank_pattern") or {}).values()]
        alpha = float(config["lora_alpha"])
        targets = config["target_modules"]
        names = (targets,) if isinstance(targets, str) else tuple(sorted(map(str, targets)))
        if not all(isinstance(rank, int) and rank > 0 for rank in ranks):
            raise ValueError("r")
    except (KeyError, TypeError, ValueError, AttributeError):
        raise EngineError(
            f"`{folder / ADAPTER_CONFIG}` lacks usable `r`, `lora_alpha` and `target_modules`"
        ) from None
    return LoraSettings(max(ranks), alpha, names, config)


def adapter_digest(folder: Path) -> str:
    """Return the SHA-256 that names an adapter: over its canonical settings and its weights file.

    Raises:
        EngineError: as ``read_settings``, or a file cannot be read.
    """
    config = read_settings(folder).config
    counted = {name: value for name, value in config.items() if name not in _NOT_COUNTED}
    for name in _SETS:
        if isinstance(counted.get(name), list):
            counted[name] = sorted(map(str, counted[name]))
    canonical = json.dumps(counted, sort_keys=True, separators=(",", ":"))
    try:
        weights = file_sha256(folder / ADAPTER_WEIGHTS)
    except OSError as error:
        raise EngineError(f"`{folder / ADAPTER_WEIGHTS}` cannot be read: {error.strerror}") from None
    settings = hashlib.sha256(canonical.encode()).hexdigest()
    return hashlib.sha256(f"lora 1\n{settings}\n{weights}\n".encode()).hexdigest()


def _read_config(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            data = stream.read(_MOST_CONFIG_BYTES + 1)
        if len(data) > _MOST_CONFIG_BYTES:
            raise EngineError(f"`{path}` is too large for the settings of an adapter")
        config = json.loads(data)
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or "not JSON"
        raise EngineError(f"`{path}` cannot be read: {reason.lower()}") from None
    return config if isinstance(config, dict) else {}
