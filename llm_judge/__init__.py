"""Policy reasoning engine: Community Guidelines as YAML in, decisions with evidence out.

Importing this package loads no model library; names below are resolved on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Public name → module that defines it. Lazy, so that `import llm_judge` stays fast.
_PUBLIC = {
    "Judge": "llm_judge.judge",
    "JudgeSettings": "llm_judge.judge",
    "JudgeError": "llm_judge.errors",
    "compile_policies": "llm_judge.compile",
    "load_policies": "llm_judge.policy.load",
    "open_content": "llm_judge.content.open",
    "open_engine": "llm_judge.engines.open",
    "from_text": "llm_judge.content.text",
}

__all__ = ["__version__", *_PUBLIC]  # noqa: PLE0604  (the table above is the list)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module `llm_judge` has no attribute `{name}`")
    return getattr(import_module(_PUBLIC[name]), name)
