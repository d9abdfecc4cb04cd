"""Erasure: the words are gone from the disk, the chain holds, and nothing comes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stored_records import TEXT, clear, firing

from llm_judge.errors import UsageError
from llm_judge.store import erasure
from llm_judge.store.chain import Kind
from llm_judge.store.decision_store import DecisionStore, Put
from llm_judge.store.entries import find_entry, parsed
from llm_judge.store.erasure import Purged, Scope, count, purge
from llm_judge.store.lookups import Filter
from llm_judge.store.reviews import Review, add_review
from llm_judge.store.verification import verify
from llm_judge.verdict import Outcome

FIRES = firing()
RULE = "garden/plants#R1"


def reviewed(store: DecisionStore) -> None:
    store.put_many([(clear(1), None), (FIRES, TEXT.encode())])
    add_review(store.database, Review(FIRES.decision_id, RULE, Outcome.CLEAR, "ana", note="note 4417"))


def test_an_erased_decision_leaves_its_place_and_its_reason(keeping: DecisionStore) -> None:
    reviewed(keeping)
    before = keeping.get(FIRES.decision_id)
    done = purge(keeping.database, Filter(decision=FIRES.decision_id), Scope.ALL, "request 12")
    assert done == Purged(1, 1)
    after = keeping.get(FIRES.decision_id)
    assert before is not None
    assert after is not None
    assert (after.record, after.reviews, after.keeps_content) == (None, (), False)
    assert (after.sequence, after.hash) == (before.sequence, before.hash)
    assert after.erased is not None
    assert (after.erased.sequence, after.erased.reason) == (4, "request 12")
    assert keeping.content(FIRES.decision_id) is None
    assert [each.decision_id for each in keeping.latest()] == ["d1"]
    assert verify(keeping.database).problems == []


def test_what_was_erased_does_not_come_back(keeping: DecisionStore) -> None:
    reviewed(keeping)
    purge(keeping.database, Filter(), Scope.ALL, "all")
    assert keeping.put(FIRES, TEXT.encode()) is Put.ERASED
    assert keeping.content(FIRES.decision_id) is None
    assert keeping.latest() == []
    with pytest.raises(UsageError, match="was erased"):
        add_review(keeping.database, Review(FIRES.decision_id, RULE, Outcome.CLEAR, "ana"))
    assert verify(keeping.database).good


def test_content_goes_and_the_decision_stays(keeping: DecisionStore) -> None:
    reviewed(keeping)
    assert count(keeping.database, Filter(), Scope.CONTENT) == 1
    assert purge(keeping.database, Filter(), Scope.CONTENT, "30 days") == Purged(1, 1)
    stored = keeping.get(FIRES.decision_id)
    assert stored is not None
    assert stored.record == json.loads(json.dumps(FIRES.as_json(keep_quotes=False)))
    assert [(review.verdict, review.note) for review in stored.reviews] == [(Outcome.CLEAR, None)]
    assert (stored.keeps_content, stored.erased) == (False, None)
    assert purge(keeping.database, Filter(), Scope.CONTENT, "again") == Purged()
    assert purge(keeping.database, Filter(), Scope.ALL, "two years") == Purged(2, 1)
    assert verify(keeping.database).problems == []


@pytest.mark.parametrize("scope", Scope)
def test_the_words_are_gone_from_the_disk(
    scope: Scope, file_store: Callable[..., DecisionStore], tmp_path: Path
) -> None:
    store = file_store(store_content=True)
    reviewed(store)

    def found() -> bool:
        return any(b"4417" in path.read_bytes() for path in tmp_path.iterdir())

    assert found()
    purge(store.database, Filter(decision=FIRES.decision_id), scope, "asked")
    assert not found()


def test_content_that_another_decision_keeps_stays(keeping: DecisionStore) -> None:
    for id in ("a", "b"):
        keeping.put(firing(id), TEXT.encode())
    purge(keeping.database, Filter(item="a"), Scope.ALL, "asked")
    assert keeping.content(firing("b").decision_id) == TEXT.encode()
    purge(keeping.database, Filter(item="b"), Scope.CONTENT, "asked")
    assert verify(keeping.database).contents == 0


def test_many_are_erased_in_several_goes(store: DecisionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "_BATCH", 4)
    store.put_many([(clear(number), None) for number in range(10)])
    assert purge(store.database, Filter(), Scope.ALL, "age") == Purged(10, 0)
    found = verify(store.database)
    assert (found.good, found.kinds["erasure"], found.erased) == (True, 3, 10)


def test_an_erasure_says_what_and_nothing_of_it(file_store: Callable[..., DecisionStore]) -> None:
    store = file_store()
    store.put(clear(1))
    purge(store.database, Filter(), Scope.ALL, "age")
    stored = store.get("d1")
    assert stored is not None
    assert stored.erased is not None

    def read(connection):  # type: ignore[no-untyped-def]
        return connection.exec_driver_sql("SELECT id, payload FROM entries WHERE sequence = 2").one()

    id, payload = store.database.read(read)
    assert parsed(payload) == {"scope": "all", "sequences": [1], "reason": "age"}
    assert store.database.read(lambda c: find_entry(c, Kind.ERASURE, id)) is not None


STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "review", "all", "content"]), st.integers(0, 3)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=12)
@given(steps=STEPS)
def test_any_order_of_putting_reviewing_and_erasing_keeps_the_chain_whole(
    steps: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    records = [firing(f"item{number}") for number in range(4)]
    state: dict[int, str] = {}
    with DecisionStore(tmp_path_factory.mktemp("any") / "a", store_content=True) as store:
        for step, number in steps:
            id = records[number].decision_id
            if step == "put":
                expected = {None: Put.STORED, "erased": Put.ERASED}.get(state.get(number), Put.KNOWN)
                assert store.put(records[number], TEXT.encode()) is expected
                state.setdefault(number, "whole")
            elif step == "review" and state.get(number) in ("whole", "bare"):
                add_review(store.database, Review(id, RULE, Outcome.CLEAR, "ana"))
            elif step in ("all", "content"):
                purge(store.database, Filter(decision=id), Scope(step), "step")
                if number in state and state[number] != "erased":
                    state[number] = "erased" if step == "all" else "bare"
        assert verify(store.database).problems == []
        for number, known in state.items():
            stored = store.get(records[number].decision_id)
            assert stored is not None
            assert (stored.record is None, stored.keeps_content) == (known == "erased", known == "whole")
