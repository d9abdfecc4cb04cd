"""The record store: a decision goes in once, comes out as it was, and content stays out unless asked in."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import JUDGE
from stored_records import TEXT, clear, firing

from llm_judge.errors import ContentDamaged, RecordConflict, UsageError
from llm_judge.policy.model import Action
from llm_judge.store.decision_store import DecisionStore, Put
from llm_judge.store.lookups import Filter
from llm_judge.store.verification import verify


def ids(stored: list) -> list[str]:
    return [each.decision_id for each in stored]


def test_a_record_comes_out_as_it_went_in(keeping: DecisionStore) -> None:
    record = firing()
    assert keeping.put(record, TEXT.encode()) is Put.STORED
    stored = keeping.get(record.decision_id)
    assert stored is not None
    assert stored.record == json.loads(json.dumps(record.as_json()))
    assert (stored.sequence, stored.keeps_content, stored.erased) == (1, True, None)
    assert keeping.content(record.decision_id) == TEXT.encode()


def test_content_and_words_of_it_stay_out_unless_asked_in(store: DecisionStore) -> None:
    record = firing()
    store.put(record, TEXT.encode())
    stored = store.get(record.decision_id)
    assert stored is not None
    assert stored.record == json.loads(json.dumps(record.as_json(keep_quotes=False)))
    assert store.content(record.decision_id) is None
    assert "4417" not in json.dumps(stored.record)


def test_no_word_of_the_content_is_in_the_file(
    file_store: Callable[..., DecisionStore], tmp_path: Path
) -> None:
    store = file_store()
    store.put(firing(), TEXT.encode())
    store.close()
    files = list(tmp_path.iterdir())
    assert files
    assert not any(b"4417" in path.read_bytes() for path in files)


def test_an_error_record_is_kept(store: DecisionStore) -> None:
    record = JUDGE.error_record("a", ContentDamaged("`a.png` is cut off", "send it again"), "a.png")
    store.put(record, b"what there was of it")
    stored = store.get(record.decision_id)
    assert stored is not None
    assert stored.record == record.as_json()
    assert not stored.keeps_content


def test_the_same_decision_is_kept_once_as_it_was_first_put(store: DecisionStore) -> None:
    first = clear(1)
    later = replace(first, created_at="2026-06-01T00:00:00+00:00", timings_ms={"areas": 9.0})
    assert [store.put(first), store.put(first), store.put(later)] == [Put.STORED, Put.KNOWN, Put.KNOWN]
    stored = store.get("d1")
    assert stored is not None
    assert stored.record is not None
    assert stored.record["created_at"] == first.created_at
    assert len(store.latest()) == 1


def test_another_record_under_the_same_id_is_refused_and_the_first_stays(store: DecisionStore) -> None:
    store.put(clear(1))
    with pytest.raises(RecordConflict, match="`d1`"):
        store.put(replace(clear(1), action=Action.REMOVE))
    assert store.find(Filter(action=Action.REMOVE)) == []
    results = store.put_many([(replace(clear(1), action=Action.REMOVE), None), (clear(2), None)])
    assert isinstance(results[0], RecordConflict)
    assert results[1] is Put.STORED


def test_one_batch_may_hold_a_record_twice(store: DecisionStore) -> None:
    other = replace(clear(1), action=Action.REMOVE)
    results = store.put_many([(clear(1), None), (clear(1), None), (other, None)])
    assert results[:2] == [Put.STORED, Put.KNOWN]
    assert isinstance(results[2], RecordConflict)
    assert verify(store.database).kinds == {"decision": 1}


def test_decisions_are_found_by_what_they_said(store: DecisionStore) -> None:
    fires = firing()
    store.put_many([(clear(1), None), (fires, None), (clear(2, "2026-07-01T02:00:00+02:00"), None)])
    new = datetime(2026, 7, 1, 5, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    of_firing = datetime.fromisoformat(fires.created_at)
    for wanted, found in (
        (Filter(action=fires.action, rule="garden/plants#R1"), [fires.decision_id]),
        (Filter(policy="garden/plants"), [fires.decision_id]),
        (Filter(policy="garden/plants", outcome="exempt"), []),
        (Filter(rule="garden/plants#R2"), []),
        (Filter(item="item-2"), ["d2"]),
        (Filter(item="item"), []),
        (Filter(since=new, until=of_firing), ["d2"]),
        (Filter(until=new), ["d1"]),
        (Filter(), ["d2", fires.decision_id, "d1"]),
    ):
        assert ids(store.find(wanted)) == found, wanted


@settings(max_examples=20)
@given(total=st.integers(0, 12), limit=st.integers(1, 5))
def test_pages_show_everything_once(total: int, limit: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    with DecisionStore(tmp_path_factory.mktemp("pages") / "a") as store:
        store.put_many([(clear(number), None) for number in range(total)])
        shown: list[str] = []
        before = None
        while page := store.find(limit=limit, before=before):
            shown += ids(page)
            before = page[-1].sequence
            assert len(shown) <= total
        assert shown == [f"d{number}" for number in reversed(range(total))]


def test_content_must_be_what_was_judged(keeping: DecisionStore) -> None:
    with pytest.raises(UsageError, match="is not what was judged"):
        keeping.put(firing(), b"Something else.")
    assert keeping.latest() == []


def test_one_content_is_kept_once(keeping: DecisionStore) -> None:
    for id in ("a", "b"):
        keeping.put(firing(id), TEXT.encode())
    assert verify(keeping.database).contents == 1


def test_threads_share_a_store(store: DecisionStore) -> None:
    def put(first: int) -> None:
        for number in range(first, first + 10):
            store.put(clear(number))

    threads = [threading.Thread(target=put, args=(first,)) for first in (0, 5, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.latest(100)) == 20
    assert verify(store.database).good


@pytest.mark.parametrize("text", ["\x00", "\ud800", "\u2028é", "'; DROP TABLE entries; --"])
def test_any_text_is_kept(text: str, store: DecisionStore) -> None:
    record = replace(clear(1), item={**clear(1).item, "id": text, "source": text})
    store.put(record)
    (stored,) = store.find(Filter(item=text))
    assert stored.record is not None
    assert stored.record["item"]["source"] == text


def test_numbers_that_json_lacks_are_kept_as_null(store: DecisionStore) -> None:
    record = clear(1)
    areas = tuple(replace(area, label_mass=float("nan")) for area in record.areas)
    store.put(replace(record, areas=areas))
    stored = store.get("d1")
    assert stored is not None
    assert stored.record is not None
    assert stored.record["areas"][0]["label_mass"] is None
    assert verify(store.database).good
