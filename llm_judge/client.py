"""A typed client of the judge endpoint, plain and async: retries with jitter, never a decision made up.

    with JudgeClient("http://127.0.0.1:8000") as client:
        reply = client.judge(text="Pay a small fee to claim your prize.")
        print(reply.action, reply.fail_mode)

Both clients take the same steps (``_steps``), which know nothing about sockets or clocks. Every call carries
an ``Idempotency-Key``, so that a retry is judged once. Needs the extra `serve`; httpx is loaded when used.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import time
import uuid
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ValidationError

from llm_judge.errors import JudgeError
from llm_judge.service.wire import BatchReply, JudgeReply, PoliciesReply, PolicyReply, ProblemReply

R = TypeVar("R", bound=BaseModel)
_RETRIED = frozenset({409, 429, 502, 503})  # in flight, quota, and what a proxy or the service says when busy
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 20.0


class ServiceError(JudgeError):
    """No decision came back.

    Attributes:
        code: what the service called it, such as ``overloaded``; ``unreachable`` where no answer came, and
            ``not_understood`` where it was none of the service's.
        status: of the HTTP answer, None without one.
        request_id: finds the request in the service's log.
        action: what ``on_error`` of the policies wants done with the content; None where nobody said.
    """

    def __init__(
        self,
        message: str,
        hint: str | None,
        *,
        code: str,
        status: int | None = None,
        request_id: str | None = None,
        action: str | None = None,
    ) -> None:
        super().__init__(message, hint)
        self.code = code
        self.status = status
        self.request_id = request_id
        self.action = action
        self.retryable = status is None or status in _RETRIED


@dataclass(frozen=True, slots=True)
class _Send:
    """Send a request, and give back its answer or the error that came instead."""

    method: str
    path: str
    body: bytes | None
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Wait:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


# What a driver gives back: an answer, None after a wait, or the words of a connection error.
_Steps = Generator[_Send | _Wait, "_Answer | str | None", R]


def _steps(send: _Send, shape: type[R], retries: int) -> _Steps[R]:
    """Send, wait and send again until there is an answer that trying again will not change."""
    for tried in range(retries + 1):
        found = yield send
        if isinstance(found, _Answer) and found.status == 200:
            return _understood(found, shape)
        error = _error_of(found)
        if tried == retries or not error.retryable:
            raise error
        asked = float(_retry_after(found)) if isinstance(found, _Answer) else 0.0
        # Full jitter, so that clients turned away together do not come back together.
        jitter = random.uniform(0, min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**tried))  # noqa: S311
        yield _Wait(min(asked, _LONGEST_WAIT_S) + jitter)
    raise AssertionError("the last try returns or raises")


def _understood(answer: _Answer, shape: type[R]) -> R:
    try:
        return shape.model_validate_json(answer.body)
    except ValidationError:
        told = "the answer is not that of a judge endpoint"
        raise ServiceError(told, "check the URL", code="not_understood", status=answer.status) from None


def _error_of(found: _Answer | str | None) -> ServiceError:
    if not isinstance(found, _Answer):
        return ServiceError(f"the service cannot be reached: {found}", "check the URL", code="unreachable")
    try:
        error = ProblemReply.model_validate_json(found.body).error
    except ValidationError:
        told = f"the answer is a {found.status} of something other than the judge"
        return ServiceError(told, "look at what is in between", code="not_understood", status=found.status)
    return ServiceError(
        error.message,
        error.hint,
        code=error.code,
        status=found.status,
        request_id=error.request_id,
        action=None if error.fail_mode is None else error.fail_mode.action.value,
    )


def _retry_after(answer: _Answer) -> int:
    """Whole seconds; the other form, a date, is one the service never sends."""
    value = answer.headers.get("retry-after", "")
    return int(value[:6]) if value.isascii() and value.isdigit() else 0


def _post(path: str, body: Mapping[str, Any]) -> _Send:
    kept = {name: value for name, value in body.items() if value is not None}
    headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}
    return _Send("POST", path, json.dumps(kept).encode(), headers)


def _get(path: str) -> _Send:
    return _Send("GET", path, None, {})


def item(text: str | None = None, media: bytes | Path | None = None, id: str | None = None) -> dict[str, Any]:
    """Return one item of a batch: a text, or the bytes or the path of a file."""
    found: dict[str, Any] = {"id": id, "text": text}
    if isinstance(media, bytes):
        found["media"] = {"data": base64.b64encode(media).decode()}
    elif media is not None:
        data = base64.b64encode(media.read_bytes()).decode()
        found["media"] = {"data": data, "name": media.name[-255:]}
    return {name: value for name, value in found.items() if value is not None}


class _Calls:
    """What can be asked, as steps; the two clients differ in who takes them."""

    def __init__(self, api_key: str | None, retries: int) -> None:
        key = api_key or os.environ.get("LLM_JUDGE_API_KEY")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._retries = retries

    def _judge(self, one: Mapping[str, Any], options: Mapping[str, Any]) -> _Steps[JudgeReply]:
        return _steps(_post("/v1/judge", {**one, **options}), JudgeReply, self._retries)

    def _batch(self, items: Sequence[Mapping[str, Any]], options: Mapping[str, Any]) -> _Steps[BatchReply]:
        return _steps(_post("/v1/judge/batch", {"items": items, **options}), BatchReply, self._retries)

    def _policies(self) -> _Steps[PoliciesReply]:
        return _steps(_get("/v1/policies"), PoliciesReply, self._retries)

    def _policy(self, id: str) -> _Steps[PolicyReply]:
        return _steps(_get(f"/v1/policies/{id}"), PolicyReply, self._retries)


def _options(
    policies: Sequence[str] | None,
    overlays: Sequence[str] | None,
    context: Mapping[str, Any] | None,
    explain: str,
    detail: str,
    deadline_ms: int | None,
) -> dict[str, Any]:
    return {
        "policies": None if policies is None else list(policies),
        "overlays": None if overlays is None else list(overlays),
        "context": None if context is None else dict(context),
        "explain": explain,
        "detail": detail,
        "deadline_ms": deadline_ms,
    }


class JudgeClient(_Calls):
    """Asks a judge endpoint; use as a context manager, from one thread or many.

    Args:
        url: such as ``https://judge.example.com``.
        api_key: by default ``LLM_JUDGE_API_KEY`` of the environment.
        timeout: seconds for one try.
        retries: tries after the first, for what may pass: overload, quotas, lost connections.
        options: passed on to ``httpx.Client``, such as ``verify``.
    """

    def __init__(
        self, url: str, api_key: str | None = None, *, timeout: float = 60.0, retries: int = 4, **options: Any
    ) -> None:
        super().__init__(api_key, retries)
        import httpx

        self._http = httpx.Client(base_url=url, timeout=timeout, headers=self._headers, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def judge(
        self,
        text: str | None = None,
        *,
        media: bytes | Path | None = None,
        id: str | None = None,
        policies: Sequence[str] | None = None,
        overlays: Sequence[str] | None = None,
        context: Mapping[str, Any] | None = None,
        explain: Literal["never", "auto", "always"] = "auto",
        detail: Literal["open", "all"] = "open",
        deadline_ms: int | None = None,
    ) -> JudgeReply:
        """Judge one text, or the bytes or the path of a file; raises ``ServiceError`` without a decision."""
        asked = _options(policies, overlays, context, explain, detail, deadline_ms)
        return self._take(self._judge(item(text, media, id), asked))

    def judge_batch(
        self,
        items: Sequence[Mapping[str, Any]],
        *,
        policies: Sequence[str] | None = None,
        overlays: Sequence[str] | None = None,
        context: Mapping[str, Any] | None = None,
        explain: Literal["never", "auto", "always"] = "auto",
        detail: Literal["open", "all"] = "open",
        deadline_ms: int | None = None,
    ) -> BatchReply:
        """Judge several items, made by ``item``; each result has a decision or an error of its own."""
        asked = _options(policies, overlays, context, explain, detail, deadline_ms)
        return self._take(self._batch(items, asked))

    def policies(self) -> PoliciesReply:
        """List what is judged by; raises ``ServiceError``."""
        return self._take(self._policies())

    def policy(self, id: str) -> PolicyReply:
        """Show one policy; raises ``ServiceError``."""
        return self._take(self._policy(id))

    def _take(self, steps: _Steps[R]) -> R:
        found: _Answer | str | None = None
        try:
            while True:
                step = steps.send(found)
                if isinstance(step, _Wait):
                    time.sleep(step.seconds)
                    found = None
                else:
                    found = self._sent(step)
        except StopIteration as ended:
            return ended.value  # type: ignore[no-any-return]

    def _sent(self, step: _Send) -> _Answer | str:
        import httpx

        try:
            answer = self._http.request(step.method, step.path, content=step.body, headers=step.headers)
        except httpx.HTTPError as error:
            return _words(error)
        return _Answer(answer.status_code, answer.headers, answer.content)


class AsyncJudgeClient(_Calls):
    """``JudgeClient`` for asyncio; the same arguments and methods, awaited."""

    def __init__(
        self, url: str, api_key: str | None = None, *, timeout: float = 60.0, retries: int = 4, **options: Any
    ) -> None:
        super().__init__(api_key, retries)
        import httpx

        self._http = httpx.AsyncClient(base_url=url, timeout=timeout, headers=self._headers, **options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def judge(
        self,
        text: str | None = None,
        *,
        media: bytes | Path | None = None,
        id: str | None = None,
        policies: Sequence[str] | None = None,
        overlays: Sequence[str] | None = None,
        context: Mapping[str, Any] | None = None,
        explain: Literal["never", "auto", "always"] = "auto",
        detail: Literal["open", "all"] = "open",
        deadline_ms: int | None = None,
    ) -> JudgeReply:
        """Judge one text, or the bytes or the path of a file; raises ``ServiceError`` without a decision."""
        asked = _options(policies, overlays, context, explain, detail, deadline_ms)
        return await self._take(self._judge(item(text, media, id), asked))

    async def judge_batch(
        self,
        items: Sequence[Mapping[str, Any]],
        *,
        policies: Sequence[str] | None = None,
        overlays: Sequence[str] | None = None,
        context: Mapping[str, Any] | None = None,
        explain: Literal["never", "auto", "always"] = "auto",
        detail: Literal["open", "all"] = "open",
        deadline_ms: int | None = None,
    ) -> BatchReply:
        """Judge several items, made by ``item``; each result has a decision or an error of its own."""
        asked = _options(policies, overlays, context, explain, detail, deadline_ms)
        return await self._take(self._batch(items, asked))

    async def policies(self) -> PoliciesReply:
        """List what is judged by; raises ``ServiceError``."""
        return await self._take(self._policies())

    async def policy(self, id: str) -> PolicyReply:
        """Show one policy; raises ``ServiceError``."""
        return await self._take(self._policy(id))

    async def _take(self, steps: _Steps[R]) -> R:
        found: _Answer | str | None = None
        try:
            while True:
                step = steps.send(found)
                if isinstance(step, _Wait):
                    await asyncio.sleep(step.seconds)
                    found = None
                else:
                    found = await self._sent(step)
        except StopIteration as ended:
            return ended.value  # type: ignore[no-any-return]

    async def _sent(self, step: _Send) -> _Answer | str:
        import httpx

        try:
            answer = await self._http.request(step.method, step.path, content=step.body, headers=step.headers)
        except httpx.HTTPError as error:
            return _words(error)
        return _Answer(answer.status_code, answer.headers, answer.content)


def _words(error: Exception) -> str:
    """What went wrong with a connection, on one line."""
    return " ".join(f"{type(error).__name__} {error}".split())[:200]
