"""The hash chain: what an entry commits to, so that a change, a gap or a swap shows.

Each entry has up to two parts: what may be kept for as long as decisions are, and what content was put into
words (quotes, rationales, notes), which may have to go earlier. The chain commits to a salted digest of each
part and not to the part, so a part can be erased, with its salt, and the chain still holds:

    part digest = SHA-256(salt ‖ part)                        salt: 16 random bytes, part: canonical JSON
    hash        = SHA-256(canonical JSON of [previous hash, sequence, kind, id, recorded at,
                                             part digest, private part digest or null])

Without its salt a digest says nothing about what was erased, not even to who guesses the words. The first
entry follows sixty-four zeros. Knows nothing about databases.
"""

from __future__ import annotations

import hashlib
import json
import math
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

FIRST_PREVIOUS = "0" * 64
_SALT_BYTES = 16


class Kind(StrEnum):
    """What an entry says."""

    DECISION = "decision"
    REVIEW = "review"
    ERASURE = "erasure"


@dataclass(frozen=True, slots=True)
class Part:
    """Canonical JSON and the salt of its digest, in hexadecimal."""

    text: str
    salt: str

    @property
    def digest(self) -> str:
        """SHA-256 of the salt's bytes and the text, in hexadecimal."""
        return hashlib.sha256(bytes.fromhex(self.salt) + self.text.encode("ascii")).hexdigest()


def new_part(data: Any) -> Part:
    """Write data as canonical JSON, under a new salt."""
    return Part(canonical(data), secrets.token_hex(_SALT_BYTES))


def canonical(data: Any) -> str:
    """JSON with sorted keys, without white space, in ASCII; numbers that JSON lacks become null.

    ASCII, because neither NUL nor half a surrogate pair can be a text in every database.
    """
    try:
        return _dump(data)
    except ValueError:
        return _dump(_finite(data))


def link(
    previous: str, sequence: int, kind: str, id: str, recorded_at: str, digest: str, private: str | None
) -> str:
    """Return the hash of one entry, in hexadecimal; see the head of this page."""
    text = canonical([previous, sequence, kind, id, recorded_at, digest, private])
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _dump(data: Any) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
