"""``/v1/decisions/{id}``: what was kept of an answer, judged again, and reviewed. Only where a store is."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from llm_judge.content.content import Modality
from llm_judge.errors import StoreError, UsageError
from llm_judge.judge import Explain
from llm_judge.service.access import once, spend
from llm_judge.service.arms import Arm
from llm_judge.service.body import parsed
from llm_judge.service.decisions import (
    DecisionReply,
    ReplayReply,
    ReplayRequest,
    ReviewReply,
    ReviewRequest,
    decision_json,
    replay_json,
)
from llm_judge.service.engine_queue import log_error
from llm_judge.service.exchange import json_answer
from llm_judge.service.judging import deadline_of, wanted_of
from llm_judge.service.keeping import Records
from llm_judge.service.orders import Way, judge_key
from llm_judge.service.problems import Code, Problem, problem_of
from llm_judge.service.routes_judge import unless_gone
from llm_judge.service.schemas import REFUSED, body_of, problems, problems_at
from llm_judge.service.state import Service, service_of
from llm_judge.service.wire import Item, Options
from llm_judge.store.replay import asked_of, compare, content_of

router = APIRouter(tags=["decisions"])
reviewing = APIRouter(tags=["decisions"])
T = TypeVar("T")
_ID = re.compile("[0-9A-Za-z_.:-]{1,64}", re.ASCII)
_FOUND = (Code.NOT_FOUND, Code.ERASED, Code.RECORDS_UNAVAILABLE, *REFUSED)
_PATH = "/v1/decisions/{decision_id}"


@router.get(_PATH, response_model=DecisionReply, responses=problems_at(*_FOUND))
async def decision(decision_id: str, request: Request) -> Response:
    """Show a decision as it is kept, with its reviews. An erased one is a 410 that says why."""
    stored = await _stored(_records(service_of(request)), decision_id)
    return json_answer(decision_json(stored, request.state.request_id))


@router.post(
    f"{_PATH}/replay",
    response_model=ReplayReply,
    responses=problems(),
    openapi_extra=body_of(ReplayRequest, required=False),
)
async def replay(decision_id: str, request: Request) -> Response:
    """Judge what was judged again, and say whether the decision is the same and what differs.

    The content is the one that is kept, or the one in the body, which must be the same to the byte. Counts as
    one item against quotas. What comes out is not kept and decides nothing.
    """
    service = service_of(request)
    async with service.bodies.read(request) as body:
        return await once(request, body, lambda: _replay(service, request, decision_id, body))


@reviewing.post(
    f"{_PATH}/reviews",
    response_model=ReviewReply,
    responses=problems(),
    openapi_extra=body_of(ReviewRequest),
)
async def review(decision_id: str, request: Request) -> Response:
    """Keep what a person says of one rule of a decision; the last review of a rule counts."""
    service = service_of(request)
    async with service.bodies.read(request) as body:
        return await once(request, body, lambda: _review(service, request, decision_id, body))


async def _replay(service: Service, request: Request, decision_id: str, body: bytes) -> Response:
    asked_for = parsed(body, ReplayRequest, request) if body else ReplayRequest()
    options = Options(overlays=asked_for.overlays, explain=Explain.NEVER, deadline_ms=asked_for.deadline_ms)
    judge_key(options, service.judges)  # an overlay that is not there comes before everything else
    given, records = _given(asked_for), _records(service)
    record: Any = (await _stored(records, decision_id)).record
    data = await _from_store(lambda: records.content(decision_id)) if given is None else given
    digest = record["item"].get("sha256")
    if not digest:
        raise Problem(
            Code.NOT_USABLE, "this decision is of an item that could not be judged", "judge it anew"
        )
    if data is None:
        hint = "send what was judged as `text` or `media`"
        raise Problem(Code.CONTENT_NOT_KEPT, Code.CONTENT_NOT_KEPT.meaning, hint)
    if hashlib.sha256(data).hexdigest() != digest:
        hint = "send it as it was sent, to the byte"
        raise Problem(Code.OTHER_CONTENT, Code.OTHER_CONTENT.meaning, hint)
    spend(request, 1)
    with service.arms.in_hand() as arms:
        judges = arms.stable.judges
        asked = asked_of(judges.plain.compiled, record, Modality(record["item"]["modality"]))
        way = Way(Arm.STABLE, arms.stable, judge_key(options, judges), asked)
        limits = way.limits(service.settings.limits)
        work = service.judging.judge_again(
            lambda: content_of(record, data, limits), way, deadline_of(options, service.settings)
        )
        now = await unless_gone(request.receive, work)
    return json_answer(replay_json(decision_id, compare(record, now), request.state.request_id))


def _given(asked_for: ReplayRequest) -> bytes | None:
    """The content in the body, if any; raises ``Problem`` where it cannot be read."""
    if asked_for.text is None and asked_for.media is None:
        return None
    return wanted_of(Item(text=asked_for.text, media=asked_for.media)).content


async def _review(service: Service, request: Request, decision_id: str, body: bytes) -> Response:
    from llm_judge.store.reviews import Review
    from llm_judge.verdict import Outcome

    asked_for = parsed(body, ReviewRequest, request)
    if any("\0" in (word or "") for word in (asked_for.reviewer, asked_for.exemption, asked_for.note)):
        raise Problem(Code.BAD_REQUEST, "a review holds no NUL characters", "leave them out")
    records = _records(service)
    await _stored(records, decision_id)
    said = Review(
        **{**asked_for.model_dump(), "decision_id": decision_id, "verdict": Outcome(asked_for.verdict)}
    )
    try:
        kept = await _from_store(lambda: records.add_review(said))
    except UsageError as error:
        raise Problem(
            Code.BAD_REQUEST, problem_of(error).message, "GET the decision: it has its rules"
        ) from None
    return json_answer(asdict(kept))


def _records(service: Service) -> Records:
    assert service.records is not None  # noqa: S101  # these routes exist only with a store
    return service.records


async def _stored(records: Records, decision_id: str) -> Any:
    """Return a decision that is there; raises ``Problem`` for another."""
    stored = None
    if _ID.fullmatch(decision_id):
        stored = await _from_store(lambda: records.get(decision_id))
    if stored is None:
        raise Problem(Code.NOT_FOUND, "there is no such decision", "a reply names it as `decision_id`")
    if stored.record is None:
        why = f": {stored.erased.reason}" if stored.erased else ""
        when = f" at {stored.erased.at}" if stored.erased else ""
        raise Problem(Code.ERASED, f"the decision was erased{when}{why}", "it does not come back")
    return stored


async def _from_store(call: Callable[[], T]) -> T:
    """Ask the store in another thread; raises ``Problem`` where it cannot answer now."""
    try:
        return await asyncio.to_thread(call)
    except StoreError as error:
        log_error("record store failed", error)
        hint = "try again; the operator finds the reason in the service's log"
        code = Code.RECORDS_UNAVAILABLE
        raise Problem(code, code.meaning, hint, retry_after=1) from None
