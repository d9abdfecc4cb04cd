"""The guideline YAML as typed, frozen data.

Field order here is the order people write. Every node that can be wrong keeps the ``Span`` it was
written at; spans never count as meaning. Knows nothing about files, prompts or models.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from llm_judge.content.content import Modality
from llm_judge.diagnostics import Span


class Status(StrEnum):
    """Where a policy is in its life; only ``test`` and ``stable`` policies are judged by default."""

    DRAFT = "draft"
    TEST = "test"
    STABLE = "stable"
    DEPRECATED = "deprecated"


class Action(StrEnum):
    """What can be done to an item, mildest first."""

    ALLOW = "allow"
    LABEL = "label"
    AGE_RESTRICT = "age_restrict"
    REDUCE = "reduce"
    REVIEW = "review"
    REMOVE = "remove"

    @property
    def strictness(self) -> int:
        """Rank among the actions: 0 for ``allow``, 5 for ``remove``."""
        return _STRICTNESS[self]


_STRICTNESS = {action: rank for rank, action in enumerate(Action)}


class OnError(StrEnum):
    """What to do with an item for which a rule could not be decided."""

    REVIEW = "review"
    ALLOW = "allow"
    REMOVE = "remove"


Identifier = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}$")]
Severity = Annotated[int, Field(ge=1, le=5)]
Sentence = Annotated[str, Field(min_length=1, max_length=1200)]
# A number, or the name of a threshold that a calibration file provides.
Threshold = (
    Annotated[float, Field(ge=0, le=1)] | Annotated[str, Field(pattern=r"^calibrated\.[a-z][a-z0-9_]{0,39}$")]
)


class Node(BaseModel):
    """A piece of a policy: strict, frozen, and knowing where it was written."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    at: Span | None = Field(default=None, exclude=True, repr=False)
    # Where each key was written; entries of a plain block are `definitions.NAME`. Pairs, so as to hash.
    places: tuple[tuple[str, Span], ...] = Field(default=(), exclude=True, repr=False)

    def place(self, key: str) -> Span | None:
        """Return where a key was written, or None where it was not."""
        return next((span for name, span in self.places if name == key), None)


class Exemption(Node):
    """A circumstance in which a rule that is met is still not broken."""

    id: Identifier
    when: Sentence


class Example(Node):
    """One content with its right answer, shown to the model."""

    content: Sentence
    verdict: Literal["violates", "clear", "exempt"]
    exemption: Identifier | None = None
    because: Sentence


class Rule(Node):
    """One thing that is not allowed."""

    id: Identifier
    title: Annotated[str, Field(min_length=1, max_length=80)]
    violates: Sentence
    severity: Severity
    modalities: tuple[Modality, ...] | None = None  # None: as the policy says
    floor: bool = False  # an overlay may not loosen it
    exemptions: tuple[Exemption, ...] = ()
    examples: tuple[Example, ...] = ()


class ActionStep(Node):
    """One step of the action ladder: every predicate that is given must hold."""

    rules: tuple[Identifier, ...] | None = None
    severity_at_least: Severity | None = None
    probability_at_least: Threshold | None = None
    do: Action


class Policy(Node):
    """One area of the guidelines: what one file holds."""

    schema_version: Annotated[Literal[1], Field(alias="schema")]
    policy: Annotated[str, Field(pattern=r"^[a-z0-9_]+(/[a-z0-9_]+)+$", max_length=80)]
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    title: Annotated[str, Field(min_length=1, max_length=80)]
    summary: Sentence  # one sentence: what the area covers; the area question is made from it
    status: Status
    owner: Annotated[str, Field(min_length=1, max_length=80)]
    modalities: Annotated[tuple[Modality, ...], Field(min_length=1)]
    definitions: dict[Identifier, Sentence] = Field(default_factory=dict)
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]
    actions: tuple[ActionStep, ...] = ()
    otherwise: Action = Action.ALLOW
    on_error: OnError = OnError.REVIEW
    maps_to: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    # Name and version of every overlay merged in, in order; nobody writes this.
    overlays: tuple[str, ...] = Field(default=(), exclude=True)

    @property
    def version_in_force(self) -> str:
        """The version and what was laid over it, such as ``1.2.0+age_teen.1.0.0``."""
        return "+".join((self.version, *self.overlays))

    def rule(self, rule_id: str) -> Rule:
        """Return the rule with this id; raises ``KeyError`` if there is none."""
        for rule in self.rules:
            if rule.id == rule_id:
                return rule
        raise KeyError(rule_id)
