"""The service as a client meets it: a real server on a free port, behind a scripted engine."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from serving import HeldEngine, running, scripted, service_with

from llm_judge.service.state import Service
from llm_judge.store.decision_store import DecisionStore


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests that only ask; it keeps what it answers."""
    with DecisionStore(tmp_path_factory.mktemp("records") / "records.sqlite3") as store:
        built = service_with(scripted(), records=store)
        assert built.health.check() is None
        yield built
        built.close()


@pytest.fixture(scope="session")
def url(service: Service) -> Iterator[str]:
    with running(service) as address:
        yield address


@pytest.fixture(scope="session")
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=20) as opened:
        yield opened


@pytest.fixture
def held() -> Iterator[HeldEngine]:
    """An engine that answers nothing until it is let go."""
    engine = HeldEngine(reads=scripted().reads)
    yield engine
    engine.go.set()
