"""What an overlay file holds, as typed, frozen data.

Field order is the order people write. Tightening and relaxing have words of their own, so that a
reader, a check and a second overlay can tell them apart. Knows nothing about files or merging.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from llm_judge.policy.model import (
    Action,
    ActionStep,
    Example,
    Exemption,
    Identifier,
    Node,
    OnError,
    Rule,
    Sentence,
    Severity,
)

Age = Annotated[int, Field(ge=0, le=120)]


class Scope(Node):
    """Where an overlay is meant to be used; what is left out means everywhere. For people and services."""

    min_age: Age | None = None
    max_age: Age | None = None
    markets: tuple[Identifier, ...] = ()  # ISO 3166 codes
    surfaces: tuple[Identifier, ...] = ()


class RuleChange(Node):
    """What changes in one rule.

    Attributes:
        rule: id of the rule in the base policy.
        switch_off: leaves the rule out.
        raise_severity_to: new severity, where the rule's is lower.
        lower_severity_to: new severity, where the rule's is higher.
        floor: makes the rule one that no later overlay may loosen.
        remove_exemptions: ids; examples that cite them go with them.
        add_exemptions: put after the rule's own.
        add_examples: put after the rule's own.
    """

    rule: Identifier
    switch_off: bool = False
    raise_severity_to: Severity | None = None
    lower_severity_to: Severity | None = None
    floor: bool = False
    remove_exemptions: tuple[Identifier, ...] = ()
    add_exemptions: tuple[Exemption, ...] = ()
    add_examples: tuple[Example, ...] = ()


class PolicyChange(Node):
    """What changes in one policy.

    Attributes:
        policy: id of the base policy.
        because: why, for whoever asks.
        definitions: terms that added text needs; terms of the base cannot be given another meaning.
        rules: changes of rules the base has.
        add_rules: put after the base's own.
        actions_first: steps tried before the base's own.
    """

    policy: Annotated[str, Field(pattern=r"^[a-z0-9_]+(/[a-z0-9_]+)+$", max_length=80)]
    because: Sentence
    definitions: dict[Identifier, Sentence] = Field(default_factory=dict)
    rules: tuple[RuleChange, ...] = ()
    add_rules: tuple[Rule, ...] = ()
    actions_first: tuple[ActionStep, ...] = ()
    otherwise: Action | None = None
    on_error: OnError | None = None


class Overlay(Node):
    """What one overlay file holds."""

    schema_version: Annotated[Literal[1], Field(alias="schema")]
    overlay: Identifier
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    title: Annotated[str, Field(min_length=1, max_length=80)]
    owner: Annotated[str, Field(min_length=1, max_length=80)]
    applies_to: Scope
    changes: Annotated[tuple[PolicyChange, ...], Field(min_length=1)]

    @property
    def stamp(self) -> str:
        """Name and version, as policies carry them: ``age_teen.1.0.0``."""
        return f"{self.overlay}.{self.version}"
