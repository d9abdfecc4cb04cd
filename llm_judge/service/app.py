"""The application: routes, problems as answers, and what runs beside them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Depends, FastAPI, Security
from fastapi.openapi.utils import get_openapi
from fastapi.security import HTTPBearer
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from llm_judge import __version__
from llm_judge.service import (
    routes_admin,
    routes_decisions,
    routes_health,
    routes_judge,
    routes_moderations,
    routes_policies,
)
from llm_judge.service.access import caller_with
from llm_judge.service.decisions import ReplayRequest, ReviewRequest
from llm_judge.service.exchange import Exchange, answer_of
from llm_judge.service.keys import Scope
from llm_judge.service.moderation import ModerationRequest
from llm_judge.service.problems import Code, Problem
from llm_judge.service.rollout.wire import ReloadRequest, ShareRequest
from llm_judge.service.state import Service, service_of
from llm_judge.service.wire import BatchRequest, JudgeRequest

_TITLE = "llm-judge"
_ABOUT = (
    "Moderation decisions by Community Guidelines. A 200 holds a decision, everything else a typed error."
)
_OUR_FAULT = 500  # the least status of an answer that says: not because of what was sent
_JUDGING = ("/v1/judge", "/v1/moderations")  # routes where content waits for what to do with it
_OF_STATUS = {404: Code.NOT_FOUND, 405: Code.METHOD_NOT_ALLOWED}
_SCOPES = (
    (routes_judge.router, Scope.JUDGE),
    (routes_moderations.router, Scope.JUDGE),
    (routes_policies.router, Scope.POLICIES),
    (routes_health.measured, Scope.METRICS),
    (routes_admin.router, Scope.ADMIN),
)
_OF_RECORDS = (
    (routes_decisions.router, Scope.DECISIONS),
    (routes_decisions.reviewing, Scope.REVIEWS),
)
_BEARER = HTTPBearer(auto_error=False, description="An API key, where the service asks for one.")
_READ_BY_HAND = (JudgeRequest, BatchRequest, ModerationRequest, ReloadRequest, ShareRequest)
_READ_OF_RECORDS = (ReplayRequest, ReviewRequest)


def create_app(service: Service) -> FastAPI:
    """Return the application in front of a service; the service is closed by whoever built it."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        rechecking = asyncio.create_task(_recheck(service))
        try:
            yield
        finally:
            rechecking.cancel()
            await asyncio.gather(rechecking, return_exceptions=True)

    app = bare_app(lifespan, keeps_records=service.records is not None)
    app.state.service = service
    app.add_middleware(Exchange, metrics=service.metrics, spans=service.spans)
    return app


def bare_app(lifespan: Any = None, *, keeps_records: bool = True) -> FastAPI:
    """Return the application without a service behind it: enough to describe it, too little to answer.

    Args:
        lifespan: as FastAPI takes it.
        keeps_records: whether there are routes to decisions that were kept.
    """
    # FastAPI has telemetry of its own, which an environment variable turns on, and which sends the words of
    # exceptions; versions without it take no notice of ``telemetry``.
    app = FastAPI(
        title=_TITLE,
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        telemetry={"auto_configure": False, "tracing": False, "metrics": False, "logs": False},
    )
    for router, scope in (*_SCOPES, *(_OF_RECORDS if keeps_records else ())):
        app.include_router(router, dependencies=[Depends(caller_with(scope)), Security(_BEARER)])
    app.include_router(routes_health.router)
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(HTTPException, _answer_http)
    app.openapi = lambda: openapi(app, keeps_records)  # type: ignore[method-assign]
    return app


async def _recheck(service: Service) -> None:
    """Judge the canaries again for as long as the service is not ready."""
    while True:
        await asyncio.sleep(service.settings.recheck_seconds)
        if service.health.wrong is not None:
            await asyncio.to_thread(service.health.check)


async def _answer_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101  # registered for nothing else
    request.state.code = error.code
    _fail_mode_of(error, request)
    return answer_of(error, request.state.request_id)


def _fail_mode_of(problem: Problem, request: Request) -> None:
    """Say what ``on_error`` wants where the service is at fault, whoever in it found out, and count it."""
    route = getattr(request.scope.get("route"), "path", "")
    if problem.code.status < _OUR_FAULT or not route.startswith(_JUDGING):
        return
    service = service_of(request)
    problem.action = problem.action or service.on_error
    service.metrics.failed(problem)


async def _answer_http(request: Request, error: Exception) -> Response:
    """Answer what the router itself refuses: an unknown path, a wrong method."""
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for nothing else
    code = _OF_STATUS.get(error.status_code, Code.BAD_REQUEST)
    answer = await _answer_problem(request, Problem(code, code.meaning, "GET /openapi.json lists every path"))
    answer.headers.update({k: v for k, v in (error.headers or {}).items() if k.lower() == "allow"})
    return answer


def openapi(app: FastAPI, keeps_records: bool) -> dict[str, Any]:
    """Return the OpenAPI of the application, with the bodies that routes read by hand."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        read = (*_READ_BY_HAND, *(_READ_OF_RECORDS if keeps_records else ()))
        shapes = [(shape, "validation") for shape in read]
        _, named = models_json_schema(shapes, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
        schema["components"]["schemas"].update(named["$defs"])
        app.openapi_schema = schema
    return app.openapi_schema
