"""``/v1/policies``: what the service judges by."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from llm_judge.service.exchange import json_answer
from llm_judge.service.problems import Code, Problem
from llm_judge.service.schemas import REFUSED, problems_at
from llm_judge.service.state import service_of
from llm_judge.service.wire import PoliciesReply, PolicyReply

router = APIRouter(tags=["policies"])


@router.get("/v1/policies", response_model=PoliciesReply, responses=problems_at(*REFUSED))
async def policies(request: Request) -> Response:
    """List the policies in force, and the overlays that can be laid over them."""
    guidelines = service_of(request).judges.guidelines
    return json_answer(
        {
            "policy_digest": guidelines.digest,
            "revision": guidelines.revision,
            "policies": [
                {
                    "id": policy.policy,
                    "version": policy.version_in_force,
                    "title": policy.title,
                    "summary": policy.summary,
                    "status": policy.status.value,
                    "rules": len(policy.rules),
                    "modalities": [modality.value for modality in policy.modalities],
                    "on_error": policy.on_error.value,
                }
                for policy in guidelines.policies
            ],
            "overlays": [
                {
                    "name": name,
                    "version": overlay.version,
                    "title": overlay.title,
                    "applies_to": overlay.applies_to.model_dump(mode="json"),
                }
                for name, overlay in guidelines.overlays.items()
            ],
        }
    )


@router.get(
    "/v1/policies/{policy_id:path}",
    response_model=PolicyReply,
    responses=problems_at(Code.NOT_FOUND, *REFUSED),
)
async def policy(policy_id: str, request: Request) -> Response:
    """Show one policy whole, as it is judged by without overlays. Its id holds a slash: `safety/hate`."""
    guidelines = service_of(request).judges.guidelines
    found = next((each for each in guidelines.policies if each.policy == policy_id), None)
    if found is None:
        raise Problem(Code.NOT_FOUND, "there is no such policy", "GET /v1/policies lists them")
    shown = found.model_dump(mode="json", by_alias=True)
    return json_answer({"policy_digest": guidelines.digest, "revision": guidelines.revision, "policy": shown})
