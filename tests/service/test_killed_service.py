"""A service that is killed in the middle of its work: what it answered is in the store."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import httpx
from processes import FIRES, address_in, start

from llm_judge.store.decision_store import DecisionStore
from llm_judge.store.verification import verify

_CLIENTS, _ANSWERS = 8, 100


def ask_until_it_is_gone(url: str, answered: list[str]) -> None:
    with httpx.Client(base_url=url, timeout=10) as client:
        while True:
            try:
                answer = client.post("/v1/judge", json={"id": "same", "text": FIRES, "explain": "never"})
            except httpx.HTTPError:
                return
            if answer.status_code == 200:
                answered.append(answer.json()["decision_id"])


def test_nothing_that_was_answered_is_missing_after_kill_9(where: str, tmp_path: Path) -> None:
    process, log = start(tmp_path, "--store", where, "--store-content")
    answered: list[str] = []
    url = address_in(log, process)
    clients = [threading.Thread(target=ask_until_it_is_gone, args=(url, answered)) for _ in range(_CLIENTS)]
    for each in clients:
        each.start()
    ends = time.monotonic() + 60
    while len(answered) < _ANSWERS and process.poll() is None and time.monotonic() < ends:
        time.sleep(0.01)
    process.kill()
    process.wait()
    for each in clients:
        each.join(20)
    assert len(answered) >= _ANSWERS, log.read_text()
    with DecisionStore(where, create=False) as store:
        kept = {each.decision_id for each in store.find(limit=100_000)}
        assert set(answered) <= kept and len(answered) == len(set(answered))
        assert len(kept) <= len(answered) + _CLIENTS  # kept, and killed before the answer was out
        assert verify(store.database, None).good


def test_a_started_service_finds_what_was_kept_before(tmp_path: Path) -> None:
    ids = []
    for _ in range(2):
        process, log = start(tmp_path, "--store", "records.sqlite3", "--store-content")
        try:
            url = address_in(log, process)
            assert "every decision is kept in `records.sqlite3`" in log.read_text()
            ids.append(httpx.post(f"{url}/v1/judge", json={"text": FIRES}).json()["decision_id"])
            for id in ids:
                assert httpx.get(f"{url}/v1/decisions/{id}").json()["record"]["action"] == "remove"
                assert httpx.post(f"{url}/v1/decisions/{id}/replay").json()["same"] is True
        finally:
            process.terminate()
            assert process.wait(20) == 0
    assert "prize" not in "".join(line for line in log.read_text().splitlines() if line.startswith("{"))
