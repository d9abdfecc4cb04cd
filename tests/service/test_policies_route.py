"""``/v1/policies``: what is judged by can be read; nothing else can."""

from __future__ import annotations

import httpx
import pytest

from llm_judge.service.state import Service
from llm_judge.service.wire import PoliciesReply, PolicyReply


def test_policies_and_overlays_are_listed(client: httpx.Client, service: Service) -> None:
    reply = PoliciesReply.model_validate_json(client.get("/v1/policies").content)
    assert [policy.id for policy in reply.policies] == ["garden/plants", "market/sales"]
    assert [(overlay.name, overlay.applies_to["min_age"]) for overlay in reply.overlays] == [("teens", 13)]
    assert reply.policy_digest == service.judges.guidelines.digest


def test_the_digest_is_that_of_records(client: httpx.Client) -> None:
    record = client.post("/v1/judge", json={"text": "a"}).json()
    assert client.get("/v1/policies").json()["policy_digest"] == record["run"]["policy_digest"]


def test_a_policy_is_shown_whole(client: httpx.Client) -> None:
    reply = PolicyReply.model_validate_json(client.get("/v1/policies/garden/plants").content)
    assert [rule["id"] for rule in reply.policy["rules"]] == ["R1", "R2"]


@pytest.mark.parametrize(
    "path",
    ["garden", "garden/plants/", "../../etc/passwd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "garden/plants%00"],
)
def test_nothing_but_a_policy_id_is_found(client: httpx.Client, path: str) -> None:
    answer = client.get(f"/v1/policies/{path}", follow_redirects=True)
    assert answer.status_code == 404 and answer.json()["error"]["code"] == "not_found"
