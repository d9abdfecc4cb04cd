"""Files in, one tar archive out, and back: the same files always give the same bytes.

Reading accepts exactly what writing makes: plain files with short, safe names, no times, owners or
links, and nothing between or behind them, so that no byte of an archive can change unnoticed. Reads no
archive made by anything else. Knows nothing about what the files hold.
"""

from __future__ import annotations

import re
import tarfile
from typing import TYPE_CHECKING

from llm_judge.errors import PolicyError
from llm_judge.source import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_ARCHIVE_BYTES = 64 * 1024 * 1024
MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_FILES = 5_000
MAX_NAME = 100  # what a plain tar header holds

_BLOCK = tarfile.BLOCKSIZE
_END = b"\0" * (2 * _BLOCK)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_SIZE = re.compile(rb"[0-7]{11}\0")
_TYPE_AT, _SIZE_AT = 156, slice(124, 136)  # of a tar header
_KINDS = {b"1": "a hard link", b"2": "a symbolic link", b"5": "a folder"}


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return an archive of the files, in the order they are given.

    Raises:
        PolicyError: a name or a size is not allowed.
    """
    if len(files) > MAX_FILES:
        raise PolicyError(f"there are {len(files):,} files, at most {MAX_FILES:,} are allowed")
    parts = []
    for name, data in files.items():
        if problem := _name_problem(name) or _size_problem(name, len(data)):
            raise PolicyError(f"the archive cannot hold {problem}")
        parts += [_header(name, len(data)), data, b"\0" * (-len(data) % _BLOCK)]
    packed = b"".join([*parts, _END])
    if len(packed) > MAX_ARCHIVE_BYTES:
        raise PolicyError(f"the archive would be over {MAX_ARCHIVE_BYTES // 2**20} MiB")
    return packed


def unpack(data: bytes) -> dict[str, bytes]:
    """Return the files of an archive that ``pack`` made, in its order.

    Raises:
        PolicyError: it is anything else; the message is a clause that says what and where.
    """
    if len(data) > MAX_ARCHIVE_BYTES:
        raise PolicyError(f"it is over {MAX_ARCHIVE_BYTES // 2**20} MiB")
    files: dict[str, bytes] = {}
    at = 0
    while len(data) - at != len(_END) or any(data[at:]):
        name, size = _read_header(data, at)
        if name in files:
            raise PolicyError(f"it holds {quoted(name)} twice")
        if len(files) >= MAX_FILES:
            raise PolicyError(f"it holds over {MAX_FILES:,} files")
        start, end = at + _BLOCK, at + _BLOCK + size
        at = end + -size % _BLOCK
        if at > len(data):
            raise PolicyError(f"it ends in the middle of {quoted(name)}")
        if any(data[end:at]):
            raise PolicyError(f"it is damaged behind {quoted(name)}")
        files[name] = data[start:end]
    return files


def _read_header(data: bytes, at: int) -> tuple[str, int]:
    block = data[at : at + _BLOCK]
    if len(block) < _BLOCK or not _SIZE.fullmatch(block[_SIZE_AT]):
        raise PolicyError(f"it is damaged or cut off at byte {at:,}" if at else "it is not a bundle")
    name = block[:MAX_NAME].rstrip(b"\0").decode("utf-8", "replace")
    kind, size = block[_TYPE_AT : _TYPE_AT + 1], int(block[_SIZE_AT][:-1], 8)
    if kind != tarfile.REGTYPE:
        raise PolicyError(
            f"it holds {_KINDS.get(kind, 'something that is not a plain file')}: {quoted(name)}"
        )
    if problem := _name_problem(name) or _size_problem(name, size):
        raise PolicyError(f"it holds {problem}")
    if block != _header(name, size):
        raise PolicyError(f"it is damaged at {quoted(name)}")
    return name, size


def _name_problem(name: str) -> str | None:
    if name.startswith("/") or ".." in name.split("/"):
        return f"a path that leads outside: {quoted(name)}"
    if len(name) > MAX_NAME or not _NAME.fullmatch(name):
        return f"a name that is not allowed: {quoted(name)}"
    return None


def _size_problem(name: str, size: int) -> str | None:
    too_large = size > MAX_FILE_BYTES
    return f"{quoted(name)}, which is over {MAX_FILE_BYTES // 2**20} MiB" if too_large else None


def _header(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    return entry.tobuf(tarfile.USTAR_FORMAT)
