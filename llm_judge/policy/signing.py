"""Ed25519 keys in files, and signatures made and checked with them.

Keys are PEM files: PKCS #8 for the private one, readable by its owner only, and SubjectPublicKeyInfo for
the public one. A key is named by its 32 bytes in hexadecimal. Knows nothing about what is signed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from llm_judge.errors import OutputError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PUBLIC_SUFFIX = ".pub"
_MAX_KEY_BYTES = 8192
_OTHERS = 0o077
_INSTALL = "install it with: pip install 'llm-judge[bundle]'"


def create_keys(path: Path) -> tuple[Path, str]:
    """Write a new private key to ``path`` (mode 0600) and its public key beside it.

    Returns:
        The path of the public key, and the key's name.

    Raises:
        OutputError: a file is there already or cannot be written; no half of a pair is left behind.
        UsageError: the package ``cryptography`` is not installed.
    """
    _check_installed()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    public_path = path.with_name(path.name + PUBLIC_SUFFIX)
    _write_new(public_path, public, 0o644)
    try:
        _write_new(path, private, 0o600)
    except OutputError:
        public_path.unlink()
        raise
    return public_path, key_name(key)


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key; raises ``UsageError`` if others can read it or it is not an Ed25519 key."""
    _check_installed()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _read(path)
    if path.stat().st_mode & _OTHERS:
        raise UsageError(f"private key `{path}` can be read by others", f"protect it: chmod 600 {path}")
    with suppress(ValueError, TypeError):  # TypeError: it is protected by a password
        key = load_pem_private_key(data, password=None)
        if isinstance(key, Ed25519PrivateKey):
            return key
    raise UsageError(
        f"`{path}` is not an Ed25519 private key without password",
        "make one: llm-judge policy bundle keygen FILE",
    )


def load_public_key(path: Path) -> str:
    """Read a public key and return its name; raises ``UsageError`` if it is not an Ed25519 key."""
    _check_installed()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    with suppress(ValueError):
        key = load_pem_public_key(_read(path))
        if isinstance(key, Ed25519PublicKey):
            return key.public_bytes_raw().hex()
    raise UsageError(
        f"`{path}` is not an Ed25519 public key", f"it ends in `{PUBLIC_SUFFIX}`, beside the key"
    )


def key_name(key: Ed25519PrivateKey) -> str:
    """Return the name of a key pair."""
    return key.public_key().public_bytes_raw().hex()


def is_signed(signature: bytes, message: bytes, name: str) -> bool:
    """Return whether the key with this name made the signature; raises ``UsageError`` without the package."""
    _check_installed()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(name)).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _check_installed() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise UsageError("keys and signatures need the package `cryptography`", _INSTALL) from None


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise UsageError(
                f"there is no key file `{path}`", "make one: llm-judge policy bundle keygen FILE"
            )
        with path.open("rb") as stream:
            return stream.read(_MAX_KEY_BYTES)
    except (OSError, ValueError):
        raise UsageError(f"key `{path}` cannot be read", "check its permissions") from None


def _write_new(path: Path, data: bytes, mode: int) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise OutputError(
            f"`{path}` is there already", "keys are never overwritten; choose a new name"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a usable name"
        raise OutputError(f"`{path}` cannot be written: {reason.lower()}") from None
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
