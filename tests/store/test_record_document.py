"""Records as JSON: held to their shape, parted and put together again without loss."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import JUDGE
from stored_records import clear, firing

from llm_judge.errors import ContentDamaged, UsageError
from llm_judge.store.record_document import checked, document_of, joined, record_of

FIRES = json.loads(json.dumps(firing().as_json()))
ERROR = JUDGE.error_record("a", ContentDamaged("cut off", None), "a.png").as_json()


def test_parting_takes_the_words_and_joining_brings_them_back() -> None:
    document = document_of(FIRES)
    assert document.kept == json.loads(json.dumps(firing().as_json(keep_quotes=False))) | {
        "created_at": FIRES["created_at"],
        "timings_ms": FIRES["timings_ms"],
    }
    assert "4417" not in json.dumps(document.kept)
    assert joined(document.kept, document.private) == FIRES
    assert joined(document.kept, None) == document.kept


@given(quote=st.none() | st.text(st.characters()), rationale=st.none() | st.text(st.characters()))
def test_any_words_come_back(quote: str | None, rationale: str | None) -> None:
    data = json.loads(json.dumps(FIRES))
    data["verdicts"][0]["evidence"][0]["quote"] = quote
    data["verdicts"][0]["rationale"] = rationale
    document = document_of(data)
    assert joined(document.kept, document.private) == data


@pytest.mark.parametrize("data", [FIRES, ERROR, clear(1).as_json(), firing().as_json(keep_quotes=False)])
def test_a_record_reads_back(data: dict[str, Any]) -> None:
    again = record_of(data).as_json()
    for verdict in again["verdicts"]:
        for piece in verdict["evidence"]:
            piece["quote"] = piece["quote"] or None
    assert json.loads(json.dumps(again)) == json.loads(json.dumps(data))


def test_records_from_before_areas_were_kept_are_read() -> None:
    old = {name: value for name, value in FIRES.items() if name != "areas"}
    assert document_of(old).kept["decision_id"] == FIRES["decision_id"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": "what was judged"}, "`text`: "),
        ({"item": {**FIRES["item"], "text": "what was judged"}}, "`item.text`: "),
        ({"verdicts": [{**FIRES["verdicts"][0], "content": "x"}]}, "`verdicts.0.content`: "),
        ({"verdicts": [{**FIRES["verdicts"][0], "rule": "R1"}]}, "`verdicts.0.rule`: "),
        ({"verdicts": [{**FIRES["verdicts"][0], "outcome": "bad"}]}, "`verdicts.0.outcome`: "),
        ({"schema": 2}, "a record of schema 2"),
        ({"schema": "1"}, "`schema`: "),
        ({"decision_id": "a b"}, "`decision_id`: "),
        ({"decision_id": "x" * 65}, "`decision_id`: "),
        ({"action": "delete"}, "`action`: "),
        ({"created_at": "yesterday"}, "`created_at` is not a time"),
        ({"created_at": None}, "`created_at`: "),
        ({"item": {**FIRES["item"], "sha256": "12"}}, "`item.sha256`: "),
    ],
)
def test_what_is_no_record_is_refused_and_where(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        checked(FIRES | change, "file:3")
    assert caught.value.message.startswith(f"file:3: {message}")


@pytest.mark.parametrize("data", [None, [], "record", 7, {}, {"schema": 1}])
def test_anything_else_is_refused(data: Any) -> None:
    with pytest.raises(UsageError):
        checked(data)


@given(st.data())
def test_a_record_with_one_value_replaced_is_read_or_refused(data: st.DataObject) -> None:
    broken = json.loads(json.dumps(FIRES))
    place: Any = broken
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        below = place[key]
        if not isinstance(below, dict | list) or not below or data.draw(st.booleans()):
            break
        place = below
    place[key] = data.draw(st.sampled_from([None, True, -1, 1e400, "", "\ud800", [], {}, [None], {"a": 1}]))
    try:
        document = document_of(broken)
    except UsageError as error:
        assert "\n" not in error.message
    else:
        assert joined(document.kept, document.private) == broken
        record_of(broken)
