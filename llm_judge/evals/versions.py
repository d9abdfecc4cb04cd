"""What answered, beside the digests that a judge names: versions of libraries, and our own code.

Knows nothing about judges or runs.
"""

from __future__ import annotations

import functools
import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import llm_judge

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "rapidocr", "faster-whisper")
# What lies between the bytes of an item and an answer; policies and prompts have digests of their own.
_ANSWERING = ("compile.py", "content", "engines", "judge.py", "packaged.py", "prompt.py", "verdict.py")


def versions() -> dict[str, str]:
    """Return the version of Python, of this package and of each library that is installed."""
    return {"python": platform.python_version(), **dict(_installed())}


@functools.cache
def code_digest() -> str:
    """Return a SHA-256 of the code that turns an item into answers: a checkout has no version to go by."""
    digest = hashlib.sha256()
    root = Path(llm_judge.__file__).parent
    for path in sorted(each for name in _ANSWERING for each in _files(root / name)):
        digest.update(f"{path.relative_to(root)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for each in path.rglob("*"):
        if each.is_file() and "__pycache__" not in each.parts:
            yield each


def _installed() -> Iterator[tuple[str, str]]:
    for name in ("llm-judge", *_LIBRARIES):
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
