"""``/livez``, ``/readyz`` and ``/metrics``: for whoever runs the service."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from llm_judge.service.exchange import json_answer
from llm_judge.service.problems import Code, Problem
from llm_judge.service.schemas import REFUSED, problems_at
from llm_judge.service.state import service_of
from llm_judge.service.wire import LiveReply, ReadyReply

router = APIRouter(tags=["operation"])
measured = APIRouter(tags=["operation"])


@router.get("/livez", response_model=LiveReply)
async def livez() -> Response:
    """Whether the process answers at all."""
    return json_answer({"live": True})


@router.get("/readyz", response_model=ReadyReply, responses=problems_at(Code.NOT_READY, Code.DRAINING))
async def readyz(request: Request) -> Response:
    """Whether the guidelines are verified, the canary came out right, records can be kept, nothing stops."""
    service = service_of(request)
    if service.queue.draining:
        raise Problem(Code.DRAINING, "the service is stopping", retry_after=5)
    if service.health.wrong is not None:
        raise Problem(Code.NOT_READY, service.health.wrong, retry_after=5)
    if (wrong := await service.store.look()) is not None:
        raise Problem(Code.NOT_READY, wrong, retry_after=5)
    guidelines, info = service.judges.guidelines, service.judges.engine.info
    return json_answer(
        {
            "ready": True,
            "revision": guidelines.revision,
            "policy_digest": guidelines.digest,
            "engine": info.engine,
            "model": info.model,
        }
    )


@measured.get("/metrics", response_class=PlainTextResponse, responses=problems_at(*REFUSED))
async def metrics(request: Request) -> Response:
    """Metrics for Prometheus."""
    service = service_of(request)
    fit = service.health.wrong is None and service.store.wrong is None
    service.metrics.ready(fit and not service.queue.draining)
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
