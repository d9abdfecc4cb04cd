"""What became of every request, held against the record store: lost, duplicated, wrong-typed, and the rest.

- *lost*: answered with a decision that is not in the store.
- *duplicated*: one decision given for two items, or more records of an item than requests about it; one sent
  again with its ``Idempotency-Key`` is no other request.
- *wrong-typed*: an answer that is no decision and no typed error; a decision other than the known one, so
  above all ``allow`` for content that was not judged; ``on_error`` at work without the reply saying so; an
  error of the service that does not say what ``on_error`` wants.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import ValidationError

from llm_judge.reliability.known import ON_ERROR, Known
from llm_judge.reliability.traffic import Sent
from llm_judge.service.wire import JudgeReply, ProblemReply

if TYPE_CHECKING:
    from llm_judge.reliability.connection import Answer

_OUR_FAULT = 500


@dataclass(frozen=True, slots=True)
class Kept:
    """One record in the store: its decision, and what its item is looked up by."""

    decision_id: str
    item_key: str


@dataclass(slots=True)
class Tally:
    """Counts of one run.

    Attributes:
        sent: requests.
        decided: answered with a decision.
        kept: records in the store.
        lost, duplicated, wrong_typed: as above; must be 0.
        unanswered: no whole answer came, although the client waited.
        left: the client went away.
        fail_modes: answers in which ``on_error`` had a say, and which say so.
        errors: answers that are no decision, by code.
        wrong: what was wrong, for people; a few examples.
    """

    sent: int = 0
    decided: int = 0
    kept: int = 0
    lost: int = 0
    duplicated: int = 0
    wrong_typed: int = 0
    unanswered: int = 0
    left: int = 0
    fail_modes: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing happened that must not."""
        return not (self.lost or self.duplicated or self.wrong_typed)


def tally(sent: Sequence[Sent], kept: Sequence[Kept]) -> Tally:
    """Count what became of requests.

    Args:
        sent: all of them.
        kept: everything in the store, which was empty before the first of them.
    """
    from llm_judge.store.lookups import item_key

    found = Tally(sent=len(sent), kept=len(kept))
    given: dict[str, set[str]] = {}
    for each in sent:
        if (decision := _settle(each, found)) is not None:
            given.setdefault(decision, set()).add(each.id)
    stored = {each.decision_id for each in kept}
    found.lost = sum(decision not in stored for decision in given)
    asked = Counter(item_key(each.id) for each in sent if not each.again)
    of_items = Counter(each.item_key for each in kept)
    repeated = sum(max(0, count - asked[key]) for key, count in of_items.items())
    found.duplicated = sum(len(items) - 1 for items in given.values()) + repeated
    return found


def _settle(sent: Sent, found: Tally) -> str | None:
    """Count one request; returns the decision it got."""
    if sent.left:
        found.left += 1
        return None
    if sent.answer is None:
        found.unanswered += 1
        return None
    try:
        if sent.answer.status != 200:
            _settle_error(sent.answer, found)
            return None
        reply = JudgeReply.model_validate_json(sent.answer.body)
    except ValidationError:
        _wrong(found, f"{sent.id}: status {sent.answer.status} with a body that is not documented")
        return None
    found.decided += 1
    found.fail_modes += reply.fail_mode is not None
    if (told := _not_as_known(reply, sent.known)) is not None:
        _wrong(found, f"{sent.id}: {told}")
    return reply.decision_id


def _settle_error(answer: Answer, found: Tally) -> None:
    error = ProblemReply.model_validate_json(answer.body).error
    found.errors[error.code] = found.errors.get(error.code, 0) + 1
    if error.fail_mode is not None:
        found.fail_modes += 1
    if answer.status >= _OUR_FAULT and (error.fail_mode is None or error.fail_mode.action != ON_ERROR):
        _wrong(found, f"a {answer.status} {error.code} that does not say what on_error wants")


def _not_as_known(reply: JudgeReply, known: Known) -> str | None:
    if reply.action != known.action:
        return f"{reply.action} where {known.action} is right"
    if (reply.fail_mode is not None) != known.undecided:
        return "fail_mode is set where the engine could tell, or is not where it could not"
    return None


def _wrong(found: Tally, told: str) -> None:
    found.wrong_typed += 1
    if len(found.wrong) < 5:
        found.wrong.append(told)


def kept_in(where: str) -> tuple[list[Kept], bool]:
    """Return every decision of a record store, and whether its chain is whole."""
    from sqlalchemy import Connection, select

    from llm_judge.store.decision_store import DecisionStore
    from llm_judge.store.tables import DECISIONS
    from llm_judge.store.verification import verify

    def rows(connection: Connection) -> Iterable[Kept]:
        query = select(DECISIONS.c.decision_id, DECISIONS.c.item_key)
        return [Kept(row.decision_id, row.item_key) for row in connection.execute(query)]

    with DecisionStore(where, create=False) as store:
        return list(store.database.read(rows)), verify(store.database, None).good
