"""Erasure: the words go, the chain stays. An entry of its own says what went, when and why.

What is erased is a decision with its reviews (*all*), or the content, quotes, rationales and notes only
(*content*), so that content may have to go sooner than decisions. The entry's place, id, time and digests
stay; nobody can tell from them what was erased, and what was erased does not come back by another ``put``.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from sqlalchemy import Connection, Select, delete, or_, select, update

from llm_judge.store.chain import Kind
from llm_judge.store.database import Database
from llm_judge.store.entries import New, append, find_entry, lock_head, the_head
from llm_judge.store.lookups import Filter, matching
from llm_judge.store.tables import CONTENTS, DECISIONS, ENTRIES, FINDINGS, REVIEWS

_BATCH = 500  # decisions of one transaction, and of one erasure entry


class Scope(StrEnum):
    """How much goes."""

    ALL = "all"
    CONTENT = "content"


@dataclass(frozen=True, slots=True)
class Purged:
    """How much went: decisions, and reviews of them."""

    decisions: int = 0
    reviews: int = 0


def count(database: Database, wanted: Filter, scope: Scope) -> int:
    """How many decisions ``purge`` would erase."""
    query = _to_erase(wanted, scope)
    return database.read(lambda connection: len(connection.execute(query).all()))


def purge(database: Database, wanted: Filter, scope: Scope, reason: str) -> Purged:
    """Erase every decision that matches; safe to stop and to run again.

    Args:
        wanted: which ones.
        scope: how much of them.
        reason: kept for good, so it must not name the person it is about.

    Raises:
        StoreUnavailable: part of them may be erased; run it again.
    """
    decisions = reviews = after = 0
    end = database.read(the_head).sequence  # what is put meanwhile waits for the next purge
    while after < end:
        batch = partial(_erase_batch, wanted=wanted, scope=scope, reason=reason, id=uuid.uuid4().hex)
        done, after = database.write(partial(batch, after=after, end=end))
        decisions += done.decisions
        reviews += done.reviews
    database.checkpoint()
    return Purged(decisions, reviews)


def _erase_batch(
    connection: Connection, *, wanted: Filter, scope: Scope, reason: str, id: str, after: int, end: int
) -> tuple[Purged, int]:
    """Erase some of the entries after ``after``, up to ``end``; returns how many and how far it came."""
    lock_head(connection)
    if find_entry(connection, Kind.ERASURE, id) is not None:
        return Purged(), after  # this is a second go, and the first was kept
    within = ENTRIES.c.sequence.between(after + 1, end)
    rows = connection.execute(_to_erase(wanted, scope).where(within).limit(_BATCH)).all()
    if not rows:
        return Purged(), end
    decisions = [row.sequence for row in rows]
    of = select(REVIEWS.c.sequence).where(REVIEWS.c.decision_id.in_([row.id for row in rows]))
    reviews = list(connection.execute(of).scalars())
    gone = sorted([*decisions, *reviews])
    payload = {"scope": scope.value, "sequences": gone, "reason": reason}
    (entry,) = append(connection, [New(Kind.ERASURE, id, payload)])
    if scope is Scope.ALL:
        _drop(connection, gone, entry)
    else:
        _drop_private(connection, gone)
    _drop_contents(connection)
    return Purged(len(decisions), len(reviews)), decisions[-1]


def _to_erase(wanted: Filter, scope: Scope) -> Select[Any]:
    query = matching(wanted).with_only_columns(ENTRIES.c.sequence, ENTRIES.c.id)
    if scope is Scope.CONTENT:
        noted = (
            select(REVIEWS.c.decision_id)
            .join(ENTRIES, ENTRIES.c.sequence == REVIEWS.c.sequence)
            .where(ENTRIES.c.private.is_not(None))
        )
        query = query.where(
            or_(
                ENTRIES.c.private.is_not(None),
                DECISIONS.c.content_sha256.is_not(None),
                DECISIONS.c.decision_id.in_(noted),
            )
        )
    return query.order_by(ENTRIES.c.sequence)


def _drop(connection: Connection, gone: Sequence[int], by: int) -> None:
    for table in (FINDINGS, REVIEWS, DECISIONS):
        connection.execute(delete(table).where(table.c.sequence.in_(gone)))
    empty = {"payload": None, "payload_salt": None, "private": None, "private_salt": None, "erased_by": by}
    connection.execute(update(ENTRIES).where(ENTRIES.c.sequence.in_(gone)).values(**empty))


def _drop_private(connection: Connection, gone: Sequence[int]) -> None:
    connection.execute(update(DECISIONS).where(DECISIONS.c.sequence.in_(gone)).values(content_sha256=None))
    empty = {"private": None, "private_salt": None}
    connection.execute(update(ENTRIES).where(ENTRIES.c.sequence.in_(gone)).values(**empty))


def _drop_contents(connection: Connection) -> None:
    """Contents that no decision keeps any more; the same content may have been judged twice."""
    kept = select(DECISIONS.c.sequence).where(DECISIONS.c.content_sha256 == CONTENTS.c.sha256)
    connection.execute(delete(CONTENTS).where(~kept.exists()))
