"""What goes over the wire about rollouts; shared with the client. Knows nothing about HTTP."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from llm_judge.service.rollout.comparison import Identity, State


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Reply(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ReloadRequest(_Request):
    """Nothing to say; an object all the same, so that no web page can send it unasked."""


class ShareRequest(_Request):
    """Which share of the items the candidate answers."""

    share: Annotated[float, Field(ge=0, le=100, strict=False)] = Field(description="Percent; 0 rolls back.")
    reason: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\r\n]*$")] | None = Field(
        default=None, description="Why; shown with the status."
    )


class ArmReloaded(_Reply):
    """One arm, whose new revision answers from the next request on."""

    arm: Literal["stable", "candidate"]
    before: Identity
    after: Identity


class ReloadReply(_Reply):
    """Every arm was loaded anew."""

    request_id: str
    reloaded: tuple[ArmReloaded, ...]


class FlipReply(_Reply):
    """Contents on which the two want another action."""

    stable: str
    candidate: str
    count: int


class PolicyFlipReply(_Reply):
    """Contents on which a policy is in another state."""

    policy: str
    stable: State
    candidate: State
    count: int


class TallyReply(_Reply):
    """Counts over the contents that both revisions in force judged."""

    compared: int
    same: int
    undecided: dict[str, int]
    flips: tuple[FlipReply, ...]
    policies: tuple[PolicyFlipReply, ...]


class RolloutReply(_Reply):
    """What is in force, and how the candidate does.

    Attributes:
        share: percent of the items that the candidate answers.
        reason: why, such as the limit that an automatic rollback was for.
        limits: what rolls it back.
    """

    request_id: str
    stable: Identity
    candidate: Identity | None
    share: float
    reason: str | None
    limits: dict[str, float | None]
    comparisons: TallyReply
