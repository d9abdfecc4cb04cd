"""API keys: a file of hashes, scopes, expiry and quotas. The keys themselves are shown once and kept nowhere.

A key is ``lj_ID_SECRET`` with 256 random bits in SECRET, so a plain SHA-256 of it cannot be turned back.
Changes are made under a lock and seen by a running service at its next request. Knows nothing about HTTP.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from llm_judge.durable import reason_of, replace_file
from llm_judge.errors import OutputError, UsageError
from llm_judge.json_file import read_json

_HEX = r"^[0-9a-f]{64}$"
_AGAIN = "make one: llm-judge serve keys create NAME --keys FILE"


class Scope(StrEnum):
    """What a key may do."""

    JUDGE = "judge"  # /v1/judge, /v1/judge/batch, /v1/moderations
    POLICIES = "policies"  # /v1/policies
    METRICS = "metrics"  # /metrics
    DECISIONS = "decisions"  # /v1/decisions/{id} and its replay: what is kept, content in it too
    REVIEWS = "reviews"  # /v1/decisions/{id}/reviews
    ADMIN = "admin"  # /v1/admin: what judges, and which share of the items


class Key(BaseModel):
    """One key, without its secret.

    Attributes:
        id: public; stands in logs.
        name: for people.
        sha256: hex digest of the whole key.
        created, expires, revoked: UTC; None where it never was or will be.
        per_minute, per_day: items it may have judged; None for no limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    name: Annotated[str, Field(min_length=1, max_length=80)]
    sha256: Annotated[str, Field(pattern=_HEX)]
    scopes: tuple[Scope, ...]
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    per_minute: Annotated[int, Field(ge=1)] | None = None
    per_day: Annotated[int, Field(ge=1)] | None = None

    def state(self, now: datetime) -> Literal["good", "expired", "revoked"]:
        """Whether it opens anything at a moment."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "good"


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = Field(default=1, alias="schema")
    keys: tuple[Key, ...] = ()


_SHAPE = TypeAdapter(_File)


def read_keys(path: Path) -> tuple[Key, ...]:
    """Return the keys of a file; raises ``UsageError`` where it cannot be read or is no such file."""
    return read_json(path, _SHAPE, "a file of API keys", _AGAIN).keys


def create_key(
    path: Path,
    name: str,
    scopes: Sequence[Scope],
    days: int | None,
    per_minute: int | None = None,
    per_day: int | None = None,
) -> tuple[Key, str]:
    """Add a key to a file, made if need be.

    Returns:
        The key as kept, and the secret to hand out.

    Raises:
        UsageError: the file is there and is no file of keys, or the name is not usable.
        OutputError: it cannot be written.
    """
    if not 1 <= len(name) <= 80 or not name.isprintable():
        raise UsageError("a key needs a name of 1 to 80 printable characters")
    with _changing(path) as (keys, write):
        key, secret = _made(name, tuple(dict.fromkeys(scopes)), days, per_minute, per_day)
        write((*keys, key))
    return key, secret


def revoke_key(path: Path, id: str) -> Key:
    """Make a key useless from now on; raises ``UsageError`` where there is none of that id."""
    with _changing(path) as (keys, write):
        old = _named(keys, id, path)
        key = old.model_copy(update={"revoked": old.revoked or datetime.now(UTC)})
        write(tuple(key if each.id == id else each for each in keys))
    return key


def rotate_key(path: Path, id: str, grace: timedelta, days: int | None) -> tuple[Key, str]:
    """Make a key with the same name, scopes and quotas; the old one expires after a grace.

    Raises:
        UsageError: there is no key of that id, or it is useless already.
    """
    with _changing(path) as (keys, write):
        old, now = _named(keys, id, path), datetime.now(UTC)
        if (state := old.state(now)) != "good":
            raise UsageError(f"key `{id}` is {state}", "create a new one")
        ends = min(now + grace, old.expires) if old.expires else now + grace
        key, secret = _made(old.name, old.scopes, days, old.per_minute, old.per_day)
        write((*(each.model_copy(update={"expires": ends}) if each is old else each for each in keys), key))
    return key, secret


def _made(
    name: str, scopes: tuple[Scope, ...], days: int | None, per_minute: int | None, per_day: int | None
) -> tuple[Key, str]:
    id, now = secrets.token_hex(6), datetime.now(UTC).replace(microsecond=0)
    secret = f"lj_{id}_{secrets.token_urlsafe(32)}"
    key = Key(
        id=id,
        name=name,
        sha256=_hash(secret),
        scopes=scopes,
        created=now,
        expires=None if days is None else now + timedelta(days=days),
        per_minute=per_minute,
        per_day=per_day,
    )
    return key, secret


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _named(keys: Sequence[Key], id: str, path: Path) -> Key:
    found = next((key for key in keys if key.id == id), None)
    if found is None:
        raise UsageError(f"there is no key `{id}` in `{path}`", "llm-judge serve keys list shows their ids")
    return found


@contextmanager
def _changing(path: Path) -> Iterator[tuple[tuple[Key, ...], Callable[[tuple[Key, ...]], None]]]:
    """Give the keys and a way to write others, while no other process may change them."""
    lock = path.with_name(path.name + ".lock")
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except (OSError, ValueError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else "not a usable name"
        raise OutputError(f"cannot write `{path}`: {reason}", "choose another --keys") from None

    def write(keys: tuple[Key, ...]) -> None:
        data = _File(schema=1, keys=keys)
        replace_file(path, data.model_dump_json(by_alias=True, indent=1) + "\n", mode=0o600)

    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield (read_keys(path) if os.path.lexists(path) else ()), write
    finally:
        os.close(handle)


class KeyRing:
    """The keys of a file, read again whenever it changes.

    Args:
        path: the file.

    Raises:
        UsageError: it cannot be read or is no file of keys.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._keys: dict[str, Key] = {}
        self._read_if_changed()

    def find(self, secret: str) -> Key | None:
        """Return the key that this is, whatever its state; None for anything else.

        Raises:
            UsageError: the file was changed and cannot be read any more: then no key is good.
        """
        self._read_if_changed()
        parts = secret.split("_", 2)
        key = self._keys.get(parts[1]) if len(parts) == 3 else None
        # Compared even where there is no such key, so that time does not tell which ids exist.
        same = hmac.compare_digest(key.sha256 if key else "0" * 64, _hash(secret))
        return key if same else None

    def _read_if_changed(self) -> None:
        try:
            status = self._path.stat()
        except OSError as error:
            raise UsageError(f"the keys `{self._path}` cannot be read: {reason_of(error)}", _AGAIN) from None
        seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        if seen != self._seen:
            self._keys = {key.id: key for key in read_keys(self._path)}
            self._seen = seen
