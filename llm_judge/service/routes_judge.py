"""``/v1/judge`` and ``/v1/judge/batch``."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import APIRouter
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive

from llm_judge.service.access import once, spend
from llm_judge.service.body import form, media_type, parsed
from llm_judge.service.exchange import json_answer
from llm_judge.service.judging import Decided, deadline_of, wanted_of
from llm_judge.service.orders import Wanted, orders_of
from llm_judge.service.problems import Code, Problem
from llm_judge.service.replies import reply_of
from llm_judge.service.schemas import FORM, body_of, problems
from llm_judge.service.state import Service, service_of
from llm_judge.service.wire import BatchReply, BatchRequest, JudgeReply, JudgeRequest

router = APIRouter(tags=["judge"])
T = TypeVar("T")


@router.post(
    "/v1/judge",
    response_model=JudgeReply,
    responses=problems(),
    openapi_extra=body_of(JudgeRequest, FORM),
)
async def judge(request: Request) -> Response:
    """Judge one text, picture, sound or video.

    JSON with `text`, or with `media.data` in base64; or a multipart form with the file as `file` and
    everything else as JSON in `options`. A reply with status 200 always holds a decision.
    """
    service = service_of(request)
    async with service.bodies.read(request) as body:
        return await once(request, body, lambda: _judge(service, request, body))


@router.post(
    "/v1/judge/batch",
    response_model=BatchReply,
    responses=problems(),
    openapi_extra=body_of(BatchRequest),
)
async def judge_batch(request: Request) -> Response:
    """Judge several items in the same way; each has a decision or an error of its own.

    Where not one item got a decision, and not one because of what it is, the whole answer is an error.
    """
    service = service_of(request)
    async with service.bodies.read(request) as body:
        return await once(request, body, lambda: _judge_batch(service, request, body))


async def _judge(service: Service, request: Request, body: bytes) -> Response:
    asked_for, wanted = await _one_request(body, request, service)
    with service.arms.in_hand() as arms:
        orders = orders_of(asked_for, [[wanted]], arms)
        spend(request, 1)
        work = service.judging.decide(orders, deadline_of(asked_for, service.settings))
        result = (await unless_gone(request.receive, work))[0]
    if isinstance(result, Problem):
        raise result
    everything = asked_for.detail == "all"
    return json_answer(reply_of(result, request.state.request_id, everything=everything))


async def _judge_batch(service: Service, request: Request, body: bytes) -> Response:
    asked_for = parsed(body, BatchRequest, request)
    most = min(service.settings.batch_items, service.settings.queue_items)
    if len(asked_for.items) > most:
        told = f"{len(asked_for.items)} items are over the {most} of one request"
        raise Problem(Code.BAD_REQUEST, told, "send several requests")
    with service.arms.in_hand() as arms:
        orders_of(asked_for, [], arms)  # policies and overlays that are not there come before wrong items
        url_of = service.judging.url_of
        wanted = [wanted_of(item, f"items[{i}]", url_of) for i, item in enumerate(asked_for.items)]
        orders = orders_of(asked_for, [[each] for each in wanted], arms)
        spend(request, len(wanted))
        work = service.judging.decide(orders, deadline_of(asked_for, service.settings))
        results = await unless_gone(request.receive, work)
    failed = [result for result in results if isinstance(result, Problem)]
    if len(failed) == len(results) and all(problem.code.status >= 500 for problem in failed):
        raise failed[0]
    request_id, everything = request.state.request_id, asked_for.detail == "all"
    rows = [
        _row(i, asked_for.items[i].id, result, request_id, everything) for i, result in enumerate(results)
    ]
    done = len(results) - len(failed)
    return json_answer({"request_id": request_id, "decided": done, "failed": len(failed), "results": rows})


async def _one_request(body: bytes, request: Request, service: Service) -> tuple[JudgeRequest, Wanted]:
    """Read a request in either of its two forms."""
    if media_type(request) != "multipart/form-data":
        asked_for = parsed(body, JudgeRequest, request)
        return asked_for, wanted_of(asked_for, url_of=service.judging.url_of)
    fields = await form(body, request)
    try:
        return await _one_form(fields, request)
    finally:
        await fields.close()


async def _one_form(fields: FormData, request: Request) -> tuple[JudgeRequest, Wanted]:
    upload, options = fields.get("file"), fields.get("options", "{}")
    known = {"file", "options"}
    if not isinstance(upload, UploadFile) or not isinstance(options, str) or set(fields) - known:
        hint = 'curl -F file=@poster.png -F \'options={"explain": "always"}\''
        raise Problem(Code.BAD_REQUEST, "the form needs a `file`, and may have `options`; nothing else", hint)
    asked_for = parsed(options.encode("utf-8", "replace"), JudgeRequest, request, is_json=True)
    if asked_for.text is not None or asked_for.media is not None:
        told = "`options` of a form cannot hold `text` or `media`"
        raise Problem(Code.BAD_REQUEST, told, "send the `file` alone")
    return asked_for, Wanted(asked_for.id, await upload.read(), (upload.filename or "")[:255] or None)


def _row(
    index: int, id: str | None, result: Decided | Problem, request_id: str, everything: bool
) -> dict[str, Any]:
    row: dict[str, Any] = {"index": index, "id": id, "status": 200, "result": None, "error": None}
    if isinstance(result, Problem):
        return {**row, "status": result.code.status, "error": result.as_json(request_id)}
    return {**row, "result": reply_of(result, request_id, everything=everything)}


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Return what the work gives, or drop it when the client closes the connection.

    Raises:
        Problem: ``client_gone``, or what the work raises.
    """
    doing = asyncio.ensure_future(work)
    watching: asyncio.Future[None] = asyncio.ensure_future(_gone(receive))
    both: set[asyncio.Future[Any]] = {doing, watching}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        raise Problem(Code.CLIENT_GONE, Code.CLIENT_GONE.meaning)
    finally:
        for each in both:
            each.cancel()
        await asyncio.gather(*both, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    message = await receive()
    while message["type"] != "http.disconnect":
        message = await receive()
