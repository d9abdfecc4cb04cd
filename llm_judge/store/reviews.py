"""Reviews: what a person says of one rule of one decision, kept in the same chain.

The last review of a rule counts. Knows nothing about training; ``overrides_of`` gives the lines that
``llm-judge finetune data --overrides`` reads.
"""

from __future__ import annotations

import codecs
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, insert, select

from llm_judge.errors import StoreError, UsageError
from llm_judge.store.chain import Kind
from llm_judge.store.entries import New, append, find_entry, lock_head, parsed
from llm_judge.store.lookups import Filter, matching
from llm_judge.store.tables import CONTENTS, DECISIONS, ENTRIES, REVIEWS
from llm_judge.verdict import Outcome

if TYPE_CHECKING:
    from llm_judge.store.database import Database

VERDICTS = (Outcome.VIOLATES, Outcome.CLEAR, Outcome.EXEMPT)
_MOST_WORDS = 4000  # characters of a note


@dataclass(frozen=True, slots=True)
class Review:
    """What a person says.

    Attributes:
        decision_id: of what.
        rule: ``policy#rule``, one that the decision has a verdict of.
        verdict: violates, clear or exempt.
        reviewer: who says so; a name that may be kept for good.
        exemption: id, for exempt only.
        note: why; may quote content, and is erased with it.
        said: the judge's outcome, filled in by the store.
        recorded_at: UTC, ISO 8601, filled in by the store.
    """

    decision_id: str
    rule: str
    verdict: Outcome
    reviewer: str
    exemption: str | None = None
    note: str | None = None
    said: str | None = None
    recorded_at: str | None = None

    @property
    def corrects(self) -> bool:
        """Whether the judge was wrong, or could not tell."""
        return self.said != self.verdict.value


def add_review(database: Database, review: Review) -> Review:
    """Keep a review for good and return it as kept.

    Raises:
        UsageError: there is no such decision, it was erased, has no verdict of this rule, or the review does
            not fit together.
        StoreUnavailable: it could not be kept.
    """
    _check(review)
    id = uuid.uuid4().hex  # before the transaction: a second go must not make a second review

    def work(connection: Connection) -> None:
        lock_head(connection)
        if find_entry(connection, Kind.REVIEW, id) is not None:
            return
        payload = {**asdict(review), "said": _said(connection, review)}
        payload.pop("recorded_at")
        note = payload.pop("note")
        private = None if note is None else {"note": note}
        (sequence,) = append(connection, [New(Kind.REVIEW, id, payload, private)])
        connection.execute(insert(REVIEWS), {"sequence": sequence, "decision_id": review.decision_id})

    database.write(work)
    kept = database.read(lambda connection: find_entry(connection, Kind.REVIEW, id))
    assert kept is not None  # noqa: S101  # it was just written
    return _review(kept)


def reviews_of(connection: Connection, decision_id: str) -> list[Review]:
    """The reviews of one decision, oldest first."""
    query = (
        select(ENTRIES)
        .join(REVIEWS, REVIEWS.c.sequence == ENTRIES.c.sequence)
        .where(REVIEWS.c.decision_id == decision_id)
        .order_by(ENTRIES.c.sequence)
    )
    return [_review(row) for row in connection.execute(query)]


def overrides_of(database: Database, wanted: Filter) -> list[dict[str, str]]:
    """The corrections among the last reviews of each rule, as lines for ``finetune data --overrides``.

    With the text where it is kept, else with its digest. Of decisions that match, and of texts only.
    """
    return database.read(lambda connection: list(_overrides(connection, wanted)))


def _overrides(connection: Connection, wanted: Filter) -> Iterator[dict[str, str]]:
    of = matching(wanted).with_only_columns(ENTRIES.c.id)
    query = select(REVIEWS.c.decision_id).where(REVIEWS.c.decision_id.in_(of)).distinct()
    for decision_id in sorted(connection.execute(query).scalars()):
        last = {review.rule: review for review in reviews_of(connection, decision_id)}
        for review in last.values():
            if review.corrects and (judged := _judged(connection, review.decision_id)):
                yield _override(review, judged)


def _override(review: Review, judged: Mapping[str, str]) -> dict[str, str]:
    line = {"decision": review.decision_id, **judged, "rule": review.rule, "verdict": review.verdict.value}
    if review.exemption is not None:
        line["exemption"] = review.exemption
    if review.said in {verdict.value for verdict in VERDICTS}:
        line["said"] = review.said
    return line


def _judged(connection: Connection, decision_id: str) -> dict[str, str] | None:
    """What was judged, as an override names it; None for what is no text."""
    entry = find_entry(connection, Kind.DECISION, decision_id)
    item = None if entry is None or entry.payload is None else parsed(entry.payload)["item"]
    if item is None or item.get("modality") != "text" or not item.get("sha256"):
        return None
    language = {"lang": item["language"]} if item.get("language") else {}
    query = (
        select(CONTENTS.c.data)
        .join(DECISIONS, DECISIONS.c.content_sha256 == CONTENTS.c.sha256)
        .where(DECISIONS.c.decision_id == decision_id)
    )
    data = connection.execute(query).scalar_one_or_none()
    if data is None:
        return {"sha256": item["sha256"], **language}
    return {"text": bytes(data).removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogatepass"), **language}


def _said(connection: Connection, review: Review) -> str:
    entry = find_entry(connection, Kind.DECISION, review.decision_id)
    if entry is None:
        raise UsageError(
            f"there is no decision `{review.decision_id}`", "`llm-judge records list` shows some"
        )
    if entry.payload is None:
        raise UsageError(f"decision `{review.decision_id}` was erased", "nothing can be said of it any more")
    said = {verdict["rule"]: str(verdict["outcome"]) for verdict in parsed(entry.payload)["verdicts"]}
    if review.rule not in said:
        import difflib

        close = difflib.get_close_matches(review.rule, said, n=1, cutoff=0.6)
        hint = f"did you mean `{close[0]}`?" if close else "`llm-judge records show` lists its rules"
        raise UsageError(f"decision `{review.decision_id}` has no verdict of rule `{review.rule}`", hint)
    return said[review.rule]


def _check(review: Review) -> None:
    if review.verdict not in VERDICTS:
        raise UsageError(f"a review cannot say `{review.verdict}`", "say violates, clear or exempt")
    if (review.verdict is Outcome.EXEMPT) != (review.exemption is not None):
        raise UsageError("an exemption goes with `exempt`, and with nothing else", "name it, or leave it out")
    if not review.reviewer.strip():
        raise UsageError("a review needs a reviewer", "say who decided")
    if review.note is not None and len(review.note) > _MOST_WORDS:
        raise UsageError(f"the note is over {_MOST_WORDS:,} characters", "shorten it")


def _review(row: Any) -> Review:
    try:
        payload, private = parsed(row.payload), parsed(row.private)
        return Review(
            **{**payload, "verdict": Outcome(payload["verdict"])},
            note=None if private is None else private["note"],
            recorded_at=row.recorded_at,
        )
    except (KeyError, TypeError, ValueError):
        message = "a review in the record store is damaged"
        raise StoreError(message, "`llm-judge records verify` says where") from None
