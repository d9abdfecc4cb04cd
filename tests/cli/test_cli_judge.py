"""What a good run shows, writes and returns."""

from __future__ import annotations

import json

import pytest
from cli_runs import FIRES, saved, saved_ids, write_rows


def test_a_clear_text_is_allowed_and_exits_0(judge):
    run = judge("What a lovely morning.")
    assert run.code == 0
    assert "allow" in run.out
    assert run.err.startswith("1 judged: 1 allow;")


def test_a_violation_shows_rule_evidence_and_exits_1(judge):
    run = judge(f"Hello there. {FIRES}")
    assert run.code == 1
    for shown in ("remove", "demo/sales#MS1 Hidden fee", "characters 0–", "small fee", "It asks first."):
        assert shown in run.out


def test_json_is_one_record_a_line_and_nothing_else(judge):
    run = judge("A calm day.", FIRES, "--json")
    assert [record["action"] for record in run.records] == ["allow", "remove"]
    evidence = run.records[1]["verdicts"][0]["evidence"][0]
    assert (evidence["quote"], evidence["start"], evidence["end"]) == (FIRES, 0, len(FIRES))


def test_rows_files_folders_and_texts_keep_their_order(judge, folder):
    (folder / "posts").mkdir()
    (folder / "posts" / "b.txt").write_text("Second.")
    (folder / "posts" / "a.md").write_text("First.")
    (folder / "posts" / ".hidden.txt").write_text("Never seen.")
    (folder / "note.txt").write_text("From a file.")
    write_rows(folder / "rows.jsonl", [{"id": 7, "text": "Seven."}, {"file": "note.txt"}])
    run = judge("rows.jsonl", "posts", "-", "--json", stdin=b'{"text": "From stdin."}\n')
    assert run.ids == ["7", "rows.jsonl:2", "posts/a.md", "posts/b.txt", "stdin:1"]
    assert run.code == 0


def test_only_one_rule_is_asked(judge):
    run = judge(FIRES, "--json", "--only", "demo/sales#MS2")
    assert [verdict["rule"] for verdict in run.records[0]["verdicts"]] == ["demo/sales#MS2"]


@pytest.mark.parametrize(("when", "explained"), [("never", [False, False]), ("always", [True, True])])
def test_explanations_are_made_when_asked_for(judge, when, explained):
    verdicts = judge(FIRES, "--json", "--explain", when).records[0]["verdicts"]
    assert [verdict["explanation"] is not None for verdict in verdicts] == explained


@pytest.mark.parametrize("keep", [False, True])
def test_a_record_file_holds_quotes_only_when_asked(judge, folder, keep):
    run = judge(FIRES, "--out", "records.jsonl", *(["--keep-quotes"] if keep else []))
    assert (run.code, run.out) == (1, "")
    assert (FIRES in (folder / "records.jsonl").read_text()) is keep
    assert saved(folder / "records.jsonl")[0]["verdicts"][0]["evidence"][0]["start"] == 0


def test_json_and_a_record_file_go_together(judge, folder):
    run = judge("One.", "Two.", "--json", "--out", "records.jsonl")
    assert run.ids == saved_ids(folder / "records.jsonl")


def test_resuming_judges_only_what_is_missing(judge, folder):
    rows = [{"id": f"r{i}", "text": f"Number {i}."} for i in range(5)]
    write_rows(folder / "rows.jsonl", rows[:3])
    judge("rows.jsonl", "And a text.", "--out", "records.jsonl")
    write_rows(folder / "rows.jsonl", rows)
    run = judge("rows.jsonl", "And a text.", "--out", "records.jsonl", "--resume")
    assert run.err.startswith("2 judged: 2 allow; 4 already done")
    assert sorted(set(saved_ids(folder / "records.jsonl"))) == sorted(saved_ids(folder / "records.jsonl"))
    assert len(saved_ids(folder / "records.jsonl")) == 6


def test_resuming_a_finished_run_changes_nothing(judge, folder):
    judge("One.", "", "--out", "records.jsonl")
    before = (folder / "records.jsonl").read_bytes()
    run = judge("One.", "", "--out", "records.jsonl", "--resume")
    assert run.err.startswith("0 judged; 2 already done")
    assert (folder / "records.jsonl").read_bytes() == before


def test_empty_standard_input_is_no_work_and_no_error(judge):
    run = judge("-", "--json", stdin=b"\n  \n")
    assert (run.code, run.out, run.err) == (0, "", "0 judged\n")


def test_no_bar_is_drawn_when_stderr_is_not_a_terminal(judge, folder):
    write_rows(folder / "rows.jsonl", [{"text": f"Number {i}."} for i in range(100)])
    run = judge("rows.jsonl", "--out", "records.jsonl")
    assert run.err.count("\n") == 1
    assert "\r" not in run.err
    assert "\x1b" not in run.err


def test_the_summary_is_one_line_however_narrow_the_terminal(judge, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    assert len(judge("One.", FIRES).err.splitlines()) == 1


def test_control_characters_in_content_are_shown_not_obeyed(judge):
    run = judge(f"{FIRES} \x1b[31mred\x07")
    assert "\x1b" not in run.out
    assert "\\u001b" in run.out


def test_a_hostile_row_id_comes_out_as_json(judge):
    row = json.dumps({"id": "\ud800\x1b\u2028", "text": "Hello."}).encode()
    assert judge("-", "--json", stdin=row).records[0]["item"]["id"] == "\ud800\x1b\u2028"
