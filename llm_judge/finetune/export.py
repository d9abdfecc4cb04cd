"""A checked adapter → a folder or tar that vLLM serves, with manifest and checksums.

vLLM reads ``r``, ``lora_alpha`` and ``target_modules`` of an adapter's settings and little else: what it
would silently leave out (ranks or scales by module) is refused here, with what it refuses itself (DoRA,
biases, modules saved whole). Source: ``vllm/lora/peft_helper.py`` and ``vllm/config/lora.py``. Knows nothing
about registries.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_judge.adapters.lora_folder import ADAPTER_CONFIG, ADAPTER_WEIGHTS, read_settings
from llm_judge.adapters.stored_folder import CARD
from llm_judge.durable import reason_of
from llm_judge.errors import OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_judge.adapters.manifest import AdapterManifest

# Values of `--max-lora-rank`.
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
MANIFEST, CHECKSUMS = "manifest.json", "SHA256SUMS"
_UNSERVED = {
    "use_dora": "DoRA",
    "modules_to_save": "modules saved whole",
    "rank_pattern": "ranks by module",
    "alpha_pattern": "scales by module",
    "lora_bias": "biases",
    "trainable_token_indices": "trained tokens",
    "target_parameters": "parameters that are no modules",
    "layer_replication": "repeated layers",
}
_WORDS = frozenset({"lm_head", "embed_tokens"})
_VISION = re.compile(r"\b(visual|vision_tower|vision_model|multi_modal_projector|merger|audio_tower)\b")


def max_lora_rank(rank: int) -> int:
    """Return the least ``--max-lora-rank`` that serves a rank; raises ``UsageError`` where none does."""
    for served in RANKS:
        if rank <= served:
            return served
    raise UsageError(
        f"vLLM serves no rank over {RANKS[-1]}, and this adapter has {rank}", "train a lower rank"
    )


def unserved(folder: Path) -> Iterator[str]:
    """Yield in one line each what vLLM would refuse or leave out of an adapter.

    Raises:
        EngineError: it is no LoRA adapter, or damaged.
    """
    settings = read_settings(folder)
    if settings.rank > RANKS[-1]:
        yield f"rank {settings.rank}, over {RANKS[-1]}"
    for name, words in _UNSERVED.items():
        if settings.config.get(name):
            yield f"{words} (`{name}`)"
    if settings.config.get("bias", "none") != "none":
        yield "trained biases (`bias`)"
    for key in _keys(folder / ADAPTER_WEIGHTS):
        module = key.removeprefix("base_model.model.").rpartition(".lora_")[0]
        if module.rpartition(".")[2] in _WORDS:
            yield f"an adapter on words (`{module}`)"
            return
        if _VISION.search(module):
            yield f"an adapter outside of the language model (`{module}`)"
            return


def export_adapter(
    folder: Path, manifest: AdapterManifest, card: str, out: Path, base_name: str | None = None
) -> tuple[str, ...]:
    """Write an adapter for a server; equal adapters give equal bytes.

    Args:
        folder: the adapter, checked.
        manifest: what the registry knows of it.
        card: its model card.
        out: folder or ``.tar`` that must not exist.
        base_name: what the settings call the base model, which vLLM shows and does not look up.

    Returns:
        Names of the files in it.

    Raises:
        UsageError: ``out`` exists, or vLLM would not serve the adapter.
        EngineError: it is no LoRA adapter, or damaged.
        OutputError: it cannot be written.
    """
    if os.path.lexists(out):
        raise UsageError(f"`{out}` exists already", "choose another --out")
    if why := next(unserved(folder), None):
        raise UsageError(
            f"vLLM does not serve this adapter: it has {why}", "merge it instead: `finetune merge`"
        )
    files = _files(folder, manifest, card, base_name)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix == ".tar":
            _write_tar(files, out)
        else:
            _write_folder(files, out)
    except OSError as error:
        raise OutputError(f"cannot write `{out}`: {reason_of(error)}", "choose another --out") from None
    return tuple(files)


def _files(folder: Path, manifest: AdapterManifest, card: str, base_name: str | None) -> dict[str, bytes]:
    config = dict(read_settings(folder).config)
    config["base_model_name_or_path"] = base_name  # never a path of the machine that trained it
    for name in ("target_modules", "exclude_modules"):
        if isinstance(config.get(name), list):
            config[name] = sorted(config[name])
    files = {
        CARD: card.encode(),
        ADAPTER_CONFIG: json.dumps(config, indent=2, sort_keys=True).encode() + b"\n",
        ADAPTER_WEIGHTS: (folder / ADAPTER_WEIGHTS).read_bytes(),
        MANIFEST: manifest.model_dump_json(indent=1, by_alias=True).encode() + b"\n",
    }
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items()))
    return {**dict(sorted(files.items())), CHECKSUMS: sums.encode()}


def _write_folder(files: dict[str, bytes], out: Path) -> None:
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    try:
        for name, data in files.items():
            (partial / name).write_bytes(data)
        partial.chmod(0o755)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_tar(files: dict[str, bytes], out: Path) -> None:
    part = out.with_name(out.name + ".part")
    try:
        with tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as archive:
            for name, data in files.items():
                about = tarfile.TarInfo(f"{out.stem}/{name}")  # time, owner and group stay 0
                about.size, about.mode = len(data), 0o644
                archive.addfile(about, io.BytesIO(data))
        part.rename(out)
    finally:
        part.unlink(missing_ok=True)


def _keys(path: Path) -> list[str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            keys: Any = file.keys()
            return sorted(keys)
    except (SafetensorError, OSError) as error:
        raise UsageError(f"`{path}` is damaged: {error}", "train it again") from None
