"""The record store: put a decision once, get it back as it was, find it by what it said.

Every put is on the disk when it returns. Content is not kept unless the store is opened to keep it: then the
content itself, and quotes and rationales, which are content in other words. May be used by several threads,
and by several processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from llm_judge.errors import RecordConflict, StoreError, UsageError
from llm_judge.record import DecisionRecord
from llm_judge.store.chain import Kind
from llm_judge.store.database import WAIT_S, Database
from llm_judge.store.entries import New, append, find_entry, lock_head, parsed
from llm_judge.store.lookups import Filter, decision_row, finding_rows, matching
from llm_judge.store.record_document import Document, document_of, joined
from llm_judge.store.reviews import Review, add_review, reviews_of
from llm_judge.store.schema import ensure
from llm_judge.store.tables import CONTENTS, DECISIONS, ENTRIES, FINDINGS

PAGE = 50


class Put(StrEnum):
    """What became of a record."""

    STORED = "stored"
    KNOWN = "known"  # it was there, and says the same
    ERASED = "erased"  # it was there and was erased; it does not come back


@dataclass(frozen=True, slots=True)
class Erased:
    """Why there is nothing to read: the entry that says so, when it was written, and its reason."""

    sequence: int
    at: str
    reason: str


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """A decision in its place in the chain.

    Attributes:
        sequence: from 1, without gaps over all entries of the store.
        decision_id, recorded_at, hash: as chained.
        record: as it was put, less what is not kept; None where it was erased.
        erased: why, where it was.
        reviews: what people said of it, oldest first.
        keeps_content: whether the content itself is in the store.
    """

    sequence: int
    decision_id: str
    recorded_at: str
    hash: str
    record: Mapping[str, Any] | None
    erased: Erased | None = None
    reviews: tuple[Review, ...] = ()
    keeps_content: bool = False


class DecisionStore:
    """Use as a context manager, or close it.

    Args:
        where: as for ``Database``.
        store_content: whether content, quotes and rationales are kept.
        wait_s: longest wait for a lock or a lost server, in seconds.
        create: whether an empty database is set up; otherwise it is refused.

    Raises:
        UsageError, StoreError, StoreUnavailable: as ``Database`` and ``ensure`` do.
    """

    def __init__(
        self, where: str | Path, *, store_content: bool = False, wait_s: float = WAIT_S, create: bool = True
    ) -> None:
        self.store_content = store_content
        self.database = Database(where, wait_s=wait_s)
        try:
            ensure(self.database, create=create)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> DecisionStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()

    def put(self, record: DecisionRecord | Mapping[str, Any], content: bytes | None = None) -> Put:
        """Keep a record for good.

        The same decision may be put again, at other times and by other processes: it is kept once, as it was
        first put. Times (``created_at``, ``timings_ms``) and words (quotes, rationales) may differ.

        Args:
            record: ours, or as JSON.
            content: what was judged, as bytes; kept only where the store keeps content, and not of an item
                that could not be judged.

        Raises:
            RecordConflict: another decision is stored under this id.
            UsageError: it is no record, or ``content`` is not what was judged.
            StoreUnavailable: it could not be kept; nothing was written, put it again.
        """
        (result,) = self.put_many([(record, content)])
        if isinstance(result, RecordConflict):
            raise result
        return result

    def put_many(
        self, records: Iterable[tuple[DecisionRecord | Mapping[str, Any], bytes | None]]
    ) -> list[Put | RecordConflict]:
        """Put several in one transaction, which is much faster; all of them are kept, or none.

        Returns:
            What became of each; a conflict is returned and not raised, and the others are kept.

        Raises:
            As ``put``, for the first that is wrong; then none is kept.
        """
        prepared = [self._prepared(record, content) for record, content in records]
        return self.database.write(lambda connection: _put(connection, prepared))

    def get(self, decision_id: str) -> StoredDecision | None:
        """Return one decision with its reviews, erased or not; None where there is none."""

        def work(connection: Connection) -> StoredDecision | None:
            row = find_entry(connection, Kind.DECISION, decision_id)
            return None if row is None else _stored(connection, row)

        return self.database.read(work)

    def latest(self, count: int = PAGE) -> list[StoredDecision]:
        """Return the decisions that were put last, newest first, without erased ones."""
        return self.find(limit=count)

    def find(
        self, wanted: Filter | None = None, *, before: int | None = None, limit: int = PAGE
    ) -> list[StoredDecision]:
        """Return a page of decisions, newest first, without erased ones.

        Args:
            wanted: all where left out.
            before: the ``sequence`` of the last one of the page before; the first page where left out.
            limit: at most so many.
        """
        query = matching(wanted or Filter()).order_by(ENTRIES.c.sequence.desc()).limit(limit)
        if before is not None:
            query = query.where(ENTRIES.c.sequence < before)
        return self.database.read(
            lambda connection: [_stored(connection, row) for row in connection.execute(query).all()]
        )

    def content(self, decision_id: str) -> bytes | None:
        """Return what was judged; None where it is not kept, or there is no such decision."""
        query = (
            select(CONTENTS.c.data)
            .join(DECISIONS, DECISIONS.c.content_sha256 == CONTENTS.c.sha256)
            .where(DECISIONS.c.decision_id == decision_id)
        )
        return self.database.read(lambda connection: connection.execute(query).scalar_one_or_none())

    def check(self) -> None:
        """Take the turn to write and give it back, so that whoever could not put learns it.

        A full disk does not show: nothing is written.

        Raises:
            StoreUnavailable, StoreError: as ``Database.write`` does.
        """
        self.database.write(lock_head)

    def add_review(self, review: Review) -> Review:
        """Keep what a person says of a decision; raises as ``reviews.add_review`` does."""
        return add_review(self.database, review)

    def _prepared(
        self, record: DecisionRecord | Mapping[str, Any], content: bytes | None
    ) -> tuple[Document, bytes | None]:
        document = document_of(record)
        digest = document.kept["item"].get("sha256")
        if digest is None:
            content = None
        if content is not None and hashlib.sha256(content).hexdigest() != digest:
            raise UsageError(
                f"the content given for decision `{document.decision_id}` is not what was judged",
                "its SHA-256 is not the one in the record",
            )
        if not self.store_content:
            return Document(document.kept, None), None
        return document, content


def _put(
    connection: Connection, prepared: Sequence[tuple[Document, bytes | None]]
) -> list[Put | RecordConflict]:
    lock_head(connection)
    ids = {document.decision_id for document, _ in prepared}
    query = select(ENTRIES.c.id, ENTRIES.c.payload).where(
        ENTRIES.c.kind == Kind.DECISION, ENTRIES.c.id.in_(ids)
    )
    known = {row.id: parsed(row.payload) for row in connection.execute(query)}
    results: list[Put | RecordConflict] = []
    fresh = []
    for document, content in prepared:
        if document.decision_id in known:
            results.append(_compare(document, known[document.decision_id]))
            continue
        known[document.decision_id] = document.kept
        fresh.append((document, content))
        results.append(Put.STORED)
    _insert(connection, fresh)
    return results


def _compare(document: Document, kept: Mapping[str, Any] | None) -> Put | RecordConflict:
    if kept is None:
        return Put.ERASED
    if document.says_the_same(kept):
        return Put.KNOWN
    return RecordConflict(
        f"another record is stored as decision `{document.decision_id}`",
        "the stored one stays; see it with `llm-judge records show`",
    )


def _insert(connection: Connection, fresh: Sequence[tuple[Document, bytes | None]]) -> None:
    entries = [New(Kind.DECISION, d.decision_id, d.kept, d.private) for d, _ in fresh]
    decisions, findings = [], []
    for sequence, (document, content) in zip(append(connection, entries), fresh, strict=True):
        digest = None if content is None else str(document.kept["item"]["sha256"])
        if content is not None and not _has_content(connection, digest):
            connection.execute(insert(CONTENTS), {"sha256": digest, "data": content})
        decisions.append({**decision_row(sequence, document.kept), "content_sha256": digest})
        findings += finding_rows(sequence, document.kept)
    for table, rows in ((DECISIONS, decisions), (FINDINGS, findings)):
        if rows:
            connection.execute(insert(table), rows)


def _has_content(connection: Connection, digest: str | None) -> bool:
    query = select(CONTENTS.c.sha256).where(CONTENTS.c.sha256 == digest)
    return connection.execute(query).first() is not None


def _stored(connection: Connection, row: Row[Any]) -> StoredDecision:
    kept, private = parsed(row.payload), parsed(row.private)
    content = select(DECISIONS.c.content_sha256).where(DECISIONS.c.sequence == row.sequence)
    return StoredDecision(
        sequence=row.sequence,
        decision_id=row.id,
        recorded_at=row.recorded_at,
        hash=row.hash,
        record=None if kept is None else joined(kept, private),
        erased=_erased(connection, row),
        reviews=tuple(reviews_of(connection, row.id)),
        keeps_content=connection.execute(content).scalar_one_or_none() is not None,
    )


def _erased(connection: Connection, row: Row[Any]) -> Erased | None:
    if row.erased_by is None:
        return None
    by = connection.execute(select(ENTRIES).where(ENTRIES.c.sequence == row.erased_by)).one_or_none()
    payload = None if by is None else parsed(by.payload)
    if by is None or payload is None:
        raise StoreError("an erasure is not in the record store", "`llm-judge records verify` says where")
    return Erased(by.sequence, by.recorded_at, payload["reason"])
