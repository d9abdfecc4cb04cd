"""Optional packages: what a command needs, and how to install what is missing."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from llm_judge.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


def require_extra(what: str, extra: str, modules: Sequence[str]) -> None:
    """Look for modules without importing them.

    Args:
        what: needs them, for the message: ``the record store``.
        extra: of this package, which brings them.
        modules: to look for.

    Raises:
        UsageError: one of them is not installed.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise UsageError(f"{what} needs {', '.join(missing)}", f"pip install 'llm-judge[{extra}]'")
