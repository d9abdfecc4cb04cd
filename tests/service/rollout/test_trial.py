"""A candidate beside what is in force: compared, given a share, and taken back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from serving import FAILS_ON, FIRES_ON
from trying import HeldEngine, milder, running, scripted, service_with, until

from llm_judge.service.arms import Arm
from llm_judge.service.rollout.comparison_file import ComparisonFile
from llm_judge.service.rollout.guard import RollbackLimits
from llm_judge.service.rollout.rollout import RolloutPlan


@contextmanager
def trial(engine: Any = None, candidate: Any = None, settings: Any = None, **plan: Any) -> Iterator[Any]:
    """A client of a service that tries a candidate; ``service`` is on it."""
    service = service_with(
        engine or scripted(), candidate=candidate or milder(), plan=RolloutPlan(**plan), **(settings or {})
    )
    assert service.health.check() is None
    with running(service) as url, httpx.Client(base_url=url, timeout=60) as client:
        client.service = service  # type: ignore[attr-defined]
        yield client
    service.close()


def judged(client: Any, **request: Any) -> dict[str, Any]:
    answer = client.post("/v1/judge", json={"text": FIRES_ON, "explain": "never", **request})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def compared(client: Any, count: int) -> dict[str, Any]:
    """The counts, as soon as there are so many."""
    until(lambda: client.get("/v1/admin/rollout").json()["comparisons"]["compared"] >= count)
    return dict(client.get("/v1/admin/rollout").json()["comparisons"])


def test_the_candidate_judges_beside_and_never_answers(tmp_path: Path) -> None:
    file = tmp_path / "compared.jsonl"
    with trial(file=ComparisonFile(file)) as client:
        replies = [judged(client, text=text) for text in (FIRES_ON, "Water it.", FIRES_ON)]
        assert [(r["action"], r["arm"]) for r in replies] == [
            ("remove", "stable"), ("allow", "stable"), ("remove", "stable"),
        ]  # fmt: skip
        counts = compared(client, 3)
        assert counts["same"] == 1
        assert counts["flips"] == [{"stable": "remove", "candidate": "review", "count": 2}]
    text = file.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["decision_id"] for line in lines] == [reply["decision_id"] for reply in replies]
    assert lines[0]["stable"]["identity"]["policy_digest"] == replies[0]["run"]["policy_digest"]
    assert "drown" not in text and "Water" not in text


def test_a_candidate_that_hangs_delays_nothing_and_what_it_has_no_time_for_is_dropped() -> None:
    stuck = HeldEngine(reads=scripted().reads)
    try:
        with trial(candidate=milder(stuck), settings={"shadow_items": 2}) as client:
            for number in range(6):
                assert judged(client, id=str(number))["action"] == "remove"
            metrics = client.get("/metrics").text
            assert 'judge_shadow_items_total{result="dropped"} 4.0' in metrics
            assert "judge_queue_items 0.0" in metrics
            stuck.go.set()
            assert compared(client, 2)["compared"] == 2
    finally:
        stuck.go.set()


def test_of_one_engine_the_candidate_waits_until_nothing_is_in_hand() -> None:
    held = HeldEngine(reads=scripted().reads)
    held.go.set()
    with trial(held, milder(held)) as client:
        judged(client)
        compared(client, 1)
        held.go.clear()
        held.entered.clear()
        client.service.queue.admitted += 1  # something is in hand
        held.go.set()
        judged(client)
        assert client.get("/v1/admin/rollout").json()["comparisons"]["compared"] == 1
        client.service.queue.admitted -= 1
        compared(client, 2)


def test_a_candidate_that_fails_beside_is_counted_and_no_more() -> None:
    broken = scripted(failures=[("", "nothing works")])
    with trial(candidate=milder(broken)) as client:
        for _ in range(4):
            assert judged(client)["action"] == "remove"
        until(lambda: 'judge_shadow_items_total{result="failed"} 4.0' in client.get("/metrics").text)
        assert client.get("/readyz").status_code == 200


def test_each_item_keeps_its_arm_and_a_share_that_grows_keeps_its_items() -> None:
    with trial(share=30.0) as client:
        ids = [f"post-{number}" for number in range(40)]
        arms = {id: judged(client, id=id)["arm"] for id in ids}
        assert {judged(client, id=id)["arm"] == arm for id, arm in arms.items()} == {True}
        batch = client.post(
            "/v1/judge/batch", json={"items": [{"id": id, "text": "Water it."} for id in ids]}
        )
        assert [row["result"]["arm"] for row in batch.json()["results"]] == list(arms.values())
        first = {id for id, arm in arms.items() if arm == "candidate"}
        assert 3 <= len(first) <= 25
        client.put("/v1/admin/rollout", json={"share": 60}).raise_for_status()
        more = {id for id in ids if judged(client, id=id)["arm"] == "candidate"}
        assert first < more
        for id in first:
            reply = judged(client, id=id)
            assert (reply["action"], reply["revision"]) == ("review", "candidate")
        assert len({judged(client, id=id, context={"user": "ana"})["arm"] for id in ids}) == 1


def test_a_moderation_says_which_arm() -> None:
    with trial(share=100.0) as client:
        (result,) = client.post("/v1/moderations", json={"input": FIRES_ON}).json()["results"]
        assert result["llm_judge"]["arms"] == ["candidate"] and result["llm_judge"]["action"] == "review"


def test_what_the_candidate_does_not_know_the_stable_revision_answers() -> None:
    with trial(share=100.0) as client:
        assert judged(client)["arm"] == "candidate"
        assert judged(client, overlays=["teens"])["arm"] == "stable"


def test_where_the_candidate_fails_the_stable_revision_answers() -> None:
    broken = scripted(failures=[("drown", "nothing works"), ("unplugged", "no more")])
    with trial(candidate=milder(broken), share=100.0) as client:
        reply = judged(client)
        assert (reply["action"], reply["arm"]) == ("remove", "stable")
        metrics = client.get("/metrics").text
        assert 'judge_arm_items_total{arm="candidate",outcome="failed"} 1.0' in metrics
        assert 'judge_arm_decisions_total{action="remove",arm="stable"} 1.0' in metrics
        items = [{"text": f"{FIRES_ON} {number}"} for number in range(6)]
        assert client.post("/v1/judge/batch", json={"items": items}).json()["decided"] == 6
        assert client.get("/readyz").status_code == 200  # the stable revision can judge
        assert client.post("/v1/judge", json={"text": FAILS_ON}).status_code == 503  # both fail


def test_too_many_failures_roll_back() -> None:
    broken = scripted(failures=[("drown", "nothing works")])
    limits = RollbackLimits(engine_errors=0.2, minimum=5)
    with trial(candidate=milder(broken), share=100.0, limits=limits) as client:
        for number in range(4):
            judged(client, id=str(number))
        assert client.get("/v1/admin/rollout").json()["share"] == 100
        judged(client, id="one more")
        status = client.get("/v1/admin/rollout").json()
        assert status["share"] == 0 and status["reason"].startswith("rolled back: engine_errors")
        assert 'judge_rollbacks_total{limit="engine_errors"} 1.0' in client.get("/metrics").text
        assert client.service.arms.now.arm_of("anything") is Arm.STABLE


def test_too_much_disagreement_rolls_back_too() -> None:
    limits = RollbackLimits(disagreement=0.5, minimum=3)
    with trial(share=1.0, limits=limits) as client:
        for number in range(6):
            judged(client, id=str(number))
        until(lambda: client.get("/v1/admin/rollout").json()["share"] == 0)
        assert "disagreement" in client.get("/v1/admin/rollout").json()["reason"]


def test_one_request_takes_the_candidate_back() -> None:
    with trial(share=100.0) as client:
        assert judged(client)["arm"] == "candidate"
        reply = client.put("/v1/admin/rollout", json={"share": 0, "reason": "it is milder"}).json()
        assert (reply["share"], reply["reason"]) == (0, "it is milder")
        assert judged(client)["arm"] == "stable"
        for wrong in ({"share": 101}, {"share": -1}, {"share": "x"}, {}, {"share": 1, "reason": "a\nb"}):
            assert client.put("/v1/admin/rollout", json=wrong).json()["error"]["code"] == "bad_request"


def test_a_rollback_outlives_the_process(tmp_path: Path) -> None:
    broken = scripted(failures=[("drown", "nothing works")])
    plan = {"state": tmp_path / "state.json", "share": 100.0, "limits": RollbackLimits(minimum=3)}
    with trial(candidate=milder(broken), **plan) as client:
        for number in range(3):
            judged(client, id=str(number))
        assert client.service.arms.now.share == 0
    with trial(candidate=milder(broken), **plan) as client:
        status = client.get("/v1/admin/rollout").json()
        assert status["share"] == 0 and status["reason"].startswith("rolled back")
    another = milder(other=True)
    with trial(candidate=another, **plan) as client:
        assert client.service.arms.now.share == 100  # another candidate begins as it is told


def test_without_a_candidate_there_is_no_share_to_give() -> None:
    service = service_with(scripted())
    with running(service) as url:
        answer = httpx.put(f"{url}/v1/admin/rollout", json={"share": 5})
        assert answer.json()["error"]["code"] == "not_usable"
        assert httpx.get(f"{url}/v1/admin/rollout").json()["candidate"] is None
        answer = httpx.post(f"{url}/v1/admin/reload", json={})
        assert answer.json()["error"]["code"] == "not_usable"
    service.close()
