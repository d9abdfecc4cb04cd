"""A bundle: guidelines, cases, overlays and prompts in one archive that cannot change unnoticed.

``manifest.json`` lists every file with its size and SHA-256; the manifest itself is sealed by an Ed25519
signature (``manifest.sig``) or, unsigned, by its digest (``manifest.sha256``). Opening checks all of it
before anything is used. Knows nothing about where bundles are kept or what the files mean.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llm_judge.errors import PolicyError
from llm_judge.policy.archive import MAX_FILE_BYTES, pack, unpack
from llm_judge.policy.signing import is_signed, key_name
from llm_judge.source import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MANIFEST, SIGNATURE, DIGEST = "manifest.json", "manifest.sig", "manifest.sha256"
MAX_SEQUENCE = 10**12 - 1

_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class BundledFile(_Strict):
    """One file: path in the bundle, size in bytes, SHA-256."""

    path: str
    size: Annotated[int, Field(ge=0, le=MAX_FILE_BYTES)]
    sha256: _Sha256


class Manifest(_Strict):
    """What a bundle says of itself.

    Attributes:
        sequence: rises from bundle to bundle; a lower one is older.
        created: ISO 8601, UTC.
        project_version: the llm-judge that built it.
        policy_digest: what judging by all its policies, without overlays, writes into records.
        signed_by: name of the key, None for an unsigned bundle.
        files: every file but the manifest and its seal, sorted by path.
    """

    schema_version: Annotated[Literal[1], Field(alias="schema")]
    sequence: Annotated[int, Field(ge=0, le=MAX_SEQUENCE)]
    created: Annotated[str, Field(max_length=40)]
    project_version: Annotated[str, Field(max_length=40)]
    policy_digest: _Sha256
    signed_by: _Sha256 | None
    files: tuple[BundledFile, ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle, checked as a whole.

    Attributes:
        name: what it was read from, for messages.
        manifest: what it says of itself.
        files: path → content.
        digest: SHA-256 of the archive.
    """

    name: str
    manifest: Manifest
    files: Mapping[str, bytes]
    digest: str

    def texts(self, folder: str, suffix: str) -> dict[str, str]:
        """Return path below ``folder/`` → text, sorted, of the files that end in ``suffix``.

        Raises:
            PolicyError: a file is not UTF-8.
        """
        chosen = {p: d for p, d in self.files.items() if p.startswith(f"{folder}/") and p.endswith(suffix)}
        try:
            return {path[len(folder) + 1 :]: data.decode("utf-8-sig") for path, data in chosen.items()}
        except UnicodeDecodeError:
            raise PolicyError(f"`{self.name}` holds a file that is not UTF-8") from None


def build_bundle(
    files: Mapping[str, bytes],
    *,
    sequence: int,
    created: str,
    project_version: str,
    policy_digest: str,
    key: Ed25519PrivateKey | None = None,
) -> bytes:
    """Return a bundle; equal arguments give equal bytes.

    Raises:
        PolicyError: a file name or size is not allowed.
    """
    names = sorted(files)
    listed = [
        {"path": name, "size": len(files[name]), "sha256": hashlib.sha256(files[name]).hexdigest()}
        for name in names
    ]
    manifest = {
        "schema": 1,
        "sequence": sequence,
        "created": created,
        "project_version": project_version,
        "policy_digest": policy_digest,
        "signed_by": key_name(key) if key else None,
        "files": listed,
    }
    text = json.dumps(manifest, indent=1).encode() + b"\n"
    seal = {SIGNATURE: key.sign(text)} if key else {DIGEST: hashlib.sha256(text).hexdigest().encode()}
    return pack({MANIFEST: text, **seal, **{name: files[name] for name in names}})


def open_bundle(data: bytes, name: str, trusted: str | None = None) -> Bundle:
    """Check a bundle whole and return it.

    Args:
        data: the archive.
        name: what to call it in messages.
        trusted: name of the key that must have signed it; None takes any key, or none.

    Raises:
        PolicyError: it is refused; the message says why in one line.
    """
    try:
        files = unpack(data)
        manifest = _sealed_manifest(files, trusted)
        _check_files(files, manifest)
    except PolicyError as error:
        raise PolicyError(f"bundle `{name}` is refused: {error.message}", hint=error.hint) from None
    return Bundle(name, manifest, files, hashlib.sha256(data).hexdigest())


def _sealed_manifest(files: dict[str, bytes], trusted: str | None) -> Manifest:
    """Take manifest and seal out of the files and check them; nothing of a manifest counts before."""
    order = list(files)
    text, signature, digest = (files.pop(each, None) for each in (MANIFEST, SIGNATURE, DIGEST))
    if text is None or order[0] != MANIFEST:
        raise PolicyError(f"it does not start with `{MANIFEST}`")
    if (signature is None) == (digest is None) or order[1] not in (SIGNATURE, DIGEST):
        raise PolicyError(f"it holds neither `{SIGNATURE}` nor `{DIGEST}` behind the manifest")
    if trusted and signature is None:
        raise PolicyError("it is not signed", hint="a key is configured: build it with --key")
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError:
        raise PolicyError(f"`{MANIFEST}` is damaged") from None
    if signature is None:
        if manifest.signed_by or digest != hashlib.sha256(text).hexdigest().encode():
            raise PolicyError(f"`{MANIFEST}` does not fit its digest")
        return manifest
    if trusted and manifest.signed_by != trusted:
        signer = (manifest.signed_by or "nobody")[:16]
        hint = "ask for a bundle signed by the right key, or configure the other key"
        raise PolicyError(f"it is signed by key `{signer}…`, not by `{trusted[:16]}…`", hint=hint)
    if manifest.signed_by is None or not is_signed(signature, text, manifest.signed_by):
        raise PolicyError("its signature does not fit its manifest")
    return manifest


def _check_files(files: Mapping[str, bytes], manifest: Manifest) -> None:
    listed = {entry.path: entry for entry in manifest.files}
    if missing := [path for path in listed if path not in files]:
        raise PolicyError(f"{quoted(missing[0])} is missing")
    if extra := [path for path in files if path not in listed]:
        raise PolicyError(f"{quoted(extra[0])} is not in its manifest")
    for path, data in files.items():
        if (len(data), hashlib.sha256(data).hexdigest()) != (listed[path].size, listed[path].sha256):
            raise PolicyError(f"{quoted(path)} was changed")
    if list(files) != sorted(listed):
        raise PolicyError("its files are not in order")
