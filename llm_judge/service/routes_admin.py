"""``/v1/admin``: put new revisions in force, and say which share of the items a candidate answers."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from llm_judge.errors import UsageError
from llm_judge.service.body import parsed
from llm_judge.service.exchange import json_answer
from llm_judge.service.problems import Code, Problem
from llm_judge.service.rollout.reload import Reloaded
from llm_judge.service.rollout.wire import ReloadReply, ReloadRequest, RolloutReply, ShareRequest
from llm_judge.service.schemas import REFUSED, body_of, problems_at
from llm_judge.service.state import Service, service_of

router = APIRouter(tags=["admin"])
_BODIES = (
    Code.BAD_JSON,
    Code.BODY_TOO_SLOW,
    Code.BODY_TOO_LARGE,
    Code.UNSUPPORTED_BODY,
    Code.BAD_REQUEST,
    Code.NOT_USABLE,
    Code.OVERLOADED,
)


@router.post(
    "/v1/admin/reload",
    response_model=ReloadReply,
    responses=problems_at(Code.RELOAD_REFUSED, *_BODIES, *REFUSED),
    openapi_extra=body_of(ReloadRequest),
)
async def reload(request: Request) -> Response:
    """Load guidelines, calibration and adapters anew, as the command line named them.

    Each new revision is verified and judges its canaries before it answers; requests in hand finish by the
    old one. One that is not fit is refused with `reload_refused`, and the old one goes on. The body is `{}`.
    """
    service = service_of(request)
    async with service.bodies.read(request) as body:
        parsed(body, ReloadRequest, request)
    try:
        results = await asyncio.to_thread(service.rollout.reload)
    except UsageError as error:
        raise Problem(Code.NOT_USABLE, error.message, error.hint) from None
    if any(result.error is not None for result in results):
        raise _refused(results)
    arms = [{"arm": each.arm.value, "before": each.before, "after": each.after} for each in results]
    return json_answer({"request_id": request.state.request_id, "reloaded": arms})


@router.get("/v1/admin/rollout", response_model=RolloutReply, responses=problems_at(*REFUSED))
async def rollout(request: Request) -> Response:
    """Show which revisions are in force, the candidate's share, and how the two compare."""
    return json_answer(_status(service_of(request), request))


@router.put(
    "/v1/admin/rollout",
    response_model=RolloutReply,
    responses=problems_at(*_BODIES, *REFUSED),
    openapi_extra=body_of(ShareRequest),
)
async def set_share(request: Request) -> Response:
    """Say which share of the items the candidate answers, from the next request on; 0 rolls back."""
    service = service_of(request)
    async with service.bodies.read(request) as body:
        wanted = parsed(body, ShareRequest, request)
    try:
        service.rollout.set_share(wanted.share, wanted.reason)
    except UsageError as error:
        raise Problem(Code.NOT_USABLE, error.message, error.hint) from None
    return json_answer(_status(service, request))


def _status(service: Service, request: Request) -> dict[str, Any]:
    return {"request_id": request.state.request_id, **service.rollout.status()}


def _refused(results: list[Reloaded]) -> Problem:
    told = [
        f"{each.arm.value}: {each.error.message}" if each.error else f"{each.arm.value}: in force"
        for each in results
    ]
    hint = next((each.error.hint for each in results if each.error and each.error.hint), None)
    return Problem(Code.RELOAD_REFUSED, "; ".join(told), hint)
