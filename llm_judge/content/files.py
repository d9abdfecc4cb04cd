"""File → bytes under a cap, and the names people are shown for it.

Knows nothing about what the bytes hold.
"""

from __future__ import annotations

import stat
from pathlib import Path

from llm_judge.content.limits import megabytes
from llm_judge.content.normalise import clean
from llm_judge.errors import ContentEmpty, ContentNotFound, ContentTooLarge


def named(source: str | None, otherwise: str) -> str:
    """Return the item's name for messages: its file name in back-ticks on one line, or ``otherwise``."""
    return f"`{clean(source)[0][-120:]}`" if source else otherwise


def file_size(path: Path) -> int:
    """Return the size of a regular file in bytes.

    Raises:
        ContentNotFound: there is none, it may not be read, or it is a folder or a device.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _unreadable(path, error) from error
    if stat.S_ISDIR(status.st_mode):
        raise ContentNotFound(f"{named(str(path), '')} is a folder, not a file")
    if not stat.S_ISREG(status.st_mode):  # a pipe or device could block or never end
        raise ContentNotFound(f"{named(str(path), '')} is not a regular file")
    return status.st_size


def read_head(path: Path, size: int = 64) -> bytes:
    """Return the first bytes of a file; raises ``ContentNotFound`` where it cannot be read."""
    file_size(path)
    try:
        with path.open("rb") as stream:
            return stream.read(size)
    except OSError as error:
        raise _unreadable(path, error) from error


def read_file(
    path_or_bytes: Path | str | bytes, source: str | None, max_bytes: int, option: str | None = None
) -> tuple[bytes, str | None]:
    """Return the bytes of an item and the name to show for it.

    Args:
        path_or_bytes: a file, or its content.
        source: name to show instead of the file name.
        max_bytes: cap; a larger file is refused before it is read.
        option: command-line option that raises the cap, named in the hint.

    Raises:
        ContentNotFound: missing, unreadable, a folder or a device.
        ContentEmpty: zero bytes.
        ContentTooLarge: over the cap.
    """
    if isinstance(path_or_bytes, bytes):
        data, size = path_or_bytes, len(path_or_bytes)
    else:
        path = Path(path_or_bytes)
        source = source or path.name
        size = file_size(path)
        data = b"" if size > max_bytes else _read(path, max_bytes)
        size = max(size, len(data))
    name = named(source, "the item")
    if size > max_bytes:
        hint = f"raise the cap with {option} {size}" if option else "make it smaller"
        raise ContentTooLarge(f"{name} is {megabytes(size)}, the cap is {megabytes(max_bytes)}", hint=hint)
    if not data:
        raise ContentEmpty(f"{name} is empty")
    return data, source


def _read(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(max_bytes + 1)  # a file may grow after it was measured
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ContentNotFound:
    reason = getattr(error, "strerror", None) or "not a file name"
    return ContentNotFound(f"cannot read {named(str(path), '')}: {reason.lower()}")
