"""A store on each kind of database, and records to put into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llm_judge.store.decision_store import DecisionStore


@pytest.fixture
def opened_stores() -> Iterator[list[DecisionStore]]:
    stores: list[DecisionStore] = []
    yield stores
    for each in stores:
        each.close()


@pytest.fixture
def store(where: str, opened_stores: list[DecisionStore]) -> DecisionStore:
    """A store that keeps no content."""
    opened_stores.append(DecisionStore(where, wait_s=5))
    return opened_stores[-1]


@pytest.fixture
def keeping(where: str, opened_stores: list[DecisionStore]) -> DecisionStore:
    """The same database, as a store that keeps content."""
    opened_stores.append(DecisionStore(where, store_content=True, wait_s=5))
    return opened_stores[-1]


@pytest.fixture
def file_store(tmp_path: Path, opened_stores: list[DecisionStore]) -> Callable[..., DecisionStore]:
    """Makes stores in SQLite files of their own."""

    def make(name: str = "records.sqlite3", **options: object) -> DecisionStore:
        opened_stores.append(DecisionStore(tmp_path / name, **options))  # type: ignore[arg-type]
        return opened_stores[-1]

    return make
