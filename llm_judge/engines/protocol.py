"""The two calls every engine answers: read labels, and generate under a schema.

A read is one unconstrained next-token look, so its probabilities mean something; a generation is
constrained, so its probabilities would not (a forced token reads p = 1) and none are returned.
Knows nothing about policies or decisions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from llm_judge.content.limits import DEFAULT_LIMITS, Limits
from llm_judge.prompt import Prompt, Question


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """One content and every question asked about it, answered in one forward pass."""

    prompt: Prompt
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the model would say next, restricted to the labels of one question.

    Attributes:
        logprobs: natural log-probability of each label over the full vocabulary.
        label_mass: sum of the labels' probabilities, 0..1; low mass means the model did not follow
            the answer format.
    """

    logprobs: Mapping[str, float]
    label_mass: float


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """One constrained generation: the prompt, the last instruction and the JSON schema to obey."""

    prompt: Prompt
    instruction: str
    schema: Mapping[str, Any]
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Completion:
    """Text generated under a schema; ``finish_reason`` is ``stop`` or ``length`` (cut off)."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What a record needs to say about the engine that answered.

    Attributes:
        engine: ``local``, ``scripted``, …
        model: human-readable model name.
        model_digest: SHA-256 of the weights file.
        adapter_digest: SHA-256 over the adapter's settings and weights, None without an adapter.
        dtype: ``bfloat16`` or ``float32``.
        context_tokens: longest prompt the model reads.
    """

    engine: str
    model: str
    model_digest: str
    adapter_digest: str | None
    dtype: str
    context_tokens: int


@dataclass(frozen=True, slots=True)
class Vision:
    """What pictures an engine takes.

    Attributes:
        most: in one prompt.
        side: longest side of each, in pixels.
        tokens: that the largest one takes up in a prompt.
    """

    most: int
    side: int
    tokens: int


class Engine(Protocol):
    """Answers reads and generations, in the order of the requests.

    Both calls raise ``EngineError`` when they cannot answer; neither truncates a prompt: a prompt
    over ``info.context_tokens`` is an ``EngineError``.
    """

    @property
    def info(self) -> EngineInfo:
        """Names and digests for the record."""
        ...

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """Strings that the tokenizer turns into control tokens, to be neutralised in content."""
        ...

    @property
    def vision(self) -> Vision | None:
        """What pictures it takes; None for a model that reads only text."""
        ...

    def count_tokens(self, text: str) -> int:
        """Return how many tokens ``text`` is for this model."""
        ...

    def read(self, requests: Sequence[ReadRequest]) -> list[list[Reading]]:
        """Answer every question of every request: one list per request, one reading per question."""
        ...

    def generate(self, requests: Sequence[GenerateRequest]) -> list[Completion]:
        """Answer every request with text that obeys its schema."""
        ...

    def close(self) -> None:
        """Free the model; the engine cannot be used afterwards."""
        ...


def limits_for(engine: Engine, limits: Limits = DEFAULT_LIMITS) -> Limits:
    """Return limits by which contents hold the pictures that the engine takes, if it takes any."""
    vision = engine.vision
    if vision is None:
        return replace(limits, pictures_shown=0)
    return replace(limits, pictures_shown=vision.most, shown_side=vision.side)
