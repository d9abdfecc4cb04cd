"""A JSON file that another command wrote → typed data, or one line that says what is wrong with it.

Knows nothing about what the data mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import TypeAdapter, ValidationError

from llm_judge.errors import UsageError
from llm_judge.source import quoted

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")
_MOST_BYTES = 64 * 1024 * 1024


def read_json(path: Path, shape: TypeAdapter[T], what: str, again: str) -> T:
    """Read a file and hold it to a shape.

    Args:
        path: the file.
        shape: of what it holds.
        what: the name of such a file, for messages: ``a list of findings``.
        again: how a right file is made, for messages.

    Raises:
        UsageError: it cannot be read, is too large, or is of another shape, and where.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = (getattr(error, "strerror", None) or "not a usable name").lower()
        raise UsageError(f"{_named(path)} cannot be read: {reason}", again) from None
    if len(data) > _MOST_BYTES:
        raise UsageError(f"{_named(path)} is too large for {what}", again)
    try:
        return shape.validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = quoted(".".join(str(part) for part in first["loc"])) if first["loc"] else "as a whole"
        message = f"{_named(path)} is not {what}: {place}: {first['msg'].lower()}"
        raise UsageError(" ".join(message.split()), again) from None


def _named(path: Path) -> str:
    return quoted(str(path), 200)  # the name at its end is what people look for
