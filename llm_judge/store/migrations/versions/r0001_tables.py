"""The first tables: the chain, its entries, and what they are looked up by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None

_SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_DIGEST = sa.String(64)


def upgrade() -> None:
    """From an empty database."""
    head = op.create_table(
        "chain_head",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("sequence", _SEQUENCE, nullable=False),
        sa.Column("hash", _DIGEST, nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_chain_head_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chain_head")),
    )
    op.bulk_insert(head, [{"id": 1, "sequence": 0, "hash": "0" * 64}])
    _entries()
    _decisions()
    _findings()
    op.create_table(
        "reviews",
        _entry(),
        sa.Column("decision_id", sa.String(64), nullable=False),
        *_keys("reviews"),
    )
    op.create_index(op.f("ix_reviews_decision_id"), "reviews", ["decision_id"])
    op.create_table(
        "contents",
        sa.Column("sha256", _DIGEST, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_contents")),
    )


def downgrade() -> None:
    """To an empty database: every record goes."""
    for table in ("contents", "reviews", "findings", "decisions", "entries", "chain_head"):
        op.drop_table(table)


def _entries() -> None:
    op.create_table(
        "entries",
        sa.Column("sequence", _SEQUENCE, nullable=False, autoincrement=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("recorded_at", sa.String(25), nullable=False),
        sa.Column("payload", sa.Text),
        sa.Column("payload_salt", sa.String(32)),
        sa.Column("payload_digest", _DIGEST, nullable=False),
        sa.Column("private", sa.Text),
        sa.Column("private_salt", sa.String(32)),
        sa.Column("private_digest", _DIGEST),
        sa.Column("previous_hash", _DIGEST, nullable=False),
        sa.Column("hash", _DIGEST, nullable=False),
        sa.Column("erased_by", _SEQUENCE),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_entries")),
        sa.UniqueConstraint("kind", "id", name=op.f("uq_entries_kind")),
    )


def _decisions() -> None:
    op.create_table(
        "decisions",
        _entry(),
        sa.Column("decision_id", sa.String(64), nullable=False),
        sa.Column("item_key", _DIGEST, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("content_sha256", _DIGEST),
        *_keys("decisions"),
        sa.UniqueConstraint("decision_id", name=op.f("uq_decisions_decision_id")),
    )
    for column in ("item_key", "created_at", "action", "content_sha256"):
        op.create_index(op.f(f"ix_decisions_{column}"), "decisions", [column])


def _findings() -> None:
    op.create_table(
        "findings",
        _entry(),
        sa.Column("rule", sa.String(200), nullable=False),
        sa.Column("policy", sa.String(200), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        *_keys("findings", "rule"),
    )
    op.create_index(op.f("ix_findings_rule"), "findings", ["rule", "sequence"])
    op.create_index(op.f("ix_findings_policy"), "findings", ["policy", "sequence"])


def _entry() -> sa.Column[int]:
    """The entry that a row belongs to."""
    return sa.Column("sequence", _SEQUENCE, nullable=False, autoincrement=False)


def _keys(table: str, *more: str) -> tuple[sa.Constraint, ...]:
    return (
        sa.PrimaryKeyConstraint("sequence", *more, name=op.f(f"pk_{table}")),
        sa.ForeignKeyConstraint(["sequence"], ["entries.sequence"], name=op.f(f"fk_{table}_sequence")),
    )
