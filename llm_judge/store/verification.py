"""Verification: every entry, link, look-up row and content is compared with what it must be.

Finds what was changed, taken away, put in or swapped by anyone who does not rebuild the whole chain. Against
who does, keep the end of the chain (sequence and hash) elsewhere and give it as ``anchor``.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, func, or_, select, text

from llm_judge.errors import StoreError
from llm_judge.store.chain import FIRST_PREVIOUS, Kind, Part, link
from llm_judge.store.database import Database
from llm_judge.store.entries import parsed, the_head
from llm_judge.store.erasure import Scope
from llm_judge.store.lookups import decision_row, finding_rows
from llm_judge.store.tables import CONTENTS, DECISIONS, ENTRIES, FINDINGS, REVIEWS

_BATCH = 500
MOST_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and with which entry; 0 for the store as a whole."""

    sequence: int
    what: str


@dataclass(slots=True)
class Verification:
    """What was looked at and what is wrong with it.

    Attributes:
        kinds: entries by kind, erased ones included.
        erased: entries that are erased.
        contents: contents that are kept.
        sequence, hash: the end of the chain, to be kept elsewhere.
        problems: the first hundred.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    erased: int = 0
    contents: int = 0
    sequence: int = 0
    hash: str = FIRST_PREVIOUS
    problems: list[Problem] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def wrong(self, sequence: int, what: str) -> None:
        """Note a problem."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(sequence, what))


def verify(database: Database, anchor: tuple[int, str] | None = None) -> Verification:
    """Look at everything, in one transaction that sees one state.

    Args:
        anchor: sequence and hash of an entry, noted before and kept elsewhere.

    Raises:
        StoreError, StoreUnavailable: the database cannot be read.
    """
    return database.read(lambda connection: _Walk(connection, anchor).run())


