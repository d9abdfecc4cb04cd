"""The part of `llm-judge serve` that starts a vLLM server of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_judge.errors import UsageError

if TYPE_CHECKING:
    from contextlib import ExitStack

    from llm_judge.engines.protocol import Engine

ModelFolder = Annotated[
    Path | None,
    typer.Option(
        "--model",
        metavar="FOLDER",
        help="With `--engine vllm`: serve this model folder instead of the packaged model with our adapter.",
    ),
]
VllmPython = Annotated[
    Path | None,
    typer.Option(
        "--vllm-python",
        metavar="PYTHON",
        envvar="LLM_JUDGE_VLLM_PYTHON",
        help="With `--engine vllm`: the interpreter of the environment that has vLLM.",
    ),
]


def opened_engine(stack: ExitStack, spec: str, model: Path | None, python: Path | None) -> Engine:
    """Return the engine that was asked for, started first where it is a vLLM server of our own.

    Args:
        stack: stops what was started.
        spec: value of ``--engine``.
        model, python: values of ``--model`` and ``--vllm-python``.

    Raises:
        UsageError, PackageError, EngineError: as opening and starting do.
    """
    from llm_judge.engines.open import open_engine
    from llm_judge.engines.vllm_server.managed import is_managed, managed_engine

    if not is_managed(spec):
        if model is not None:
            raise UsageError(
                "--model goes with --engine vllm only", "`local` takes an adapter: `local:FOLDER`"
            )
        return open_engine(spec)
    engine, _ = stack.enter_context(
        managed_engine(spec, model, python, say=lambda line: typer.echo(line, err=True))
    )
    return engine
