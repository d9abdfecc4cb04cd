"""What is sent to a vLLM server and how its answers are read: JSON in and out, nothing guessed.

Prompts go as token ids, so that the server reads exactly what the in-process engine would, and no text can
become a control token on the way. An answer that is not whole is an ``EngineError``. Names and forms from
vLLM's OpenAI-compatible server, 0.32. Knows nothing about sockets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llm_judge.engines.protocol import Completion, Reading
from llm_judge.errors import EngineError

MOST_TOP = 20  # vLLM's default --max-logprobs
_LEAST = -9999.0  # what vLLM writes for a logit of minus infinity
_ABOVE_ONE = 1e-3  # rounding of a sum of probabilities

# Everything that a checkpoint's generation_config could set otherwise.
PLAIN_SAMPLING: Mapping[str, Any] = {
    "temperature": 0.0,
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "n": 1,
    "stream": False,
}


class LabelSource(StrEnum):
    """Where the log-probabilities of labels come from; both are over the full vocabulary."""

    TOKEN_IDS = "vllm"  # noqa: S105  # asked for by token id
    TOP = "vllm top-20"  # looked up among the likeliest tokens, for servers that refuse to be asked


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class _Usage(_Part):
    prompt_tokens: int
    completion_tokens: int = 0


class _TopLogprobs(_Part):
    top_logprobs: list[dict[str, float] | None]


class _Choice(_Part):
    text: str
    finish_reason: str | None = None
    logprobs: _TopLogprobs | None = None
    prompt_token_ids: list[int] | None = None


class CompletionAnswer(_Part):
    """An answer of ``/v1/completions`` to one prompt."""

    model: str
    choices: list[_Choice] = Field(min_length=1, max_length=1)
    usage: _Usage

    @property
    def choice(self) -> _Choice:
        """The only one."""
        return self.choices[0]


class ModelCard(_Part):
    """A model that a server serves; an adapter names its ``parent``."""

    id: str
    root: str | None = None
    parent: str | None = None
    max_model_len: int | None = None


class ModelList(_Part):
    """An answer of ``/v1/models``."""

    data: list[ModelCard]


P = TypeVar("P", bound=_Part)


def read_answer(kind: type[P], answer: Any, asked_of: str) -> P:
    """Return an answer as typed data.

    Args:
        kind: what it must be.
        answer: parsed JSON.
        asked_of: the server, for the message.

    Raises:
        EngineError: it has another shape.
    """
    try:
        return kind.model_validate(answer)
    except ValidationError as error:
        where = ".".join(str(step) for step in error.errors()[0]["loc"]) or "the answer"
        raise EngineError(
            f"{asked_of} answered in a form that is not vLLM's: {where}", "point the engine at a vLLM server"
        ) from None


def completion_body(model: str, prompt: Sequence[int] | str, max_tokens: int) -> dict[str, Any]:
    """The request of a plain greedy completion."""
    return {
        "model": model,
        "prompt": prompt if isinstance(prompt, str) else list(prompt),
        "max_tokens": max_tokens,
        "add_special_tokens": False,
        **PLAIN_SAMPLING,
    }


def read_body(
    model: str, prompt: Sequence[int], labels: Sequence[int], source: LabelSource
) -> dict[str, Any]:
    """The request of one next-token look: no grammar, which would renormalise what is read."""
    body = completion_body(model, prompt, 1)
    body["return_tokens_as_token_ids"] = True
    if source is LabelSource.TOP:
        return {**body, "logprobs": MOST_TOP}
    return {**body, "logprobs": len(labels), "logprob_token_ids": list(labels)}


def generate_body(
    model: str, prompt: Sequence[int], schema: Mapping[str, Any], max_tokens: int, end_of_turn: int
) -> dict[str, Any]:
    """The request of one generation that obeys a JSON schema."""
    body = completion_body(model, prompt, max_tokens)
    structured = {"json": dict(schema), "disable_any_whitespace": True}
    return {**body, "structured_outputs": structured, "stop_token_ids": [end_of_turn]}


def check_whole(answer: CompletionAnswer, model: str, prompt_tokens: int, asked_of: str) -> None:
    """Raise ``EngineError`` unless this model read exactly the prompt that was sent."""
    if answer.model != model:
        raise EngineError(f"{asked_of} answered with the model `{answer.model[:80]}`, not `{model}`")
    if answer.usage.prompt_tokens != prompt_tokens:
        raise EngineError(
            f"{asked_of} read {answer.usage.prompt_tokens} tokens of a prompt of {prompt_tokens}",
            "serve without truncation and without a changed tokenizer",
        )


def reading_of(
    answer: CompletionAnswer, labels: Sequence[str], tokens: Sequence[int], asked_of: str
) -> Reading:
    """Return the labels' log-probabilities over the full vocabulary, and their mass.

    Args:
        answer: to ``read_body``.
        labels, tokens: each label and its token.
        asked_of: the server, for messages.

    Raises:
        EngineError: a label is missing, or the numbers are no log-probabilities.
    """
    logprobs = answer.choice.logprobs
    found = logprobs.top_logprobs[0] if logprobs and logprobs.top_logprobs else None
    read: dict[str, float] = {}
    for label, token in zip(labels, tokens, strict=True):
        value = (found or {}).get(f"token_id:{token}")
        if value is None:
            raise EngineError(f"{asked_of} gave no probability of the label `{label}`", _missing_hint(found))
        if not math.isfinite(value) or value > _ABOVE_ONE:
            raise EngineError(
                f"{asked_of} gave {value} as a log-probability", "serve with --logprobs-mode raw_logprobs"
            )
        read[label] = min(0.0, max(value, _LEAST))
    mass = math.fsum(math.exp(value) for value in read.values())
    if mass > 1 + _ABOVE_ONE:
        raise EngineError(
            f"{asked_of} gave labels a probability of {mass:.3f} together",
            "serve with --logprobs-mode raw_logprobs",
        )
    return Reading(read, min(1.0, mass))


def completion_of(answer: CompletionAnswer, asked_of: str) -> Completion:
    """Return a generation as it came; raises ``EngineError`` for one that ended in another way."""
    reason = answer.choice.finish_reason
    if reason not in ("stop", "length"):
        raise EngineError(f"{asked_of} ended a generation with `{str(reason)[:40]}`")
    usage = answer.usage
    return Completion(answer.choice.text, reason, usage.prompt_tokens, usage.completion_tokens)


def _missing_hint(found: Mapping[str, float] | None) -> str:
    if found is None:
        return "serve with log-probabilities on: --max-logprobs 20"
    return "serve with vLLM 0.32 or later, which gives the log-probabilities of named tokens"
