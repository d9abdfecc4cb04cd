"""JSONL rows that are wrong: that row alone fails, the others are judged, the order is kept."""

from __future__ import annotations

import json

import pytest

from llm_judge.batch.items import MAX_ROW_BYTES

GOOD = b'{"id": "before", "text": "Fine."}\n', b'{"id": "after", "text": "Fine too."}'
WRONG = {
    "a list": (b'["text"]', "the row is not an object"),
    "a text": (b'"just words"', "the row is not an object"),
    "not JSON": (b"{'text': 'single quotes'}", "not valid JSON"),
    "cut short": (b'{"text": "never clo', "not valid JSON"),
    "invalid UTF-8": (b'{"text": "caf\xe9"}', "not valid UTF-8 at byte 13"),
    "UTF-16": ('{"text": "Fine."}'.encode("utf-16-le"), "not valid JSON"),
    "half a pair in UTF-8": (b'{"text": "\xed\xa0\x80"}', "not valid UTF-8"),
    "no text nor file": (b'{"id": "x", "body": "Fine."}', "a row needs either `text` or `file`"),
    "text and file": (
        b'{"id": "x", "text": "Fine.", "file": "a.txt"}',
        "a row needs either `text` or `file`",
    ),
    "text that is a number": (b'{"id": "x", "text": 5}', "a row needs either `text` or `file`"),
    "empty text": (b'{"id": "x", "text": " \\n"}', "x: the text is empty"),
    "missing file": (b'{"id": "x", "file": "none.png"}', "x: cannot read `none.png`: no such file"),
    "a NUL in the file name": (b'{"id": "x", "file": "a\\u0000b"}', "not a file name"),
    "an id that is a list": (b'{"id": [], "text": "Fine."}', "`id` must be a text or a whole number"),
    "an endless id": (json.dumps({"id": "x" * 501, "text": "Fine."}).encode(), "`id` is over 500 characters"),
    "an id used before": (b'{"id": "before", "text": "Again."}', "the id `before` was used before"),
    "a number of 5,000 digits": (b'{"id": ' + b"9" * 5000 + b"}", "a number is too long"),
    "nested deeply": (b'{"text": ' + b"[" * 100_000, "nested too deeply"),
    "huge": (b'{"text": "' + b"a" * (MAX_ROW_BYTES + 10) + b'"}', "the row is over 16 MiB"),
    "text over its cap": (b'{"id": "x", "text": "' + b"a" * 3_000_000 + b'"}', "the cap is 2 MiB"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_row_fails_alone(judge, name):
    row, message = WRONG[name]
    run = judge("-", "--json", stdin=GOOD[0] + row + b"\n" + GOOD[1])
    before, wrong, after = run.records
    assert run.code == 3
    assert (before["item"]["id"], after["item"]["id"]) == ("before", "after")
    assert (before["action"], wrong["action"], after["action"]) == ("allow", "review", "allow")
    assert (before["error"], wrong["decision"], after["error"]) == (None, None, None)
    assert message in run.err.splitlines()[0]
    assert run.err.splitlines()[1].startswith("3 judged: 1 review, 2 allow; 1 could not be judged;")


def test_wrong_rows_are_named_by_their_line(judge, folder):
    (folder / "rows.jsonl").write_bytes(b'{"text": "Fine."}\n\n[]\n')
    assert judge("rows.jsonl", "--json").ids == ["rows.jsonl:1", "rows.jsonl:3"]


def test_a_byte_order_mark_is_no_error(judge):
    assert judge("-", "--json", stdin=b'\xef\xbb\xbf{"id": "x", "text": "Fine."}').ids == ["x"]


def test_a_file_in_a_row_is_found_beside_the_rows(judge, folder):
    (folder / "deep").mkdir()
    (folder / "deep" / "a.txt").write_text("Fine.")
    (folder / "deep" / "rows.jsonl").write_text('{"id": "x", "file": "a.txt"}\n')
    assert judge("deep/rows.jsonl").code == 0


def test_many_wrong_rows_do_not_bury_the_summary(judge):
    run = judge("-", "--json", stdin=b"[]\n" * 100)
    assert len(run.records) == 100
    assert len(run.err.splitlines()) == 22
    assert run.err.splitlines()[-2] == "error: more items could not be judged; each record says why"


def test_wrong_rows_are_recorded_once_when_resuming(judge, folder):
    rows = GOOD[0] + b"[]\n" + GOOD[0] + GOOD[1]
    first = judge("-", "--out", "records.jsonl", stdin=rows)
    second = judge("-", "--out", "records.jsonl", "--resume", stdin=rows)
    assert first.err.splitlines()[-1].startswith("4 judged")
    assert second.err.startswith("0 judged; 4 already done")
