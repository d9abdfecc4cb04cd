"""An adapter's weights, looked at before anything is asked: are they for this base, and are they anything?

An adapter whose keys name modules that the serving class does not have loads without an error in some servers
and then answers like its base. Knows nothing about answers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_judge.adapters.lora_folder import ADAPTER_WEIGHTS, read_settings
from llm_judge.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_KEY = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<side>A|B)\.weight")


@dataclass(frozen=True, slots=True)
class WeightsReport:
    """What an adapter's file holds.

    Attributes:
        modules: modules it changes.
        unknown: keys that no module of the base answers to, in the order of the file.
        alive: modules whose update B·A is finite and not zero.
        not_finite: modules with a weight that is not finite.
    """

    modules: int
    unknown: tuple[str, ...]
    alive: int
    not_finite: int


def inspect_weights(folder: Path, modules: Collection[str]) -> WeightsReport:
    """Read an adapter's weights.

    Args:
        folder: a PEFT LoRA folder.
        modules: names of all modules of the base, as ``named_modules`` gives them.

    Raises:
        EngineError: the folder is no LoRA adapter, or its weights are damaged.
    """
    read_settings(folder)
    tensors = _tensors(folder / ADAPTER_WEIGHTS)
    pairs: dict[str, dict[str, Any]] = {}
    unknown = []
    for key, tensor in tensors.items():
        match = _KEY.fullmatch(key)
        if match is None or match["module"] not in modules:
            unknown.append(key)
        if match is not None:
            pairs.setdefault(match["module"], {})[match["side"]] = tensor.float()
    whole = [pair for pair in pairs.values() if len(pair) == len("AB") and _fits(pair)]
    finite = [pair for pair in whole if all(bool(each.isfinite().all()) for each in pair.values())]
    alive = sum(bool((pair["B"] @ pair["A"]).any()) for pair in finite)
    return WeightsReport(len(pairs), tuple(unknown), alive, len(whole) - len(finite))


def _fits(pair: dict[str, Any]) -> bool:
    a, b = pair["A"], pair["B"]
    return bool(a.ndim == b.ndim == 2 and b.shape[1] == a.shape[0])


def _tensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found: dict[str, Any] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise EngineError(f"the adapter's weights `{path}` are damaged: {error}") from None
    return found
