"""A folder that keeps bundles and says which one is in force.

A new bundle is checked whole, written beside the others, and put in force by renaming one small pointer
file; whatever goes wrong before that, the last good bundle stays in force. Older bundles stay on disk.
The first trusted public key given is kept in the folder, and every later bundle must be signed by it.
Knows nothing about what bundles hold.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from llm_judge.errors import OutputError, PolicyError, UsageError
from llm_judge.policy.archive import MAX_ARCHIVE_BYTES
from llm_judge.policy.bundle import Bundle, open_bundle
from llm_judge.policy.signing import load_public_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_POINTER, _KEY, _LOCK = "in_force", "trusted.pub", ".lock"
_STORED = re.compile(r"(\d{12})-[0-9a-f]{16}\.tar")


class BundleStore:
    """The bundles of one folder.

    Args:
        folder: where they are; made by the first ``install``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def in_force(self) -> Bundle:
        """Return the bundle in force, checked again.

        Raises:
            UsageError: no bundle was ever installed here.
            PolicyError: the bundle was changed or is gone; an older one is never used in its place.
        """
        stored = self._pointed()
        if stored is None:
            hint = f"install one: llm-judge policy bundle install FILE --into {self.folder}"
            raise UsageError(f"no bundle is in force in `{self.folder}`", hint)
        path = self.folder / stored
        data = read_bundle(path)
        if _stored_name(data, int(stored[:12])) != stored:
            hint = "install a good bundle with a higher sequence"
            raise PolicyError(f"the bundle in force, `{path}`, was changed", hint=hint)
        return open_bundle(data, str(path), self.trusted_key())

    def sequence(self) -> int | None:
        """Return the sequence of the bundle in force, unchecked, or None where none is.

        Raises:
            PolicyError: the folder does not say.
        """
        stored = self._pointed()
        return None if stored is None else int(stored[:12])

    def trusted_key(self) -> str | None:
        """Return the name of the key that must sign bundles here, None where any may; see ``signing``."""
        path = self.folder / _KEY
        return load_public_key(path) if os.path.lexists(path) else None

    def install(
        self, path: Path, key: Path | None = None, accept: Callable[[Bundle], None] = lambda _: None
    ) -> Bundle:
        """Check a bundle and put it in force.

        Args:
            path: the bundle.
            key: public key that must have signed it; kept for later bundles.
            accept: a last check of what it holds; what it raises refuses the bundle.

        Returns:
            The bundle that is now in force. Installing it again changes nothing.

        Raises:
            PolicyError: the bundle is refused, or is older than the one in force.
            UsageError: the key is not the one this folder trusts.
            OutputError: the folder cannot be written.
        """
        data = read_bundle(path)
        with self._locked():
            trusted = self._agreed_key(key)
            bundle = open_bundle(data, str(path), trusted)
            stored = _stored_name(data, bundle.manifest.sequence)
            self._check_not_older(bundle, stored)
            accept(bundle)
            if key is not None:
                self._write(_KEY, key.read_bytes())
            self._write(stored, data)
            self._write(_POINTER, f"{stored}\n".encode())
        return bundle

    def _pointed(self) -> str | None:
        path = self.folder / _POINTER
        try:
            stored = path.read_text("ascii", "replace").strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PolicyError(f"`{path}` cannot be read: {(error.strerror or '').lower()}") from None
        if not _STORED.fullmatch(stored):
            raise PolicyError(
                f"`{path}` was changed: it does not name a bundle", hint="install a bundle again"
            )
        return stored

    def _agreed_key(self, key: Path | None) -> str | None:
        kept = self.trusted_key()
        if key is None:
            return kept
        wanted = load_public_key(key)
        if kept not in (None, wanted):
            hint = f"to trust another key from now on, replace `{self.folder / _KEY}` by hand"
            raise UsageError(f"`{self.folder}` trusts another key than `{key}`", hint)
        return wanted

    def _check_not_older(self, bundle: Bundle, stored: str) -> None:
        current = self._pointed()
        if current is None or current == stored:
            return
        sequence, in_force = bundle.manifest.sequence, int(current[:12])
        if sequence <= in_force:
            how = "older than" if sequence < in_force else "another bundle with the sequence of"
            raise PolicyError(
                f"bundle `{bundle.name}` is refused: it is {how} the one in force "
                f"(sequence {sequence}, in force {in_force})",
                hint="build it with a higher --sequence",
            )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one install at a time through."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except (OSError, ValueError) as error:
            raise _unwritable(self.folder, error) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _write(self, name: str, data: bytes) -> None:
        """Write a file so that after a crash it is there whole or not at all."""
        path, part = self.folder / name, self.folder / f".{name}.part"
        try:
            with part.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(path)
            handle = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise _unwritable(path, error) from None


def read_bundle(path: Path) -> bytes:
    """Return the bytes of a bundle file, one more than the largest allowed at most.

    Raises:
        PolicyError: there is no such file, or it cannot be read.
    """
    try:
        if not path.is_file():
            raise PolicyError(f"there is no bundle `{path}`")
        with path.open("rb") as stream:
            return stream.read(MAX_ARCHIVE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a usable name"
        raise PolicyError(f"bundle `{path}` cannot be read: {reason.lower()}") from None


def _stored_name(data: bytes, sequence: int) -> str:
    return f"{sequence:012d}-{hashlib.sha256(data).hexdigest()[:16]}.tar"


def _unwritable(path: Path, error: OSError | ValueError) -> OutputError:
    reason = getattr(error, "strerror", None) or "not a usable name"
    return OutputError(f"`{path}` cannot be written: {reason.lower()}", "choose a folder you may write to")
