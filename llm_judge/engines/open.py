"""An engine's name on the command line → the engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llm_judge.errors import EngineError, UsageError
from llm_judge.resources import content_folder

if TYPE_CHECKING:
    from llm_judge.engines.protocol import Engine

CHOICES = ("local", "local:base", "local:ADAPTER_FOLDER", "scripted:FILE.json")


def open_engine(
    spec: str, *, dtype: str = "bfloat16", threads: int | None = None, fetch: bool = True
) -> Engine:
    """Return a ready engine.

    Args:
        spec: ``local`` (packaged model with our adapter, where one is shipped), ``local:base`` (without
            it), ``local:FOLDER`` (with that adapter) or ``scripted:FILE`` (answers from a JSON file).
        dtype, threads: for ``local``; see ``LocalEngine``.
        fetch: whether the packaged model may be downloaded.

    Raises:
        UsageError: no engine has that name.
        PackageError: the packaged model is missing, damaged or cannot be fetched.
        EngineError: the engine cannot be started.
    """
    kind, colon, rest = spec.partition(":")
    if kind == "scripted" and rest:
        from llm_judge.engines.scripted import ScriptedEngine

        return ScriptedEngine.from_file(Path(rest))
    if kind != "local" or (colon and not rest):
        raise UsageError(f"unknown engine `{spec}`", hint=f"choose from {', '.join(CHOICES)}")
    adapter = _adapter(rest)
    from llm_judge.engines.convert import MODEL, converted_model, model_sha256
    from llm_judge.engines.local import LocalEngine

    return LocalEngine(converted_model(fetch), adapter, dtype, threads, name=MODEL, digest=model_sha256())


def _adapter(choice: str) -> Path | None:
    if choice == "base":
        return None
    if choice:
        folder = Path(choice).expanduser()
        if not folder.is_dir():
            raise EngineError(f"no adapter folder `{choice}`", hint=f"choose from {', '.join(CHOICES)}")
        return folder
    try:
        shipped = content_folder("finetune") / "adapters" / "default"
    except FileNotFoundError:
        return None
    return shipped if shipped.is_dir() else None
