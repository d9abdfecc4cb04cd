"""One adapter's folder in the registry: copied in by names that are known, and held against its manifest.

Only regular files are read, never through a link, so neither a link nor a name can reach outside. What is
hashed is the copy, so a source that changes meanwhile cannot slip in. Knows nothing about names or history.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING

from llm_judge.adapters.lora_folder import ADAPTER_CONFIG, ADAPTER_WEIGHTS, adapter_digest
from llm_judge.adapters.manifest import StoredFile
from llm_judge.durable import reason_of, sync_folder
from llm_judge.errors import EngineError, OutputError, UsageError
from llm_judge.source import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from llm_judge.adapters.manifest import AdapterManifest

CARD, TRAINING = "README.md", "training.json"
RECIPE, CALIBRATION = "recipe.yaml", "calibration.json"
KNOWN = (ADAPTER_CONFIG, ADAPTER_WEIGHTS, CARD, TRAINING, RECIPE, CALIBRATION)
_MOST_BYTES = 4 << 30
_CHUNK = 1 << 20


def copy_in(source: Path, target: Path, more: Mapping[str, Path]) -> dict[str, StoredFile]:
    """Copy the known files of an adapter folder into an empty one, and flush them to the disk.

    Args:
        source: the adapter.
        target: empty folder.
        more: further files, by the name they get: a recipe, a calibration.

    Returns:
        Name → size and SHA-256 of everything copied.

    Raises:
        UsageError: the source is no folder, or a file is a link, too large or unreadable.
        OutputError: the target cannot be written.
    """
    if source.is_symlink() or not source.is_dir():
        what = "is a link" if source.is_symlink() else "is no folder"
        raise UsageError(f"`{source}` {what}", "name the folder that holds adapter_config.json")
    found = {name: source / name for name in KNOWN if os.path.lexists(source / name)} | dict(more)
    stored = {name: _copy(path, target / name) for name, path in found.items()}
    sync_folder(target)
    return stored


def problems_of(folder: Path, manifest: AdapterManifest) -> Iterator[str]:
    """Yield in one line each what is wrong with a stored adapter; nothing where it is whole."""
    if folder.is_symlink() or not folder.is_dir():
        yield f"the folder `{folder}` is {'a link' if folder.is_symlink() else 'gone'}"
        return
    try:
        present = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        yield f"`{folder}` cannot be read: {reason_of(error)}"
        return
    yield from (f"{quoted(name)} does not belong here" for name in present if name not in manifest.files)
    changed = False
    for name, expected in manifest.files.items():
        problem = _problem_of(folder / name, expected) if name in present else f"`{name}` is gone"
        if problem:
            changed = True
            yield problem
    if not changed:
        try:
            found = adapter_digest(folder)
        except EngineError as error:
            yield error.message
            return
        if found != manifest.digest:
            yield f"it is the adapter `{found[:12]}`, not the one its place says"


def _problem_of(path: Path, expected: StoredFile) -> str | None:
    try:
        found = _hash(_open_regular(path))
    except UsageError as error:
        return error.message
    if found != expected:
        return f"`{path.name}` was changed: {found.size} bytes, SHA-256 {found.sha256[:12]}, " + (
            f"not {expected.size} bytes, {expected.sha256[:12]}"
        )
    return None


def _open_regular(path: Path) -> int:
    """Open a file for reading that is neither a link nor a device; raises ``UsageError``."""
    try:
        # O_NONBLOCK: a named pipe must be refused, not waited for.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        link = path.is_symlink()
        reason = "it is a link" if link else (getattr(error, "strerror", None) or "not a usable name").lower()
        raise UsageError(f"`{path}` is refused: {reason}", "copy the file itself there") from None
    about = os.fstat(handle)
    if not stat.S_ISREG(about.st_mode) or about.st_size > _MOST_BYTES:
        os.close(handle)
        what = "too large" if stat.S_ISREG(about.st_mode) else "not a file"
        raise UsageError(f"`{path}` is refused: it is {what}")
    return handle


def _hash(handle: int, out: int | None = None) -> StoredFile:
    """Read an open file to its end, write it to ``out`` where that is given, and close it."""
    digest, size = hashlib.sha256(), 0
    try:
        while chunk := os.read(handle, _CHUNK):
            digest.update(chunk)
            size += len(chunk)
            rest = memoryview(chunk)
            while out is not None and rest:
                rest = rest[os.write(out, rest) :]
    finally:
        os.close(handle)
    return StoredFile(size=size, sha256=digest.hexdigest())


def _copy(path: Path, target: Path) -> StoredFile:
    handle = _open_regular(path)
    try:
        out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            found = _hash(handle, out)
            os.fsync(out)
        finally:
            os.close(out)
    except OSError as error:
        raise OutputError(f"cannot write `{target}`: {reason_of(error)}", "make room, then again") from None
    return found
