"""Reports that go to a file of the user's choice: checked before the work, written after it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from llm_judge.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from llm_judge.evals.document import Block


def check_writable(path: Path) -> None:
    """Raise ``OutputError`` where a file cannot be made at ``path``; leaves nothing behind."""
    folder = path.parent
    if path.is_dir():
        raise OutputError(f"cannot write `{path}`: it is a folder", "name a file in it")
    if not folder.is_dir():
        raise OutputError(f"cannot write `{path}`: there is no folder `{folder}`", "make the folder first")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise OutputError(f"cannot write `{path}`: permission denied", "choose another file")


def write_text(path: Path, text: str) -> None:
    """Write a report, or raise ``OutputError``."""
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"cannot write `{path}`: {reason}", "choose another file") from None


def print_blocks(blocks: Sequence[Block], out: Path | None = None) -> None:
    """Print a report for people on standard output, or into a file without colours."""
    import io

    from rich.console import Console

    from llm_judge.evals.document import to_rich

    stream = None if out is None else io.StringIO()
    console = Console(file=stream, highlight=False, width=None if stream is None else 100)
    for block in to_rich(blocks):
        console.print(block)
    if stream is not None and out is not None:
        write_text(out, stream.getvalue())


def replace_text(path: Path, text: str) -> None:
    """Put a text in the place of a file's own at once: the file is never half written.

    Its permissions stay, and a link goes on leading to it.

    Raises:
        OutputError: it cannot be written; the old text is still there.
    """
    target = path.resolve()
    new = target.with_name(f".{target.name}.new")
    try:
        try:
            new.write_bytes(text.encode("utf-8"))
            if target.exists():
                new.chmod(target.stat().st_mode & 0o7777)
            new.replace(target)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"cannot write `{path}`: {reason}", "the old file is still there") from None
