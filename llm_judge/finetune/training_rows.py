"""One row of training data: a prompt as the judge sends it, the right answer, and where it comes from.

Knows nothing about how rows come about or which files they go to.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from llm_judge.compile import Question
from llm_judge.engines.tokens import BETWEEN


class Kind(StrEnum):
    """What is asked."""

    AREA = "area"
    RULE = "rule"
    EXEMPTION = "exemption"
    EXPLANATION = "explanation"


class Variant(StrEnum):
    """What was done to the policy or to the text before the question was asked."""

    PLAIN = "plain"
    INVERTED = "inverted"
    CLAUSE_REMOVED = "clause_removed"
    EXEMPTION_TOGGLED = "exemption_toggled"
    RULE_SWAPPED = "rule_swapped"
    PARAPHRASED = "paraphrased"
    RENUMBERED = "renumbered"
    INJECTED = "injected"
    OBFUSCATED = "obfuscated"


class Contrast(StrEnum):
    """How the rejected answer of a preference pair differs from the chosen one."""

    LABEL = "label"  # a wrong answer to a question
    RULE = "rule"  # the rationale is about another rule
    EXEMPTION = "exemption"  # an exemption that does not apply, or none where one does
    SEGMENT = "segment"  # cites a line that does not show it
    MISS = "miss"  # what a judge said in an eval run
    OVERRIDE = "override"  # what a judge said before a reviewer corrected it


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """A prompt and its answer.

    Attributes:
        prefix: the system message.
        body: the content, as it is sent.
        question: what is asked about it.
        answer: the right completion.
        kind, variant: see there.
        key: policy, ``policy#rule`` or ``policy#rule#exemption``.
        source, lang: of the labelled row.
        row: SHA-256 of its text, before any edit.
        policy_digest: of the policies in the prompt.
        labels: the answers a question offers; () for an explanation.
        rejected, contrast: a worse completion and how it is worse, for preference pairs.
    """

    prefix: str
    body: str
    question: str
    answer: str
    kind: Kind
    key: str
    variant: Variant
    source: str
    lang: str
    row: str
    policy_digest: str
    labels: tuple[str, ...] = ()
    rejected: str | None = None
    contrast: Contrast | None = None

    @property
    def user(self) -> str:
        """The user message: the content and what is asked about it."""
        return self.body + BETWEEN + self.question

    @property
    def area(self) -> str:
        """The policy that is asked about."""
        return self.key.partition("#")[0]


def asked(question: Question) -> tuple[Kind, str]:
    """What a question is about: its kind and its key."""
    kind, _, key = question.id.partition(":")
    return Kind(kind), key
