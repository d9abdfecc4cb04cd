"""Files that survive a kill, a full disk and a second process: appended to whole, or replaced at once.

Knows nothing about what is written.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from llm_judge.errors import OutputError


class AppendFile:
    """A file that one process at a time appends whole pieces to.

    Args:
        path: made if need be; a device such as /dev/stdout is neither locked nor cut back.

    Raises:
        OutputError: it cannot be opened, or another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise OutputError(f"cannot write `{path}`: {reason_of(error)}", "choose another --out") from error
        self.regular = stat.S_ISREG(os.fstat(self._handle).st_mode)
        if not self.regular:
            return
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._handle)
            raise OutputError(
                f"another process is writing `{path}`", "wait for it, or choose another --out"
            ) from error

    @property
    def size(self) -> int:
        """Bytes; 0 for a device."""
        return os.fstat(self._handle).st_size if self.regular else 0

    def append(self, piece: bytes, when: str = "") -> None:
        """Write a piece whole, or leave the file as it was and raise ``OutputError``.

        Args:
            piece: what is written.
            when: for the message, such as ``after 3 new records``.
        """
        size = self.size
        rest = memoryview(piece)
        try:
            while rest:
                rest = rest[os.write(self._handle, rest) :]
        except OSError as error:
            self.cut(size)
            told = f" {when}" if when else ""
            raise OutputError(
                f"cannot write `{self.path}`{told}: {reason_of(error)}",
                "nothing already written is lost; make room and run again with --resume",
            ) from error

    def cut(self, size: int) -> None:
        """Keep the first ``size`` bytes only."""
        if self.regular:
            os.ftruncate(self._handle, size)

    def sync(self) -> None:
        """Ask the disk to keep what was written; raises ``OutputError``."""
        if not self.regular:
            return
        try:
            os.fsync(self._handle)
        except OSError as error:
            raise OutputError(f"cannot write `{self.path}`: {reason_of(error)}") from error

    def close(self) -> None:
        """Let another process have it."""
        os.close(self._handle)


def replace_file(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a small file by one rename, so that after a crash it is the old one or the new one.

    Args:
        path, text: which file, and what it holds from then on.
        mode: who may read it, where the umask allows that.

    Raises:
        OutputError: it cannot be written; an older file stays as it was.
    """
    part = path.with_name(path.name + ".part")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with open(handle, "w", encoding="utf-8") as stream:  # noqa: PTH123  # of a handle, not of a path
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise OutputError(f"cannot write `{path}`: {reason_of(error)}") from error


def sync_folder(folder: Path) -> None:
    """Ask the disk to keep which files a folder holds; raises ``OSError``."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def reason_of(error: OSError) -> str:
    """What the system says, in lower case."""
    return (error.strerror or str(error)).lower()
