"""Who calls, what they may do and how often, and whether they called before. Before any body is read."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from llm_judge.errors import UsageError
from llm_judge.service.exchange import answer_of
from llm_judge.service.idempotency import Answer
from llm_judge.service.keys import Key, Scope
from llm_judge.service.problems import Code, Problem
from llm_judge.service.state import service_of

_MOST_KEY_CHARACTERS = 255
_HINT = "send Authorization: Bearer KEY; llm-judge serve keys create makes one"
_NOT_KEPT = frozenset({Code.QUOTA_EXCEEDED, Code.CLIENT_GONE})


def caller_with(scope: Scope) -> Callable[[Request], Awaitable[None]]:
    """Return a dependency that lets a request through only with a good key of this scope."""

    async def check(request: Request) -> None:
        service = service_of(request)
        ring = service.keys
        if ring is None:
            if scope is Scope.ADMIN and not service.settings.open_admin:
                raise Problem(Code.FORBIDDEN, "this needs a service with API keys", "serve --keys FILE")
            return
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not secret.strip():
            raise Problem(Code.UNAUTHORIZED, "an API key is needed", _HINT)
        try:
            key = ring.find(secret.strip())
        except UsageError:
            raise Problem(Code.NOT_READY, "the API keys cannot be read", retry_after=5) from None
        if key is None:
            raise Problem(Code.UNAUTHORIZED, "the API key is not known", _HINT)
        request.state.key = key.id
        if (state := key.state(datetime.now(UTC))) != "good":
            raise Problem(Code.UNAUTHORIZED, f"the API key is {state}", "ask for a new one")
        if scope not in key.scopes:
            told = f"the API key does not have the scope `{scope.value}`"
            raise Problem(Code.FORBIDDEN, told, "ask for a key that has it")
        request.state.caller = key

    return check


def caller_of(request: Request) -> Key | None:
    """Return the key of the caller; None where the service needs none."""
    found = getattr(request.state, "caller", None)
    return found if isinstance(found, Key) else None


def spend(request: Request, items: int) -> None:
    """Count items against the caller's quotas; raises ``Problem`` where one is used up."""
    caller = caller_of(request)
    if caller is not None:
        service_of(request).quotas.take(caller, items)


async def once(request: Request, body: bytes, work: Callable[[], Awaitable[Response]]) -> Response:
    """Answer a request, or give the answer it got before where it has an ``Idempotency-Key``.

    Args:
        request, body: what was asked.
        work: makes the answer.

    Raises:
        Problem: what ``work`` raises; or the key is unusable, in use, or was used for another body.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        return await work()
    if not 1 <= len(key) <= _MOST_KEY_CHARACTERS or not (key.isascii() and key.isprintable()):
        raise Problem(
            Code.BAD_REQUEST, f"`Idempotency-Key` must be 1 to {_MOST_KEY_CHARACTERS} ASCII characters"
        )
    caller = caller_of(request)
    name, answers = "" if caller is None else caller.id, service_of(request).answers
    before = answers.begin(name, key, _digest(request, body))
    if before is not None:
        if before.code is not None:
            request.state.code = before.code
        return Response(before.body, before.status, {"Idempotent-Replayed": "true"}, "application/json")
    kept = False
    try:
        response, code = await _answered(request, work)
        kept = response.status_code < 500
        if kept:
            answers.finish(name, key, Answer(response.status_code, code, bytes(response.body)))
        return response
    finally:
        if not kept:
            answers.forget(name, key)


async def _answered(
    request: Request, work: Callable[[], Awaitable[Response]]
) -> tuple[Response, Code | None]:
    """Return an answer, and its code where it is a problem that trying again will not change."""
    try:
        return await work(), None
    except Problem as problem:
        if problem.code.status >= 500 or problem.code in _NOT_KEPT:
            raise
        request.state.code = problem.code
        return answer_of(problem, request.state.request_id), problem.code


def _digest(request: Request, body: bytes) -> str:
    """SHA-256 of path and body; the boundary of a form, new in each try, does not count."""
    _, found, rest = request.headers.get("content-type", "").partition("boundary=")
    boundary = rest.partition(";")[0].strip().strip('"').encode("latin-1", "replace")
    same = body.replace(boundary, b"") if found and boundary else body
    return hashlib.sha256(request.url.path.encode() + b"\x00" + same).hexdigest()
