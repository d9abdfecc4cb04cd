"""API keys: kept as hashes, found by their secret alone, and useless once expired, revoked or rotated."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving import running, scripted, service_with

from llm_judge.errors import UsageError
from llm_judge.service.keys import (
    KeyRing,
    Scope,
    create_key,
    read_keys,
    revoke_key,
    rotate_key,
)
from llm_judge.service.problems import Code, Problem
from llm_judge.service.quotas import Quotas

BOTH = (Scope.JUDGE, Scope.POLICIES)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_key_is_kept_as_a_hash_that_only_its_owner_reads(path: Path) -> None:
    key, secret = create_key(path, "backend", BOTH, 30)
    assert secret not in path.read_text() and secret.split("_", 2)[2] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = KeyRing(path).find(secret)
    assert found == key and found.expires is not None
    assert found.state(datetime.now(UTC)) == "good"
    assert found.state(datetime.now(UTC) + timedelta(days=31)) == "expired"


def test_only_the_whole_secret_opens(path: Path) -> None:
    key, secret = create_key(path, "backend", BOTH, None)
    create_key(path, "other", BOTH, None)
    ring = KeyRing(path)
    other = ring.find(secret)
    assert other is not None and other.id == key.id
    for wrong in (secret[:-1], secret + "x", secret.upper(), f"lj_{key.id}_", key.id, "", "lj__", key.sha256):
        assert ring.find(wrong) is None


@given(words=st.text(max_size=60))
def test_no_words_open(words: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "shared-keys.json"
    if not path.exists():
        create_key(path, "backend", BOTH, None)
    assert KeyRing(path).find(words) is None


def test_a_ring_sees_changes_at_once(path: Path) -> None:
    key, secret = create_key(path, "backend", BOTH, None)
    ring = KeyRing(path)
    revoke_key(path, key.id)
    found = ring.find(secret)
    assert found is not None and found.state(datetime.now(UTC)) == "revoked"


def test_a_rotated_key_has_the_same_rights_and_the_old_one_ends(path: Path) -> None:
    old, _ = create_key(path, "backend", (Scope.JUDGE,), None, per_minute=5)
    new, secret = rotate_key(path, old.id, timedelta(hours=2), 10)
    assert (new.name, new.scopes, new.per_minute) == (old.name, old.scopes, 5) and new.id != old.id
    assert KeyRing(path).find(secret) == new
    before = read_keys(path)[0]
    assert before.state(datetime.now(UTC)) == "good"
    assert before.state(datetime.now(UTC) + timedelta(hours=3)) == "expired"


def test_what_cannot_be_done_is_said(path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        KeyRing(path)
    key, _ = create_key(path, "backend", BOTH, None)
    for change in (lambda: revoke_key(path, "0" * 12), lambda: create_key(path, "a\nb", BOTH, None)):
        with pytest.raises(UsageError):
            change()
    revoke_key(path, key.id)
    with pytest.raises(UsageError, match="revoked"):
        rotate_key(path, key.id, timedelta(), None)
    path.write_text("{}]")
    with pytest.raises(UsageError, match="file of API keys"):
        KeyRing(path)


def test_a_damaged_file_opens_nothing(path: Path) -> None:
    _, secret = create_key(path, "backend", BOTH, None)
    ring = KeyRing(path)
    path.write_text("damaged")
    with pytest.raises(UsageError):
        ring.find(secret)
    os.unlink(path)  # noqa: PTH108
    with pytest.raises(UsageError):
        ring.find(secret)


def test_a_minute_refills_and_a_day_ends(path: Path) -> None:
    key, _ = create_key(path, "backend", BOTH, None, per_minute=6, per_day=10)
    now = [1_000_000.0]
    quotas = Quotas(lambda: now[0], lambda: now[0])

    def wait_told(items: int) -> float | None:
        try:
            quotas.take(key, items)
        except Problem as problem:
            assert problem.code is Code.QUOTA_EXCEEDED
            return problem.retry_after
        return None

    assert wait_told(6) is None
    assert wait_told(1) == pytest.approx(10)
    now[0] += 10
    assert wait_told(1) is None
    now[0] += 600
    assert wait_told(4) == pytest.approx(86_400 - now[0] % 86_400)  # the eleventh of the day
    assert wait_told(3) is None
    now[0] += 86_400
    assert wait_told(6) is None


def test_a_clock_that_is_set_back_starves_nobody(path: Path) -> None:
    key, _ = create_key(path, "backend", BOTH, None, per_minute=6, per_day=8)
    clock, rising = [1_000_000.0], [5.0]
    quotas = Quotas(lambda: clock[0], lambda: rising[0])
    quotas.take(key, 6)
    clock[0] -= 86_400
    rising[0] += 20
    quotas.take(key, 2)
    rising[0] += 60
    with pytest.raises(Problem, match="a day"):
        quotas.take(key, 1)


def test_the_service_lets_nobody_in_without_a_good_key_of_the_scope(path: Path) -> None:
    key, secret = create_key(path, "backend", (Scope.JUDGE,), None, per_minute=3)
    service = service_with(scripted(), keys=KeyRing(path))
    service.health.check()
    with running(service) as url, httpx.Client(base_url=url) as client:

        def status(authorization: str | None, route: str = "/v1/judge", body: str = '{"text": "a"}') -> str:
            headers = {"Content-Type": "application/json"}
            if authorization is not None:
                headers["Authorization"] = authorization
            method = "POST" if route in ("/v1/judge", "/v1/judge/batch", "/v1/moderations") else "GET"
            answer = client.request(
                method, route, content=body if method == "POST" else None, headers=headers
            )
            assert secret not in answer.text
            return str(answer.json()["error"]["code"]) if answer.is_error else "ok"

        for route in (
            "/v1/judge",
            "/v1/judge/batch",
            "/v1/moderations",
            "/v1/policies",
            "/v1/policies/a",
            "/metrics",
        ):
            for wrong in (
                None,
                "",
                "Bearer",
                f"Basic {secret}",
                "Bearer nothing",
                secret,
                "Bearer lj_a_b",
            ):
                assert status(wrong, route) == "unauthorized"
        assert status(None, body="{" * 1000) == "unauthorized"  # before any body is read
        for route in ("/v1/policies", "/metrics"):
            assert status(f"Bearer {secret}", route) == "forbidden"
        for route in ("/livez", "/readyz", "/openapi.json"):
            assert status(None, route) == "ok"
        assert [status(f"Bearer {secret}") for _ in range(4)] == ["ok"] * 3 + ["quota_exceeded"]
        batch = '{"items": [{"text": "a"}, {"text": "b"}, {"text": "c"}, {"text": "d"}]}'
        assert status(f"bearer {secret}", "/v1/judge/batch", batch) == "quota_exceeded"
        revoke_key(path, key.id)
        assert status(f"Bearer {secret}") == "unauthorized"
        path.write_text("damaged")
        assert status(f"Bearer {secret}") == "not_ready"
    service.close()
