"""``/v1/decisions``: every answer is kept before it is given, and can be shown, judged again and reviewed."""

from __future__ import annotations

import base64
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import FIRES_ON, running, scripted, service_with

from llm_judge.errors import StoreUnavailable
from llm_judge.service.decisions import DecisionReply, ReplayReply, ReviewReply
from llm_judge.service.keys import KeyRing, Scope, create_key
from llm_judge.service.state import Service
from llm_judge.store.decision_store import DecisionStore
from llm_judge.store.erasure import Scope as Erased
from llm_judge.store.erasure import purge
from llm_judge.store.lookups import Filter
from llm_judge.store.verification import verify

Serve = Callable[..., tuple[httpx.Client, DecisionStore, Service]]


@contextmanager
def served(where: str | Path, **options: Any) -> Iterator[tuple[httpx.Client, DecisionStore, Service]]:
    keys = options.pop("keys", None)
    with ExitStack() as stack:
        store = stack.enter_context(DecisionStore(where, wait_s=0.2, **options))
        service = service_with(scripted(), records=store, keys=keys)
        stack.callback(service.close)
        url = stack.enter_context(running(service))
        yield stack.enter_context(httpx.Client(base_url=url, timeout=30)), store, service


@pytest.fixture
def serve(where: str) -> Iterator[Serve]:
    """Starts a service that keeps its records in a database of its own, SQLite or PostgreSQL."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(served(where, **options))


def judged(client: httpx.Client, text: str = FIRES_ON, **more: Any) -> str:
    answer = client.post("/v1/judge", json={"text": text, "explain": "never", **more})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["decision_id"])


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_every_answer_is_kept_also_of_an_item_that_is_repeated(serve: Serve) -> None:
    client, store, _ = serve()
    ids = [
        judged(client, id="post-1"),
        judged(client, id="post-1"),
        judged(client, id="post-1", detail="all"),
    ]
    batch = {"items": [{"id": "post-1", "text": FIRES_ON}, {"id": "post-1", "text": FIRES_ON}, {"text": " "}]}
    rows = client.post("/v1/judge/batch", json=batch).json()["results"]
    ids += [row["result"]["decision_id"] for row in rows if row["status"] == 200]
    moderated = client.post("/v1/moderations", json={"input": [FIRES_ON, "Water it."]}).json()
    for result in moderated["results"]:
        ids += result["llm_judge"]["decision_ids"]
    assert len(ids) == len(set(ids)) == 7
    assert {each.decision_id for each in store.latest(20)} == set(ids)
    assert verify(store.database, None).good
    reply = DecisionReply.model_validate_json(client.get(f"/v1/decisions/{ids[0]}").content)
    assert (reply.record["item"]["id"], reply.record["action"]) == ("post-1", "remove")
    assert not reply.keeps_content and "drown" not in client.get(f"/v1/decisions/{ids[0]}").text


def test_a_request_sent_again_is_one_record(serve: Serve) -> None:
    client, store, _ = serve()
    headers = {"Idempotency-Key": "one"}
    one, other = (client.post("/v1/judge", json={"text": FIRES_ON}, headers=headers) for _ in range(2))
    assert one.content == other.content and len(store.latest()) == 1


def test_hostile_item_ids_are_kept_as_they_are(serve: Serve) -> None:
    client, store, _ = serve()
    ids = [
        "a\x00b",
        "'; DROP TABLE entries; --",
        "../../etc/passwd",
        "\u202e\U0001f47e",
        "\r\nX: y",
        "x" * 255,
    ]
    for id in ids:
        answer = client.post("/v1/judge", json={"text": FIRES_ON, "id": id})
        kept = store.get(answer.json()["decision_id"]) if answer.status_code == 200 else None
        assert kept and kept.record and kept.record["item"]["id"] == id, (id, answer.text)
    assert verify(store.database, None).good


@pytest.mark.parametrize(
    "id",
    [
        "0" * 32,
        "..",
        "%2e%2e%2f%2e%2e",
        "a%00b",
        "a%0d%0aX:y",
        "x" * 65,
        "%27%20OR%201=1--",
        "%F0%9F%91%BE",
        "%ff",
    ],
)
def test_an_id_that_is_none_is_not_found(client: httpx.Client, id: str) -> None:
    for answer in (client.get(f"/v1/decisions/{id}"), client.post(f"/v1/decisions/{id}/replay")):
        assert code(answer) == (404, "not_found")


def test_an_erased_decision_says_why(serve: Serve) -> None:
    client, store, _ = serve(store_content=True)
    gone, bare = judged(client), judged(client, "Please drown it too.")
    purge(store.database, Filter(decision=gone), Erased.ALL, "erasure request 12")
    purge(store.database, Filter(decision=bare), Erased.CONTENT, "retention")
    for answer in (client.get(f"/v1/decisions/{gone}"), client.post(f"/v1/decisions/{gone}/replay")):
        assert code(answer) == (410, "erased") and "erasure request 12" in answer.json()["error"]["message"]
    assert client.get(f"/v1/decisions/{bare}").json()["keeps_content"] is False
    assert code(client.post(f"/v1/decisions/{bare}/replay")) == (422, "content_not_kept")


def test_what_is_kept_is_judged_again(serve: Serve) -> None:
    client, store, service = serve(store_content=True)
    id = judged(client)
    reply = ReplayReply.model_validate_json(client.post(f"/v1/decisions/{id}/replay").content)
    assert (reply.same, reply.action, reply.run, reply.largest_shift) == (True, "remove", (), 0.0)
    service.judges.engine.reads = []  # type: ignore[attr-defined]  # as another model would answer
    reply = ReplayReply.model_validate_json(client.post(f"/v1/decisions/{id}/replay").content)
    assert (reply.same, reply.action) == (False, "allow")
    assert {"action", "garden/plants#R1"} <= {each.what for each in reply.differences}
    assert len(store.latest()) == 1  # what a replay says is kept nowhere


def test_what_is_not_kept_must_be_sent_to_the_byte(serve: Serve) -> None:
    client, *_ = serve()
    path = f"/v1/decisions/{judged(client)}/replay"
    assert code(client.post(path)) == (422, "content_not_kept")
    assert code(client.post(path, json={"text": FIRES_ON + " "})) == (422, "other_content")
    assert code(client.post(path, json={"txt": FIRES_ON})) == (422, "bad_request")
    data = base64.b64encode(FIRES_ON.encode()).decode()
    for body in ({"text": FIRES_ON}, {"media": {"data": data}}):
        assert client.post(path, json=body).json()["same"] is True


def test_a_replay_asks_as_it_was_asked(serve: Serve) -> None:
    client, *_ = serve(store_content=True)
    id = judged(client, policies=["market/sales"], overlays=["teens"])
    path = f"/v1/decisions/{id}/replay"
    told = client.post(path, json={"overlays": ["teens"]}).json()
    assert (told["same"], told["run"], told["action"]) == (True, [], "allow")
    assert "policy_digest" in {each["what"] for each in client.post(path).json()["run"]}
    assert code(client.post(path, json={"overlays": ["none"]})) == (422, "unknown_overlay")


def test_a_review_is_kept_and_shown(serve: Serve) -> None:
    client, *_ = serve()
    id = judged(client)
    path = f"/v1/decisions/{id}/reviews"
    body = {"rule": "garden/plants#R1", "verdict": "clear", "reviewer": "ana", "note": "A plant of paper."}
    kept = ReviewReply.model_validate_json(client.post(path, json=body).content)
    assert (kept.said, kept.verdict, kept.note) == ("violates", "clear", "A plant of paper.")
    shown = DecisionReply.model_validate_json(client.get(f"/v1/decisions/{id}").content)
    assert shown.reviews == (kept,)
    for wrong in ({"rule": "garden/plants#R9"}, {"verdict": "exempt"}, {"note": "\x00"}, {"reviewer": " "}):
        assert code(client.post(path, json={**body, **wrong})) == (422, "bad_request")
    assert code(client.post("/v1/decisions/none/reviews", json=body)) == (404, "not_found")


def test_a_store_that_fails_gives_no_answer_and_then_all_of_them_again(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, store, _ = serve()
    id = judged(client)

    def lost(_: object) -> None:
        raise StoreUnavailable("the record store `postgresql://secret@db` cannot be reached")

    with monkeypatch.context() as broken:
        broken.setattr(store.database, "read", lost)
        broken.setattr(store.database, "write", lost)
        answer = client.post("/v1/judge", json={"text": FIRES_ON})
        assert code(answer) == (503, "record_not_kept") and answer.headers["Retry-After"] == "1"
        assert answer.json()["error"]["fail_mode"]["action"] == "review" and "secret" not in answer.text
        assert code(client.get(f"/v1/decisions/{id}")) == (503, "records_unavailable")
        assert code(client.post("/v1/judge/batch", json={"items": [{"text": "a"}, {"text": "b"}]}))[0] == 503
    assert len(store.latest()) == 1
    assert len({judged(client), id}) == len(store.latest()) == 2


def test_a_locked_file_is_a_503_within_the_wait(tmp_path: Path) -> None:
    import sqlite3

    file = tmp_path / "records.sqlite3"
    with served(file) as (client, store, _):
        holder = sqlite3.connect(file, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        assert code(client.post("/v1/judge", json={"text": FIRES_ON})) == (503, "record_not_kept")
        holder.execute("ROLLBACK")
        holder.close()
        judged(client)
        assert len(store.latest()) == 1


def test_a_database_that_crashes_loses_nothing_that_was_answered(postgres: Any) -> None:
    with served(postgres.new_database()) as (client, store, _):
        ids = {judged(client)}
        postgres.stop(signal.SIGQUIT)
        assert code(client.post("/v1/judge", json={"text": FIRES_ON})) == (503, "record_not_kept")
        assert code(client.get(f"/v1/decisions/{ids.copy().pop()}")) == (503, "records_unavailable")
        postgres.start()
        ids.add(judged(client))
        assert {each.decision_id for each in store.latest()} == ids


def test_each_route_needs_its_scope(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    secrets = {scope: create_key(path, scope.value, (scope,), None)[1] for scope in Scope}
    with served(tmp_path / "records.sqlite3", keys=KeyRing(path)) as (client, *_):
        for scope, secret in secrets.items():
            client.headers["Authorization"] = f"Bearer {secret}"
            answers = (
                client.get("/v1/decisions/none"),
                client.post("/v1/decisions/none/replay"),
                client.post("/v1/decisions/none/reviews"),
            )
            forbidden = [answer.status_code == 403 for answer in answers]
            may_read, may_review = scope is Scope.DECISIONS, scope is Scope.REVIEWS
            assert forbidden == [not may_read, not may_read, not may_review], scope


def test_without_a_store_there_are_no_such_routes() -> None:
    service = service_with(scripted())
    with running(service) as url:
        assert (
            httpx.get(f"{url}/v1/decisions/{'0' * 32}")
            .json()["error"]["message"]
            .startswith("there is no such path")
        )
        assert not any("decisions" in path for path in httpx.get(f"{url}/openapi.json").json()["paths"])
        assert httpx.post(f"{url}/v1/judge", json={"text": FIRES_ON}).status_code == 200
    service.close()
