"""The chain: the formula of the page, computed by other means; canonical JSON of anything."""

from __future__ import annotations

import hashlib
import json
import math

from hypothesis import given
from hypothesis import strategies as st
from stored_records import TEXT, clear, firing

from llm_judge.store.chain import Part, canonical, new_part
from llm_judge.store.decision_store import DecisionStore
from llm_judge.store.tables import ENTRIES

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(st.characters()), below, max_size=3),
    max_leaves=8,
)


def plain(value: object) -> object:
    """What must come back: lists for tuples, null for numbers that JSON lacks."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@given(VALUES)
def test_canonical_json_keeps_everything_and_is_ascii(value: object) -> None:
    text = canonical(value)
    assert text.isascii()
    assert json.loads(text) == plain(value)
    assert canonical(json.loads(text)) == text


def test_the_order_of_keys_is_no_difference() -> None:
    assert (
        canonical({"a": 1, "b": [1.5, "é"]})
        == canonical({"b": [1.5, "é"], "a": 1})
        == '{"a":1,"b":[1.5,"\\u00e9"]}'
    )


def test_the_same_words_have_another_digest_each_time() -> None:
    assert new_part("words").digest != new_part("words").digest
    assert Part('"words"', "00" * 16).digest == hashlib.sha256(bytes(16) + b'"words"').hexdigest()


def test_stored_entries_follow_the_published_formula(keeping: DecisionStore) -> None:
    """Recomputed from the page in docs/records.md, without our code."""
    keeping.put_many([(clear(1), None), (firing(), TEXT.encode()), (clear(2), None)])
    rows = keeping.database.read(lambda connection: connection.execute(ENTRIES.select()).mappings().all())
    previous = "0" * 64
    for number, row in enumerate(sorted(rows, key=lambda row: row["sequence"]), start=1):
        digests = []
        for part in ("payload", "private"):
            if row[part] is None:
                digests.append(None)
                continue
            salted = bytes.fromhex(row[f"{part}_salt"]) + row[part].encode()
            digests.append(hashlib.sha256(salted).hexdigest())
        fields = [previous, number, "decision", row["id"], row["recorded_at"], *digests]
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        assert row["hash"] == hashlib.sha256(text.encode()).hexdigest()
        previous = row["hash"]
    assert [row["private"] is not None for row in rows] == [False, True, False]
