"""Folders in the cache that are made from other files once: whole and as they were made, or made again.

Knows nothing about what is in them.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from llm_judge.errors import PackageError
from llm_judge.packaged import file_sha256, one_at_a_time

if TYPE_CHECKING:
    from collections.abc import Callable

_MANIFEST = "sha256.json"


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return a folder, making it first where it is missing or not as it was made.

    It appears by one rename, so a run that is killed leaves nothing that could be taken for it, and one
    process at a time makes it.

    Args:
        folder: in the cache.
        make: writes the files into the empty folder that it is given.

    Raises:
        PackageError: it cannot be written. Whatever ``make`` raises comes through.
    """
    if _is_whole(folder):
        return folder
    try:
        with one_at_a_time(folder):
            if not _is_whole(folder):
                _make(folder, make)
    except OSError as error:
        raise PackageError(
            f"`{folder}` cannot be written: {error.strerror or error}",
            hint="free some space or set LLM_JUDGE_CACHE to a folder on another disk",
        ) from None
    return folder


def _is_whole(folder: Path) -> bool:
    try:
        digests = json.loads((folder / _MANIFEST).read_text("utf-8"))
        return bool(digests) and all(file_sha256(folder / name) == digest for name, digest in digests.items())
    except (OSError, ValueError, AttributeError):
        return False


def _make(folder: Path, make: Callable[[Path], None]) -> None:
    """Make it beside ``folder`` and rename it, sweeping up what a killed run left."""
    for leftover in folder.parent.glob(f".{folder.name}.*.partial"):
        shutil.rmtree(leftover, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    try:
        make(partial)
        digests = {path.name: file_sha256(path) for path in sorted(partial.iterdir())}
        (partial / _MANIFEST).write_text(json.dumps(digests, indent=1), "utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
