"""Whatever is given becomes items: one a text, file, folder entry and row, each failing for itself."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_judge.batch import items as module
from llm_judge.batch.items import check_arguments, count_items, items_from_arguments, rows
from llm_judge.content.content import Content
from llm_judge.content.open import Limits
from llm_judge.errors import ContentDamaged, ContentError, ContentNotFound, ContentTooLarge, UsageError

LIMITS = Limits(text_bytes=1000)


def items(*inputs, stdin=b""):
    return list(items_from_arguments(inputs, io.BytesIO(stdin), LIMITS))


def opened(item):
    """The content of an item, or the error it fails with."""
    try:
        return item.open()
    except ContentError as error:
        return error


@settings(deadline=None)
@given(st.lists(st.binary(max_size=60)))
def test_any_bytes_are_rows_that_open_or_fail_for_themselves(lines):
    found = list(rows([line + b"\n" for line in lines], Path("nowhere"), "in", LIMITS))
    assert len(found) == sum(1 for line in lines if line.strip())
    assert all(isinstance(opened(item), ContentError) for item in found)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.fixed_dictionaries({}, optional={"id": json_values, "text": json_values, "file": json_values}))
def test_any_object_is_one_item_with_an_id(row):
    (item,) = rows([json.dumps(row).encode()], Path("nowhere"), "in", LIMITS)
    content = opened(item)
    assert item.id
    assert isinstance(content, Content | ContentError)
    if isinstance(content, Content):
        assert content.id == item.id
        assert content.segments[0].text in row["text"]


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "a#2", "a#3", 1, "1"])))
def test_ids_within_a_run_are_unique_and_their_first_use_is_kept(ids):
    stdin = b"".join(json.dumps({"id": name, "text": "Fine."}).encode() + b"\n" for name in ids)
    found = items("-", stdin=stdin)
    assert len({item.id for item in found}) == len(found) == len(ids)
    assert [item.id for item in items("-", stdin=stdin)] == [item.id for item in found]
    first_uses = {str(name) for name in ids}
    assert {item.id for item in found if isinstance(opened(item), Content)} <= first_uses


def test_the_second_use_of_an_id_fails():
    first, second = items("-", stdin=b'{"id": "a", "text": "One."}\n{"id": "a", "text": "Two."}')
    assert (first.id, second.id) == ("a", "a#2")
    assert isinstance(opened(first), Content)
    assert isinstance(opened(second), ContentDamaged)


def test_a_text_is_named_after_its_digest_and_its_record_too():
    (item,) = items("Do not keep these words.")
    assert item.id.startswith("text-")
    assert "words" not in item.id
    assert item.open().id == item.id


def test_items_are_opened_when_their_turn_comes(tmp_path):
    path = tmp_path / "late.txt"
    path.write_text("Old.")
    (item,) = items(str(path))
    path.write_text("New.")
    assert item.open().segments[0].text == "New."


def test_a_row_over_the_cap_fails_without_being_read_whole(monkeypatch):
    monkeypatch.setattr(module, "MAX_ROW_BYTES", 50)
    found = items("-", stdin=b"x" * 500 + b'\n{"id": "after", "text": "Fine."}\n' + b"y" * 51)
    assert [item.id for item in found] == ["stdin:1", "after", "stdin:3"]
    assert [type(opened(item)) for item in found] == [ContentTooLarge, Content, ContentTooLarge]


def test_counting_agrees_with_reading(tmp_path):
    (tmp_path / "a.txt").write_text("One.")
    (tmp_path / "b.txt").write_text("Two.")
    (tmp_path / "c.JSONL").write_text('{"text": "Three."}\n\n[]')
    inputs = ["Some text.", str(tmp_path), str(tmp_path / "c.JSONL")]
    assert count_items(inputs) == len(items(*inputs)) == 5
    assert count_items([*inputs, "-"]) is None


def test_the_limit_on_texts_holds_everywhere(tmp_path):
    (tmp_path / "a.txt").write_text("x" * 1001)
    row = json.dumps({"text": "x" * 1001}).encode()
    for item in items("x" * 1001, str(tmp_path / "a.txt"), "-", stdin=row):
        assert isinstance(opened(item), ContentTooLarge)


@pytest.mark.parametrize(
    "text", ["poster.png", "/srv/none", "./none", "../none", "~/none", "my own clip.MP4"]
)
def test_a_forgotten_file_is_not_a_text(text):
    with pytest.raises(ContentNotFound, match="no file"):
        check_arguments(["Fine.", text])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "Hello",
        "and/or",
        "Really...",
        "See a.png there",
        "https://x.example/a.png",
        "a\0.png",
        "A.\nb.png",
    ],
)
def test_texts_are_texts(text):
    check_arguments([text])


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(UsageError, match="holds no file"):
        check_arguments([str(tmp_path)])
