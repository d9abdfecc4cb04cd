"""An adapter and its base → one model folder that transformers and vLLM load, and how far it is from the two.

Parity is measured before the folder appears: the merged model, read back from the disk, against base and
adapter side by side, both computing in float32, so that what is left is the rounding of the weights.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_judge.adapters.lora_folder import adapter_digest
from llm_judge.durable import reason_of
from llm_judge.engines.merged_model import MERGED, write_merged
from llm_judge.errors import ExitCode, JudgeError, OutputError, UsageError
from llm_judge.finetune.liveness_probes import read_probes
from llm_judge.packaged import file_sha256

if TYPE_CHECKING:
    from llm_judge.finetune.liveness_probes import ProbeSet

_CONTENTS = 8  # spread over the probes: an adapter beside its base is slow on a CPU


@dataclass(frozen=True, slots=True)
class Parity:
    """Differences of label log-probabilities, in nats, over so many reads."""

    largest: float
    mean: float
    reads: int


class ParityMissed(JudgeError):
    """The merged model answers too differently; nothing was written."""

    exit_code = ExitCode.FOUND


def merge_to(
    base: Path,
    adapter: Path,
    out: Path,
    probes: ProbeSet,
    *,
    dtype: str = "bfloat16",
    at_most: float = float("inf"),
    base_digest: str | None = None,
) -> Parity:
    """Write the merged model, and say how far it is from base and adapter.

    Args:
        base: model folder with ``config.json`` and ``model.safetensors``.
        adapter: a PEFT LoRA folder for it.
        out: folder that must not exist.
        probes: what both are asked.
        dtype: of the merged weights, ``bfloat16`` or ``float32``.
        at_most: largest difference allowed, in nats.
        base_digest: what records call the base; by default the digest of its weights.

    Raises:
        UsageError: ``out`` exists, or ``dtype`` is unknown.
        EngineError: the adapter does not fit.
        ParityMissed: the difference is over ``at_most``; ``out`` is not made.
        OutputError: the folder cannot be written.
    """
    if os.path.lexists(out):
        raise UsageError(f"`{out}` exists already", "choose another --out")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    except OSError as error:
        raise OutputError(f"cannot write `{out}`: {reason_of(error)}", "choose another --out") from None
    try:
        write_merged(base, adapter, partial, dtype)
        parity = measure_parity(base, adapter, partial, probes)
        if not parity.largest <= at_most:
            raise ParityMissed(
                f"the merged model is up to {parity.largest:.3f} nats from its adapter, over {at_most:g}",
                "merge with --dtype float32, or raise parity_at_most in a file for --limits",
            )
        _write_about(base, base_digest, adapter, partial, dtype, parity)
        partial.chmod(0o755)
        partial.rename(out)
    except OSError as error:
        raise OutputError(f"cannot write `{out}`: {reason_of(error)}", "make room, then again") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return parity


def measure_parity(base: Path, adapter: Path, merged: Path, probes: ProbeSet) -> Parity:
    """Return how far a merged model's label log-probabilities are from base and adapter side by side.

    Raises:
        EngineError: the adapter does not fit, or a model cannot answer.
    """
    import numpy as np

    from llm_judge.engines.local import LocalEngine
    from llm_judge.engines.weights import attach_adapter

    step = -(-len(probes.texts) // _CONTENTS)
    probes = replace(probes, texts=probes.texts[::step], breaks=probes.breaks[::step])
    with closing(LocalEngine(base, None, "float32")) as engine:
        attach_adapter(engine.model, adapter).eval()
        beside = read_probes(engine, probes)
    with closing(LocalEngine(merged, None, "float32")) as engine:
        together = read_probes(engine, probes)
    difference = np.abs(beside.logprobs - together.logprobs)
    return Parity(float(difference.max()), float(difference.mean()), len(difference))


def _write_about(
    base: Path, base_digest: str | None, adapter: Path, folder: Path, dtype: str, parity: Parity
) -> None:
    """Say in the folder what it was made from; last, so that it covers everything else."""
    files = {path.name: file_sha256(path) for path in sorted(folder.iterdir())}
    about: dict[str, Any] = {
        "schema": 1,
        "base": base_digest or file_sha256(base / "model.safetensors"),
        "adapter": adapter_digest(adapter),
        "dtype": dtype,
        "parity_nats": {"largest": round(parity.largest, 6), "mean": round(parity.mean, 6)},
        "reads": parity.reads,
        "files": files,
    }
    (folder / MERGED).write_text(json.dumps(about, indent=1) + "\n", "utf-8")
