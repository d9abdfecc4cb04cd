"""The shape of OpenAI's moderation endpoint: its input → contents to judge, and decisions → its result.

Thirteen categories are filled from ``maps_to: {openai: […]}`` of the policies. Scores are probabilities of
ours and say nothing about what OpenAI's model would have said. Knows nothing about HTTP.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from llm_judge.policy.model import Action, Policy
from llm_judge.record import DecisionRecord
from llm_judge.service.judging import Decided, decoded
from llm_judge.service.media_url import MediaUrl, no_url
from llm_judge.service.orders import Wanted
from llm_judge.service.problems import Code, Problem
from llm_judge.service.wire import FailMode, Options
from llm_judge.verdict import Outcome

CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ImageUrl(_Strict):
    """A data URL; another is refused, unless the service fetches media (then https only)."""

    url: str
    detail: str | None = None


class TextPart(_Strict):
    """A text of an item."""

    type: Literal["text"]
    text: str


class ImagePart(_Strict):
    """A picture of an item."""

    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class ModerationRequest(_Strict):
    """What OpenAI's clients send; ``llm_judge`` holds what they do not know."""

    input: (
        str
        | Annotated[tuple[str, ...], Field(min_length=1)]
        | Annotated[tuple[Part, ...], Field(min_length=1)]
    )
    model: Annotated[str, Field(max_length=200)] | None = Field(
        default=None, description="Ignored: the reply names the model that judged."
    )
    llm_judge: Options | None = Field(default=None, description="Policies, overlays, context, deadline.")


class PolicyScore(BaseModel):
    """A policy as a category of its own."""

    flagged: bool
    score: float


class Extension(BaseModel):
    """What the shape has no room for: the decision itself, and every policy as a category."""

    action: Action
    undecided: bool
    fail_mode: FailMode | None
    decision_ids: tuple[str, ...]
    arms: tuple[Literal["stable", "candidate"], ...]
    policies: dict[str, PolicyScore]


class ModerationResult(BaseModel):
    """One item; ``flagged`` where the action is not ``allow``, so also where it could not be told."""

    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, tuple[str, ...]]
    llm_judge: Extension


class ModerationReply(BaseModel):
    """One result a text, or one for all parts of an item."""

    id: str
    model: str
    results: tuple[ModerationResult, ...]


def wanted_of_input(
    request: ModerationRequest, url_of: Callable[[str, str], MediaUrl] = no_url
) -> list[list[Wanted]]:
    """Return the contents behind each result: one for each text, or all parts of the one item.

    Args:
        request: from the wire.
        url_of: reads a URL that is no data URL, or refuses it.

    Raises:
        Problem: a picture is neither a data URL nor behind a URL that is fetched.
    """
    if isinstance(request.input, str):
        return [[Wanted(None, request.input)]]
    texts = [each for each in request.input if isinstance(each, str)]
    if texts:
        return [[Wanted(None, text)] for text in texts]
    parts = [each for each in request.input if not isinstance(each, str)]
    return [[_part(part, f"input[{i}]: ", url_of) for i, part in enumerate(parts)]]


def _part(part: TextPart | ImagePart, where: str, url_of: Callable[[str, str], MediaUrl]) -> Wanted:
    if isinstance(part, TextPart):
        return Wanted(None, part.text)
    head, comma, data = part.image_url.url.partition(",")
    if not comma or not head.lower().startswith("data:"):
        return Wanted(None, b"", url=url_of(part.image_url.url, where))
    if not head.lower().endswith(";base64"):
        raise Problem(Code.BAD_REQUEST, f"{where}the data URL is not base64", "write data:image/png;base64,…")
    return Wanted(None, decoded(data, where))


def result_of(decided: Sequence[Decided]) -> dict[str, Any]:
    """Return one result from the decisions about every part of one item; the worst part speaks for it."""
    records = [each.record for each in decided]
    scores, fired = _by_policy(records)
    judged_as = _modalities(records)
    categories: dict[str, bool] = dict.fromkeys(CATEGORIES, False)
    category_scores: dict[str, float] = dict.fromkeys(CATEGORIES, 0.0)
    types: dict[str, list[str]] = {name: [] for name in CATEGORIES}
    for policy in _policies(decided):
        for name in policy.maps_to.get("openai", ()):
            if name in categories and policy.policy in scores:
                categories[name] |= policy.policy in fired
                category_scores[name] = max(category_scores[name], scores[policy.policy])
                types[name] = sorted({*types[name], *judged_as[policy.policy]})
    action = max((record.action for record in records), key=lambda each: each.strictness)
    return {
        "flagged": action is not Action.ALLOW,
        "categories": categories,
        "category_scores": category_scores,
        "category_applied_input_types": types,
        "llm_judge": {
            "action": action.value,
            "undecided": any(record.decision is not None and record.decision.undecided for record in records),
            "fail_mode": _fail_mode(records, action),
            "decision_ids": [record.decision_id for record in records],
            "arms": [each.way.arm.value for each in decided],
            "policies": {name: {"flagged": name in fired, "score": score} for name, score in scores.items()},
        },
    }


def _policies(decided: Iterable[Decided]) -> list[Policy]:
    """The policies that judged any part, by those of the last: a candidate may have failed on one."""
    found = {policy.policy: policy for each in decided for policy in each.way.revision.guidelines.policies}
    return list(found.values())


def reply_id(records: Iterable[DecisionRecord]) -> str:
    """Return an id that the same decisions always have."""
    ids = "\x00".join(record.decision_id for record in records)
    return "modr-" + hashlib.sha256(ids.encode()).hexdigest()[:24]


def _by_policy(records: Iterable[DecisionRecord]) -> tuple[dict[str, float], set[str]]:
    """The highest probability of a violation under each policy, and the policies with a rule that fired."""
    scores: dict[str, float] = {}
    fired = set()
    for record in records:
        for verdict in record.verdicts:
            policy = verdict.rule.partition("#")[0]
            scores[policy] = max(scores.get(policy, 0.0), round(verdict.probability or 0.0, 6))
            if verdict.outcome is Outcome.VIOLATES:
                fired.add(policy)
    return scores, fired


def _modalities(records: Iterable[DecisionRecord]) -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = {}
    for record in records:
        for verdict in record.verdicts:
            found.setdefault(verdict.rule.partition("#")[0], set()).add(str(record.item["modality"]))
    return found


def _fail_mode(records: Iterable[DecisionRecord], action: Action) -> dict[str, Any] | None:
    """The strictest ``on_error`` of all parts, and whether it decided the action."""
    found = [record.decision for record in records if record.decision and record.decision.on_error]
    if not found:
        return None
    wanted = max((each.on_error for each in found if each.on_error), key=lambda each: each.strictness)
    ruled = any(each.determining_rules and each.action is action for each in found)
    return {"action": wanted.value, "reason": "abstained", "determined": wanted is action and not ruled}
