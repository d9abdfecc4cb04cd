"""Reload: whole or not at all, without a request that fails or sees a mixture."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from processes import address_in, start
from trying import FIRES, HeldEngine, files, running, served, until, write_policy, write_script

from llm_judge.service.arms import Arm
from llm_judge.service.judges import Judges
from llm_judge.service.keys import KeyRing, Scope, create_key
from llm_judge.service.revision import Revision


def reloaded(url: str) -> httpx.Response:
    return httpx.post(f"{url}/v1/admin/reload", json={}, timeout=60)


def judged(url: str, **more: Any) -> dict[str, Any]:
    answer = httpx.post(f"{url}/v1/judge", json={"text": FIRES, "explain": "never", **more}, timeout=60)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_new_policy_answers_after_the_reload_and_not_before(tmp_path: Path) -> None:
    service = served(files(tmp_path))
    with running(service) as url:
        before = judged(url)
        write_policy(tmp_path, "1.1.0", remove="review")
        assert judged(url)["run"] == before["run"]
        (arm,) = reloaded(url).json()["reloaded"]
        after = judged(url)
        assert (before["action"], after["action"]) == ("remove", "review")
        assert arm["before"]["policy_digest"] == before["run"]["policy_digest"]
        assert arm["after"]["policy_digest"] == after["run"]["policy_digest"]
        assert httpx.get(f"{url}/v1/policies").json()["policy_digest"] != before["run"]["policy_digest"]
        metrics = httpx.get(f"{url}/metrics").text
        assert 'judge_reloads_total{arm="stable",result="in_force"} 1.0' in metrics
        assert 'judge_policy_info{policy="demo/sales",revision="1.1.0"} 1.0' in metrics
        assert 'revision="1.0.0"' not in metrics
    service.close()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "sales.yaml").write_text("schema: 1\npolicy: [\n"), "stable: "),
        (lambda folder: (folder / "sales.yaml").unlink(), "stable: "),
        (lambda folder: (folder / "script.json").write_text("{"), "is not a script"),
        (
            lambda folder: write_script(folder, failures=[{"contains": "", "message": "x"}]),
            "not fit to judge",
        ),
    ],
)
def test_what_is_not_fit_is_refused_and_the_old_one_goes_on(tmp_path: Path, spoil: Any, told: str) -> None:
    service = served(files(tmp_path))
    with running(service) as url:
        before = judged(url)
        spoil(tmp_path)
        error = reloaded(url).json()["error"]
        assert error["code"] == "reload_refused" and told in error["message"]
        assert judged(url)["run"] == before["run"]
        assert httpx.get(f"{url}/readyz").status_code == 200
        assert 'judge_reloads_total{arm="stable",result="refused"} 1.0' in httpx.get(f"{url}/metrics").text
    service.close()


def test_nothing_fails_and_nothing_is_mixed_over_many_reloads(tmp_path: Path) -> None:
    service = served(files(tmp_path))
    actions = {"1.0.0": "remove", "1.1.0": "review"}
    seen: set[tuple[str, str, str]] = set()
    wrong: list[Any] = []
    stop = threading.Event()

    def ask(url: str) -> None:
        with httpx.Client(base_url=url, timeout=60) as client:
            while not stop.is_set():
                items = [{"text": FIRES}, {"text": FIRES, "id": "b"}]
                answer = client.post("/v1/judge/batch", json={"items": items, "explain": "never"})
                if answer.status_code != 200:
                    wrong.append(answer.text)
                    continue
                rows = [row["result"] for row in answer.json()["results"]]
                named = {
                    (row["policies"]["demo/sales"], row["run"]["policy_digest"], row["action"])
                    for row in rows
                }
                if len(named) != 1:
                    wrong.append(named)
                seen.update(named)

    with running(service) as url:
        clients = [threading.Thread(target=ask, args=(url,)) for _ in range(3)]
        for each in clients:
            each.start()
        for number in range(10):
            version = ("1.1.0", "1.0.0")[number % 2]
            words = {"remove": "review"} if version == "1.1.0" else {}
            write_policy(tmp_path, version, **words)
            if number % 3 == 0:  # and another engine, so another thread
                write_script(tmp_path, default={"no": 0.97 - number / 1000, "yes": 0.01})
            assert reloaded(url).status_code == 200
        stop.set()
        for each in clients:
            each.join(60)
    service.close()
    assert wrong == []
    assert len(seen) == 2 and {(version, action) for version, _, action in seen} == set(actions.items())


def test_what_is_in_hand_finishes_on_the_old_revision_whose_engine_then_ends(tmp_path: Path) -> None:
    source = files(tmp_path)
    service = served(source)
    old = HeldEngine(reads=service.judges.engine.reads)  # type: ignore[attr-defined]
    closed = threading.Event()
    old.close = closed.set  # type: ignore[method-assign]
    running_engine = service.rollout._reloader._start(old)  # type: ignore[union-attr]
    service.arms.put_in_force(Arm.STABLE, Revision(Judges(source.guidelines(), old), running_engine))
    with running(service) as url:
        answers: list[dict[str, Any]] = []
        asking = threading.Thread(target=lambda: answers.append(judged(url)))
        asking.start()
        assert old.entered.wait(30)
        write_policy(tmp_path, "1.1.0", remove="review")
        assert reloaded(url).status_code == 200
        assert judged(url)["action"] == "review"  # though the old engine still holds its request
        assert not closed.is_set()
        old.go.set()
        asking.join(30)
        assert answers[0]["action"] == "remove" and answers[0]["policies"]["demo/sales"] == "1.0.0"
        until(closed.is_set)
    service.close()


def test_only_a_key_of_the_scope_reloads(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    secrets = {scope: create_key(keys, scope.value, [scope], None)[1] for scope in (Scope.JUDGE, Scope.ADMIN)}
    service = served(files(tmp_path), keys=KeyRing(keys))
    with running(service) as url:
        for scope, status in ((Scope.JUDGE, 403), (Scope.ADMIN, 200)):
            headers = {"Authorization": f"Bearer {secrets[scope]}"}
            answer = httpx.post(f"{url}/v1/admin/reload", json={}, headers=headers, timeout=60)
            assert answer.status_code == status
    service.close()


def test_without_keys_only_loopback_is_administered(tmp_path: Path) -> None:
    from llm_judge.service.settings import ServiceSettings

    service = served(files(tmp_path), settings=ServiceSettings(open_admin=False))
    with running(service) as url:
        assert reloaded(url).json()["error"]["code"] == "forbidden"
        assert httpx.post(f"{url}/v1/admin/reload", content=b"").status_code == 403
    service.close()


def test_a_form_of_another_page_reloads_nothing(tmp_path: Path) -> None:
    service = served(files(tmp_path))
    with running(service) as url:
        answer = httpx.post(f"{url}/v1/admin/reload", content=b"{}", headers={"Content-Type": "text/plain"})
        assert answer.json()["error"]["code"] == "unsupported_body"
    service.close()


def test_sighup_reloads(tmp_path: Path) -> None:
    process, log = start(tmp_path)
    try:
        url = address_in(log, process)
        assert judged(url)["action"] == "remove"
        write_policy(tmp_path, "1.1.0", remove="review")
        process.send_signal(signal.SIGHUP)
        until(lambda: '"reloaded"' in log.read_text())
        assert judged(url)["action"] == "review"
        (tmp_path / "sales.yaml").write_text("schema: 2\n")
        process.send_signal(signal.SIGHUP)
        until(lambda: "reload of stable refused" in log.read_text())
        assert judged(url)["action"] == "review"
    finally:
        process.terminate()
        assert process.wait(60) == 0
