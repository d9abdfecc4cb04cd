"""The tables. ``entries`` is the truth; the others are looked up by and follow from it.

Verification compares them with it, so a change in either shows. The migrations build exactly these (a test
compares). Knows nothing about connections.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)
# SQLite gives only INTEGER the place of the row itself.
Sequence = BigInteger().with_variant(Integer(), "sqlite")
Digest = String(64)


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC, in databases with and without time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Write UTC; SQLite keeps no zone."""
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:  # noqa: ARG002
        """Read UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# The end of the chain, and the row that writers take turns by.
HEAD = Table(
    "chain_head",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("sequence", Sequence, nullable=False),
    Column("hash", Digest, nullable=False),
    CheckConstraint("id = 1", name="one"),
)

ENTRIES = Table(
    "entries",
    METADATA,
    Column("sequence", Sequence, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("id", String(64), nullable=False),  # decision id, review id or erasure id
    Column("recorded_at", String(25), nullable=False),  # hashed as it stands, hence text
    Column("payload", Text),  # canonical JSON; null once erased, and its salt with it
    Column("payload_salt", String(32)),
    Column("payload_digest", Digest, nullable=False),
    Column("private", Text),  # content in other words: quotes, rationales, notes
    Column("private_salt", String(32)),
    Column("private_digest", Digest),
    Column("previous_hash", Digest, nullable=False),
    Column("hash", Digest, nullable=False),
    Column("erased_by", Sequence),  # the entry that says why the payload is gone
    UniqueConstraint("kind", "id"),
)

DECISIONS = Table(
    "decisions",
    METADATA,
    Column("sequence", Sequence, ForeignKey(ENTRIES.c.sequence), primary_key=True, autoincrement=False),
    Column("decision_id", String(64), nullable=False, unique=True),
    Column("item_key", Digest, nullable=False, index=True),  # SHA-256 of the item's id
    Column("created_at", UtcTime, nullable=False, index=True),
    Column("action", String(16), nullable=False, index=True),
    Column("content_sha256", Digest, index=True),  # of the content that is kept, if it is
)

# Rules that said anything but clear.
FINDINGS = Table(
    "findings",
    METADATA,
    Column("sequence", Sequence, ForeignKey(ENTRIES.c.sequence), primary_key=True, autoincrement=False),
    Column("rule", String(200), primary_key=True),  # policy#rule
    Column("policy", String(200), nullable=False),
    Column("outcome", String(16), nullable=False),
    Index("ix_findings_rule", "rule", "sequence"),
    Index("ix_findings_policy", "policy", "sequence"),
)

REVIEWS = Table(
    "reviews",
    METADATA,
    Column("sequence", Sequence, ForeignKey(ENTRIES.c.sequence), primary_key=True, autoincrement=False),
    Column("decision_id", String(64), nullable=False, index=True),
)

CONTENTS = Table(
    "contents",
    METADATA,
    Column("sha256", Digest, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)