class _Walk:
    """One pass over the chain, and what it must remember until the end."""

    def __init__(self, connection: Connection, anchor: tuple[int, str] | None) -> None:
        self.connection = connection
        self.anchor = anchor
        self.found = Verification()
        self.missing: dict[int, set[str]] = {}  # parts that no erasure has accounted for yet
        self.erased_by: dict[int, int] = {}
        self.rows: Counter[str] = Counter()  # look-up rows that must be there

    def run(self) -> Verification:
        """Look at everything."""
        self._check_file()
        for rows in self._batches():
            lookups = _Lookups()
            with self._readable(rows[0].sequence):
                lookups.read(self.connection, rows[0].sequence, rows[-1].sequence)
            for row in rows:
                with self._readable(row.sequence):
                    self._check_link(row)
                with self._readable(row.sequence):
                    self._check_parts(row)
                    self._check_lookups(row, lookups)
        self._check_end()
        for sequence, parts in self.missing.items():
            self.found.wrong(sequence, f"its {' and '.join(sorted(parts))} is gone and no erasure says why")
        self._check_counts()
        self._check_contents()
        return self.found

    @contextmanager
    def _readable(self, sequence: int) -> Iterator[None]:
        """A column may hold anything after somebody wrote to it."""
        try:
            yield
        except (ValueError, TypeError, KeyError, AttributeError, StoreError):
            self.found.wrong(sequence, "it cannot be read")

    def _check_file(self) -> None:
        if self.connection.dialect.name == "sqlite":
            said = self.connection.execute(text("PRAGMA integrity_check(1)")).scalar_one()
            if said != "ok":
                self.found.wrong(0, "the file is damaged")

    def _batches(self) -> Iterator[Sequence[Row[Any]]]:
        query = select(ENTRIES).order_by(ENTRIES.c.sequence).limit(_BATCH)
        rows = self.connection.execute(query).all()
        while rows:
            yield rows
            rows = self.connection.execute(query.where(ENTRIES.c.sequence > rows[-1].sequence)).all()

    def _check_link(self, row: Row[Any]) -> None:
        found = self.found
        expected, previous = found.sequence + 1, found.hash
        found.sequence, found.hash = row.sequence, row.hash
        found.kinds[row.kind] += 1
        if row.sequence != expected:
            found.wrong(row.sequence, f"entry {expected} is missing")
        if row.previous_hash != previous:
            found.wrong(row.sequence, "it does not follow the entry before it")
        place = (row.previous_hash, row.sequence, row.kind, row.id, row.recorded_at)
        if link(*place, row.payload_digest, row.private_digest) != row.hash:
            found.wrong(row.sequence, "its hash is not that of what it holds")
        if self.anchor is not None and self.anchor[0] == row.sequence and self.anchor[1] != row.hash:
            found.wrong(row.sequence, "its hash is not the one that was noted elsewhere")

    def _check_parts(self, row: Row[Any]) -> None:
        for name in ("payload", "private"):
            words, salt, digest = (getattr(row, f"{name}{end}") for end in ("", "_salt", "_digest"))
            if words is None and digest is not None:
                self.missing.setdefault(row.sequence, set()).add(name)
            if words is None and salt is not None:
                self.found.wrong(row.sequence, f"its {name} is gone and the salt is not")
            if words is not None and not _matches(words, salt, digest):
                self.found.wrong(row.sequence, f"its {name} was changed")
        if row.payload is None:
            self.found.erased += 1
        if row.erased_by is not None:
            self.erased_by[row.sequence] = row.erased_by
        if row.kind == Kind.ERASURE and row.payload is not None:
            self._account_for(row)

    def _account_for(self, erasure: Row[Any]) -> None:
        """Take what an erasure names off the list of what is missing."""
        said = parsed(erasure.payload)
        gone = ("payload", "private") if said["scope"] == Scope.ALL else ("private",)
        kept = or_(*(ENTRIES.c[name].is_not(None) for name in gone))
        query = select(ENTRIES.c.sequence).where(ENTRIES.c.sequence.in_(said["sequences"]), kept)
        for sequence in self.connection.execute(query).scalars():
            self.found.wrong(sequence, f"entry {erasure.sequence} erased it, and it is still there")
        for sequence in said["sequences"]:
            left = self.missing.get(sequence, set()) - set(gone)
            self.missing.pop(sequence, None)
            if left:
                self.missing[sequence] = left
            by = self.erased_by.pop(sequence, None) if said["scope"] == Scope.ALL else erasure.sequence
            if by != erasure.sequence:
                self.found.wrong(sequence, "it names another erasure than the one that names it")

    def _check_lookups(self, row: Row[Any], lookups: _Lookups) -> None:
        """What an entry is looked up by follows from it; nothing is looked up by what is erased."""
        there = lookups.of(row.sequence)
        expected = _expected(row, there)
        for name, found in there.items():
            self.rows[name] += len(expected.get(name, ()))
            if found != expected.get(name, []):
                self.found.wrong(row.sequence, f"its row in `{name}` does not follow from it")

    def _check_end(self) -> None:
        found, head = self.found, the_head(self.connection)
        if (head.sequence, head.hash) != (found.sequence, found.hash):
            found.wrong(0, f"the chain ends at entry {found.sequence} and should at {head.sequence}")
        if self.anchor is not None and self.anchor[0] > found.sequence:
            found.wrong(0, f"the chain ends before entry {self.anchor[0]}, which was noted elsewhere")
        for sequence in self.erased_by:
            found.wrong(sequence, "it names an erasure that does not name it")

    def _check_counts(self) -> None:
        for table in _LOOKUPS:
            number = self.connection.execute(select(func.count()).select_from(table)).scalar_one()
            if number != self.rows[table.name]:
                self.found.wrong(
                    0, f"`{table.name}` has {number} rows and should have {self.rows[table.name]}"
                )

    def _check_contents(self) -> None:
        for sha256, data in self.connection.execute(select(CONTENTS.c.sha256, CONTENTS.c.data)):
            self.found.contents += 1
            if not isinstance(data, bytes) or hashlib.sha256(data).hexdigest() != sha256:
                self.found.wrong(0, f"the content {str(sha256)[:64]} was changed")
        kept = set(self.connection.execute(select(CONTENTS.c.sha256)).scalars())
        named = set(self.connection.execute(select(DECISIONS.c.content_sha256)).scalars()) - {None}
        for digest in named - kept:
            self.found.wrong(0, f"the content {str(digest)[:64]} is missing")
        for digest in kept - named:
            self.found.wrong(0, f"the content {str(digest)[:64]} belongs to no decision")


_LOOKUPS = (DECISIONS, FINDINGS, REVIEWS)


class _Lookups:
    """The look-up rows of some entries, by entry and table."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, Any], list[dict[str, Any]]] = {}

    def read(self, connection: Connection, first: int, last: int) -> None:
        """Read the rows of the entries from ``first`` to ``last``."""
        for table in _LOOKUPS:
            query = select(table).where(table.c.sequence.between(first, last))
            for row in connection.execute(query).mappings():
                self._rows.setdefault((table.name, row["sequence"]), []).append(dict(row))
        for rows in self._rows.values():
            rows.sort(key=_rule)

    def of(self, sequence: int) -> dict[str, list[dict[str, Any]]]:
        """All rows of one entry, by table."""
        return {table.name: self._rows.get((table.name, sequence), []) for table in _LOOKUPS}


def _expected(row: Row[Any], there: Mapping[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    if row.payload is None:
        return {}
    data = parsed(row.payload)
    if row.kind == Kind.REVIEW:
        return {REVIEWS.name: [{"sequence": row.sequence, "decision_id": data["decision_id"]}]}
    if row.kind != Kind.DECISION:
        return {}
    decision = decision_row(row.sequence, data)
    digest = data["item"].get("sha256")
    keeps = any(found["content_sha256"] == digest for found in there[DECISIONS.name])
    decision["content_sha256"] = digest if keeps else None  # the one thing that the record leaves open
    return {
        DECISIONS.name: [decision],
        FINDINGS.name: sorted(finding_rows(row.sequence, data), key=_rule),
    }


def _rule(row: Mapping[str, Any]) -> str:
    return str(row.get("rule"))


def _matches(words: str, salt: str | None, digest: str | None) -> bool:
    return salt is not None and Part(words, salt).digest == digest
