"""What goes over the wire about decisions that are kept. Knows nothing about HTTP or stores."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from llm_judge.policy.model import Action
from llm_judge.service.wire import Media, Word

if TYPE_CHECKING:
    from llm_judge.store.decision_store import StoredDecision
    from llm_judge.store.replay import Replay

Words = Annotated[str, Field(min_length=1, max_length=200)]


class ReplayRequest(BaseModel):
    """How to judge again; the content only where it is not kept."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    text: str | None = Field(default=None, description="What was judged, as it was sent.")
    media: Media | None = Field(default=None, description="The same, of a file.")
    overlays: Annotated[tuple[Word, ...], Field(max_length=10)] = Field(
        default=(), description="Those that the decision was made with; its reply named them."
    )
    deadline_ms: Annotated[int, Field(ge=1, le=600_000)] | None = None


class ReviewRequest(BaseModel):
    """What a person says of one rule of a decision; the last review of a rule counts."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    rule: Words = Field(description="As the record names it: `safety/hate#HS1`.")
    verdict: Literal["violates", "clear", "exempt"]
    reviewer: Words = Field(description="Who says so; kept for good.")
    exemption: Words | None = Field(default=None, description="Id of the exemption, for `exempt` only.")
    note: Annotated[str, Field(max_length=4000)] | None = Field(
        default=None, description="Why; erased together with content."
    )


class ReviewReply(BaseModel):
    """A review as it is kept; `said` is what the judge had said of the rule."""

    decision_id: str
    rule: str
    verdict: str
    reviewer: str
    exemption: str | None
    note: str | None
    said: str | None
    recorded_at: str | None


class DecisionReply(BaseModel):
    """A decision as it is kept.

    Attributes:
        sequence, hash: its place in the chain of the store.
        recorded_at: when it was kept.
        keeps_content: whether the content is kept too, so that it can be judged again without sending it.
        record: without quotes and rationales where content is not kept.
        reviews: oldest first.
    """

    request_id: str
    decision_id: str
    sequence: int
    hash: str
    recorded_at: str
    keeps_content: bool
    record: dict[str, Any]
    reviews: tuple[ReviewReply, ...]


class DifferenceReply(BaseModel):
    """One thing that is not as it was."""

    what: str
    then: str
    now: str


class ReplayReply(BaseModel):
    """A decision judged again; nothing of the second judgement is kept.

    Attributes:
        same: whether the action, every rule's outcome and exemption, and the determining rules are the same.
        action: of the second judgement.
        differences: of the decision; none where it is the same.
        run: what differs in policies, prompt, model or settings.
        largest_shift: greatest change of a rule's probability.
    """

    request_id: str
    decision_id: str
    same: bool
    action: Action
    differences: tuple[DifferenceReply, ...]
    run: tuple[DifferenceReply, ...]
    largest_shift: float | None


def decision_json(stored: StoredDecision, request_id: str) -> dict[str, Any]:
    """Return a decision that is not erased, shaped like ``DecisionReply``."""
    return {
        "request_id": request_id,
        "decision_id": stored.decision_id,
        "sequence": stored.sequence,
        "hash": stored.hash,
        "recorded_at": stored.recorded_at,
        "keeps_content": stored.keeps_content,
        "record": stored.record,
        "reviews": [asdict(review) for review in stored.reviews],
    }


def replay_json(decision_id: str, done: Replay, request_id: str) -> dict[str, Any]:
    """Return a comparison, shaped like ``ReplayReply``."""
    return {
        "request_id": request_id,
        "decision_id": decision_id,
        "same": done.same,
        "action": done.record.action.value,
        "differences": [asdict(each) for each in done.differences],
        "run": [asdict(each) for each in done.run],
        "largest_shift": done.largest_shift,
    }
