"""What is sent to a vLLM server and how its answers are read: JSON in and out, nothing guessed.

Prompts go as token ids, so that the server reads exactly what the in-process engine would, and no text can
become a control token on the way. An answer that is not whole is an ``EngineError``. Names and forms from
vLLM's OpenAI-compatible server, 0.32. Knows nothing about sockets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llm_judge.engines.protocol import Completion, Reading
from llm_judge.errors import EngineError

COMPLETIONS = "/v1/completions"
CHAT = "/v1/chat/completions"
FIRST_ANSWER_S = 120.0  # a server that has just started may compile first
MOST_TOP = 20  # vLLM's default --max-logprobs
_LEAST = -9999.0  # what vLLM writes for a logit of minus infinity
_RAW = "serve with --logprobs-mode raw_logprobs"
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


class _Completion(_Part):
    model: str
    choices: list[_Choice] = Field(min_length=1, max_length=1)
    usage: _Usage


class _TokenLogprob(_Part):
    token: str
    logprob: float


class _Position(_Part):
    top_logprobs: list[_TokenLogprob]


class _Positions(_Part):
    content: list[_Position] | None = None


class _Message(_Part):
    content: str | None = None


class _ChatChoice(_Part):
    message: _Message
    finish_reason: str | None = None
    logprobs: _Positions | None = None


class _ChatCompletion(_Part):
    model: str
    choices: list[_ChatChoice] = Field(min_length=1, max_length=1)
    usage: _Usage


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to one prompt, of either route.

    Attributes:
        source: the server that gave it, for messages.
        top: token, as ``token_id:N``, to log-probability at the first place; None where none were given.
        prompt_ids: the prompt as the server read it, where that was asked for.
    """

    source: str
    model: str
    text: str
    finish_reason: str | None
    top: Mapping[str, float] | None
    prompt_tokens: int
    completion_tokens: int
    prompt_ids: Sequence[int] | None = None


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


def chat_body(model: str, system: str, parts: Sequence[Mapping[str, Any]], max_tokens: int) -> dict[str, Any]:
    """The request of a plain greedy chat turn; the server's own template renders it, without thinking."""
    return {
        "model": model,
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": list(parts)}],
        "max_tokens": max_tokens,
        "chat_template_kwargs": {"enable_thinking": False},
        **PLAIN_SAMPLING,
    }


def with_labels(body: Mapping[str, Any], labels: Sequence[int], source: LabelSource) -> dict[str, Any]:
    """A chat request of one token that asks for labels; ``read_body`` is the same for token ids."""
    top = {"top_logprobs": MOST_TOP} if source is LabelSource.TOP else {"logprob_token_ids": list(labels)}
    return {**body, "max_tokens": 1, "logprobs": True, "return_tokens_as_token_ids": True, **top}


def obeying(body: Mapping[str, Any], schema: Mapping[str, Any], end_of_turn: int) -> dict[str, Any]:
    """A request of either route whose answer obeys a JSON schema."""
    structured = {"json": dict(schema), "disable_any_whitespace": True}
    return {**body, "structured_outputs": structured, "stop_token_ids": [end_of_turn]}


def completion_answer(data: Any, source: str) -> Answer:
    """Read an answer of ``/v1/completions``; raises ``EngineError`` where it has another shape."""
    found = read_answer(_Completion, data, source)
    choice = found.choices[0]
    top = choice.logprobs.top_logprobs[0] if choice.logprobs and choice.logprobs.top_logprobs else None
    return Answer(
        source,
        found.model,
        choice.text,
        choice.finish_reason,
        top,
        found.usage.prompt_tokens,
        found.usage.completion_tokens,
        choice.prompt_token_ids,
    )


def chat_answer(data: Any, source: str) -> Answer:
    """Read an answer of ``/v1/chat/completions``; raises ``EngineError`` where it has another shape."""
    found = read_answer(_ChatCompletion, data, source)
    choice = found.choices[0]
    first = choice.logprobs.content[0] if choice.logprobs and choice.logprobs.content else None
    return Answer(
        source,
        found.model,
        choice.message.content or "",
        choice.finish_reason,
        None if first is None else {one.token: one.logprob for one in first.top_logprobs},
        found.usage.prompt_tokens,
        found.usage.completion_tokens,
    )


def check_whole(answer: Answer, model: str, prompt_tokens: int) -> None:
    """Raise ``EngineError`` unless this model read exactly the prompt that was sent."""
    check_model(answer, model)
    if answer.prompt_tokens != prompt_tokens:
        raise EngineError(
            f"{answer.source} read {answer.prompt_tokens} tokens of a prompt of {prompt_tokens}",
            "serve without truncation and without a changed tokenizer",
        )


def check_model(answer: Answer, model: str) -> None:
    """Raise ``EngineError`` unless this model answered."""
    if answer.model != model:
        raise EngineError(f"{answer.source} answered with the model `{answer.model[:80]}`, not `{model}`")


def reading_of(answer: Answer, labels: Sequence[str], tokens: Sequence[int]) -> Reading:
    """Return the labels' log-probabilities over the full vocabulary, and their mass.

    Args:
        answer: to a request that asked for them.
        labels, tokens: each label and its token.

    Raises:
        EngineError: a label is missing, or the numbers are no log-probabilities.
    """
    read: dict[str, float] = {}
    for label, token in zip(labels, tokens, strict=True):
        value = (answer.top or {}).get(f"token_id:{token}")
        if value is None:
            told = f"{answer.source} gave no probability of the label `{label}`"
            raise EngineError(told, _missing_hint(answer.top))
        if not math.isfinite(value) or value > _ABOVE_ONE:
            raise EngineError(f"{answer.source} gave {value} as a log-probability", _RAW)
        read[label] = min(0.0, max(value, _LEAST))
    mass = math.fsum(math.exp(value) for value in read.values())
    if mass > 1 + _ABOVE_ONE:
        raise EngineError(f"{answer.source} gave labels a probability of {mass:.3f} together", _RAW)
    return Reading(read, min(1.0, mass))


def completion_of(answer: Answer) -> Completion:
    """Return a generation as it came; raises ``EngineError`` for one that ended in another way."""
    reason = answer.finish_reason
    if reason not in ("stop", "length"):
        raise EngineError(f"{answer.source} ended a generation with `{str(reason)[:40]}`")
    return Completion(answer.text, reason, answer.prompt_tokens, answer.completion_tokens)


def _missing_hint(found: Mapping[str, float] | None) -> str:
    if found is None:
        return "serve with log-probabilities on: --max-logprobs 20"
    return "serve with vLLM 0.32 or later, which gives the log-probabilities of named tokens"
