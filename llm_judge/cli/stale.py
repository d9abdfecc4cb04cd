"""Files that are made from others: written where they differ, or only compared.

Knows nothing about what they hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from llm_judge.errors import ExitCode, OutputError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path


def write_or_check(made: Mapping[Path, str], *, check: bool, left_over: Collection[Path] = ()) -> None:
    """Write what is missing or stale and list it, or list it only and exit 1.

    Args:
        made: what each file should hold.
        check: write nothing.
        left_over: files that should not be there; they are listed, and deleted when writing.

    Raises:
        OutputError: a file cannot be written.
        typer.Exit: with 1 where ``check`` finds something.
    """
    from llm_judge.cli.report_file import replace_text

    stale = [path for path, text in made.items() if not _holds(path, text)]
    for path in (*stale, *left_over):
        typer.echo(f"{'stale' if check else 'deleted' if path in left_over else 'written'}: {path}")
    if check and (stale or left_over):
        raise typer.Exit(ExitCode.FOUND)
    try:
        for path in stale:
            path.parent.mkdir(parents=True, exist_ok=True)
        for path in left_over:
            path.unlink()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"cannot write `{error.filename}`: {reason}", "choose another folder") from None
    for path in stale:
        replace_text(path, made[path])
    typer.echo(f"{len(made)} files, {len(stale)} {'stale' if check else 'written'}", err=True)


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode("utf-8")
    except OSError:
        return False
