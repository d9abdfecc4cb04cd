"""``/v1/moderations``, as OpenAI's clients call it."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from llm_judge.service.access import once, spend
from llm_judge.service.body import parsed
from llm_judge.service.exchange import json_answer
from llm_judge.service.judging import Decided, deadline_of
from llm_judge.service.moderation import (
    ModerationReply,
    ModerationRequest,
    reply_id,
    result_of,
    wanted_of_input,
)
from llm_judge.service.orders import orders_of
from llm_judge.service.problems import Code, Problem
from llm_judge.service.routes_judge import unless_gone
from llm_judge.service.schemas import body_of, problems
from llm_judge.service.state import Service, service_of
from llm_judge.service.wire import Options

router = APIRouter(tags=["moderations"])
_PLAIN = Options.model_validate({"explain": "never"})  # the reply has no room for explanations


@router.post(
    "/v1/moderations",
    response_model=ModerationReply,
    responses=problems(),
    openapi_extra=body_of(ModerationRequest),
)
async def moderations(request: Request) -> Response:
    """Judge texts, or one item of texts and pictures, and answer in the shape of OpenAI's endpoint.

    `flagged` is true for every action but `allow`. Each result has the decision, and every policy as a
    category of its own, in `llm_judge`. Where one input gets no decision, the whole answer is an error.
    """
    service = service_of(request)
    async with service.bodies.read(request) as body:
        return await once(request, body, lambda: _moderate(service, request, body))


async def _moderate(service: Service, request: Request, body: bytes) -> Response:
    asked_for = parsed(body, ModerationRequest, request)
    options = asked_for.llm_judge or _PLAIN
    wanted = wanted_of_input(asked_for, service.judging.url_of)
    flat = [each for item in wanted for each in item]
    most = min(service.settings.batch_items, service.settings.queue_items)
    if len(flat) > most:
        raise Problem(
            Code.BAD_REQUEST, f"{len(flat)} inputs are over the {most} of one request", "send several"
        )
    with service.arms.in_hand() as arms:
        orders = orders_of(options, wanted, arms)
        spend(request, len(flat))
        work = service.judging.decide(orders, deadline_of(options, service.settings))
        decided = _all_decided(await unless_gone(request.receive, work))
    results, begin = [], 0
    for item in wanted:
        results.append(result_of(decided[begin : begin + len(item)]))
        begin += len(item)
    records = [each.record for each in decided]
    model = f"llm-judge/{records[0].run.engine.model}"
    return json_answer({"id": reply_id(records), "model": model, "results": results})


def _all_decided(results: Sequence[Decided | Problem]) -> list[Decided]:
    """Return the decisions; raises the first problem, with the place of its input."""
    records = []
    for i, result in enumerate(results):
        if isinstance(result, Problem):
            if len(results) > 1:
                result.message = f"input[{i}]: {result.message}"
            raise result
        records.append(result)
    return records
