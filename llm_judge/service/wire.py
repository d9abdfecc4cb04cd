"""What goes over the wire, as typed data: requests and replies of ``/v1/judge`` and its neighbours.

Requests are strict: an unknown key is an error, not a silent no-op. Shared with the client, so it needs
nothing but Pydantic. Knows nothing about HTTP.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from llm_judge.batch.items import MAX_ID_CHARACTERS
from llm_judge.judge import Explain
from llm_judge.policy.model import Action

Word = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}$")]
PolicyId = Annotated[str, Field(pattern=r"^[a-z0-9_]+(/[a-z0-9_]+)+$", max_length=80)]
ItemId = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARACTERS)]
Age = Annotated[int, Field(ge=0, le=120)]
Share = Annotated[float, Field(ge=0, le=1)]

_MOST_NAMES = 100


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Reply(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Media(_Request):
    """A picture, sound or video as data; what it is is found out from its bytes."""

    data: str | None = Field(default=None, description="The file, in base64.")
    name: Annotated[str, Field(max_length=255)] | None = Field(
        default=None, description="A file name to show in messages; never opened."
    )
    url: Annotated[str, Field(max_length=4096)] | None = Field(
        default=None,
        description="Where the file is (https), in place of `data`; refused where media are not fetched.",
    )


class Context(_Request):
    """Where the content appears and who may see it; chooses the overlays that apply there."""

    surface: Word | None = Field(default=None, description="Such as `live`.")
    market: Word | None = Field(default=None, description="ISO 3166 code; else the region of the locale.")
    locale: Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}$")] | None = Field(
        default=None, description="BCP 47, such as `de-AT`."
    )
    age_min: Age | None = Field(default=None, description="Youngest age of the people who see it.")
    age_max: Age | None = Field(default=None, description="Oldest age of the people who see it.")
    user: ItemId | None = Field(
        default=None,
        description="Whose content it is; chooses no overlay. While a candidate answers a share of the "
        "items, all of one user are answered by the same revision. Neither kept nor logged.",
    )


class Options(_Request):
    """How to judge: what a single request and a batch have in common."""

    policies: Annotated[tuple[PolicyId, ...], Field(min_length=1, max_length=_MOST_NAMES)] | None = Field(
        default=None, description="Ask about these policies only; all of them if left out."
    )
    overlays: Annotated[tuple[Word, ...], Field(max_length=10)] | None = Field(
        default=None,
        description="Lay these over the policies, in this order; an empty list means none. If left out, "
        "`context` chooses.",
    )
    context: Context | None = None
    explain: Explain = Field(
        default=Explain.AUTO,
        strict=False,
        description="`auto` explains rules that fire, are exempt or uncertain.",
    )
    detail: Literal["open", "all"] = Field(
        default="open", description="`open` leaves out the verdicts of rules that are clear, and counts them."
    )
    deadline_ms: Annotated[int, Field(ge=1, le=600_000)] | None = Field(
        default=None, description="Milliseconds after which an answer is of no use: then it is a 504."
    )


class Item(_Request):
    """One thing to judge: `text` or `media`."""

    id: ItemId | None = Field(default=None, description="Names the item in its record.")
    text: str | None = None
    media: Media | None = None


class JudgeRequest(Options, Item):
    """One thing to judge, and how."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"id": "post-17", "text": "Pay a small fee to claim your prize."},
                {"text": "Cheers!", "context": {"surface": "live", "age_min": 13, "age_max": 17}},
            ]
        }
    )


class BatchRequest(Options):
    """Several things to judge in the same way."""

    items: Annotated[tuple[Item, ...], Field(min_length=1, max_length=1000)]


class FailMode(_Reply):
    """That `on_error` of the policies, rather than a verdict, had a say.

    `determined` is true where it decided the action, false where a rule wanted something at least as strict.
    """

    action: Action
    reason: str
    determined: bool


class EvidenceReply(_Reply):
    """A piece of the content that a verdict rests on, looked up by code."""

    segment: int
    kind: str
    quote: str | None
    start: int | None
    end: int | None
    start_s: float | None
    end_s: float | None
    frame: int | None
    box: tuple[int, int, int, int] | None


class VerdictReply(_Reply):
    """What one rule says; see the documentation of records for the meaning of each field."""

    rule: str
    outcome: Literal["violates", "unreadable", "abstain", "exempt", "clear"]
    probability: Share | None
    exempt_probability: Share
    label_mass: float
    asked: bool
    severity: int
    reason: str | None
    exemption: str | None
    evidence: tuple[EvidenceReply, ...]
    rationale: str | None
    explanation: str | None
    assessed_severity: int | None


class AreaReply(_Reply):
    """What was answered about one area; its rules were asked where it is `opened`."""

    area: str
    probability: Share | None
    label_mass: float
    opened: bool


class JudgeReply(_Reply):
    """A decision.

    Attributes:
        decision_id: names this answer, and the record of it where records are kept.
        action: what to do.
        undecided: true where no rule determined the action and at least one could not be decided.
        fail_mode: set where `on_error` had a say; never silent.
        verdicts: of rules that are not clear, or of all that apply with `detail: all`.
        verdicts_clear: how many clear ones were left out.
        arm: `stable`, or `candidate` where a revision on trial answered; `run` has the digests.
        revision: of the guidelines.
    """

    request_id: str
    decision_id: str
    created_at: str
    item: dict[str, Any]
    action: Action
    undecided: bool
    fail_mode: FailMode | None
    decision: dict[str, Any]
    verdicts: tuple[VerdictReply, ...]
    verdicts_clear: int
    areas: tuple[AreaReply, ...]
    overlays: tuple[str, ...]
    arm: Literal["stable", "candidate"]
    revision: str
    policies: dict[str, str]
    run: dict[str, Any]
    timings_ms: dict[str, float]


class ProblemDetail(_Reply):
    """What is wrong, and what to do; `fail_mode` is what `on_error` says to do with undecided content."""

    code: str
    message: str
    hint: str | None
    request_id: str
    fail_mode: FailMode | None


class ProblemReply(_Reply):
    """Every answer that is not a decision."""

    error: ProblemDetail


class BatchResult(_Reply):
    """One item of a batch: a decision with status 200, or an error with the status it would have had."""

    index: int
    id: str | None
    status: int
    result: JudgeReply | None
    error: ProblemDetail | None


class BatchReply(_Reply):
    """One result an item, in the order of the request."""

    request_id: str
    decided: int
    failed: int
    results: tuple[BatchResult, ...]


class PolicySummary(_Reply):
    """A policy in force."""

    id: str
    version: str
    title: str
    summary: str
    status: str
    rules: int
    modalities: tuple[str, ...]
    on_error: str


class OverlaySummary(_Reply):
    """An overlay that can be laid over the policies, and where `context` chooses it."""

    name: str
    version: str
    title: str
    applies_to: dict[str, Any]


class PoliciesReply(_Reply):
    """What the service judges by."""

    policy_digest: str
    revision: str
    policies: tuple[PolicySummary, ...]
    overlays: tuple[OverlaySummary, ...]


class PolicyReply(_Reply):
    """One policy, whole."""

    policy_digest: str
    revision: str
    policy: dict[str, Any]


class LiveReply(_Reply):
    """The process answers."""

    live: bool


class ReadyReply(_Reply):
    """The service can judge, and by what."""

    ready: bool
    revision: str
    policy_digest: str
    engine: str
    model: str
