"""What decisions are looked up by, which follows from their records, and what may be asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select

from llm_judge.policy.model import Action
from llm_judge.store.record_document import Document, found_by
from llm_judge.store.tables import DECISIONS, ENTRIES, FINDINGS


@dataclass(frozen=True, slots=True)
class Filter:
    """Which decisions; all of them must hold, None for any.

    Attributes:
        action: what was to be done.
        policy, rule: that said anything but clear (``safety/hate``, ``safety/hate#HS1``).
        outcome: what they said, such as ``violates``.
        decision: its id.
        item: id of what was judged.
        since, until: when it was decided; until is left out itself.
    """

    action: Action | None = None
    policy: str | None = None
    rule: str | None = None
    outcome: str | None = None
    decision: str | None = None
    item: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def item_key(item_id: str) -> str:
    """What an item is looked up by: the SHA-256 of its id, in hexadecimal."""
    return hashlib.sha256(item_id.encode("utf-8", "surrogatepass")).hexdigest()


def decision_row(sequence: int, kept: Mapping[str, Any]) -> dict[str, Any]:
    """What a decision is looked up by; follows from its record, but for whether content is kept."""
    document = Document(dict(kept), None)
    return {
        "sequence": sequence,
        "decision_id": document.decision_id,
        "item_key": item_key(str(kept["item"]["id"])),
        "created_at": document.created_at,
        "action": str(kept["action"]),
    }


def finding_rows(sequence: int, kept: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rules a decision is looked up by."""
    return [
        {"sequence": sequence, "rule": rule, "policy": rule.partition("#")[0], "outcome": outcome}
        for rule, outcome in found_by(kept).items()
    ]


def matching(wanted: Filter) -> Select[Any]:
    """The entries of the decisions that match; without erased ones."""
    query = select(ENTRIES).join(DECISIONS, DECISIONS.c.sequence == ENTRIES.c.sequence)
    if wanted.action is not None:
        query = query.where(DECISIONS.c.action == wanted.action.value)
    if wanted.decision is not None:
        query = query.where(DECISIONS.c.decision_id == wanted.decision)
    if wanted.item is not None:
        query = query.where(DECISIONS.c.item_key == item_key(wanted.item))
    if wanted.since is not None:
        query = query.where(DECISIONS.c.created_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(DECISIONS.c.created_at < wanted.until)
    said = {"policy": wanted.policy, "rule": wanted.rule, "outcome": wanted.outcome}
    if any(said.values()):
        conditions = [FINDINGS.c[name] == value for name, value in said.items() if value is not None]
        query = query.where(ENTRIES.c.sequence.in_(select(FINDINGS.c.sequence).where(*conditions)))
    return query
