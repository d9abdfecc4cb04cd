"""`policy fmt`: what it prints, what it changes, and what it leaves alone."""

from __future__ import annotations

import json

import pytest
from cli_runs import POLICY

TIDY = (
    POLICY.replace("rules:\n", "\nrules:\n")
    .replace("  - id: MS2", "\n  - id: MS2")
    .replace("actions:", "\nactions:")
)
UNTIDY = TIDY.replace("title: Misleading sales", "title: 'Misleading sales' # the name")
CHANGED = TIDY.replace("title: Misleading sales", "title: Misleading sales # the name")
WRONG = TIDY.replace("severity: 4", "severty: 4")


@pytest.fixture
def sales(folder):
    (folder / "sales.yaml").write_text(UNTIDY)
    (folder / "tidy.yaml").write_text(TIDY)
    return folder


def test_one_file_is_printed_and_not_changed(sales, llm_judge):
    run = llm_judge("policy", "fmt", "sales.yaml")
    assert (run.code, run.out, run.err) == (0, CHANGED, "")
    assert llm_judge("policy", "fmt", "tidy.yaml").out == TIDY
    assert (sales / "sales.yaml").read_text() == UNTIDY


def test_write_changes_what_must_change_and_lists_it(sales, llm_judge):
    (sales / "sales.yaml").chmod(0o640)
    run = llm_judge("policy", "fmt", "-w", ".")
    assert (run.code, run.out) == (0, "sales.yaml\n")
    assert run.err == "1 file changed, 1 already formatted\n"
    assert (sales / "sales.yaml").read_text() == CHANGED
    assert (sales / "sales.yaml").stat().st_mode & 0o777 == 0o640
    assert llm_judge("policy", "fmt", "-w", ".").out == ""
    assert sorted(path.name for path in sales.iterdir()) == ["sales.yaml", "script.json", "tidy.yaml"]


def test_check_and_diff_change_nothing(sales, llm_judge):
    run = llm_judge("policy", "fmt", "--check", "--diff", "sales.yaml", "tidy.yaml")
    assert run.code == 1
    assert "-title: 'Misleading sales' # the name\n+title: Misleading sales # the name\n" in run.out
    assert "tidy" not in run.out
    assert (
        llm_judge("policy", "fmt", "--diff", ".").code,
        llm_judge("policy", "fmt", "--check", "tidy.yaml").code,
    ) == (0, 0)
    assert (sales / "sales.yaml").read_text() == UNTIDY


def test_line_ends_count_as_a_change(sales, llm_judge):
    (sales / "tidy.yaml").write_bytes(TIDY.replace("\n", "\r\n").encode())
    run = llm_judge("policy", "fmt", "--diff", "--check", "tidy.yaml")
    assert run.code == 1
    assert "only line ends" in run.out
    llm_judge("policy", "fmt", "-w", "tidy.yaml")
    assert (sales / "tidy.yaml").read_bytes() == TIDY.encode()


def test_a_wrong_file_is_left_alone_and_the_others_are_done(sales, llm_judge):
    (sales / "wrong.yaml").write_text(WRONG)
    run = llm_judge("policy", "fmt", "-w", ".")
    assert run.code == 2
    assert "wrong.yaml:14:5: error[P002] unknown key `severty`" in run.err
    assert (sales / "wrong.yaml").read_text() == WRONG
    assert (sales / "sales.yaml").read_text() == CHANGED


def test_json(sales, llm_judge):
    run = llm_judge("policy", "fmt", "--json", "sales.yaml", "tidy.yaml")
    assert json.loads(run.out) == {"changed": ["sales.yaml"], "wrong": [], "unchanged": 1, "written": False}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sales.yaml", "tidy.yaml"], "only one file can be printed"),
        (["."], "only one file can be printed"),
        (["-w", "--check", "."], "exclude each other"),
        (["--check", "missing.yaml"], "there is no file `missing.yaml`"),
        (["--check", "empty"], "there is no file to format in `empty`"),
        (["--check", "script.json"], "error"),
    ],
)
def test_what_cannot_be_done_is_one_line(sales, llm_judge, words, said):
    (sales / "empty").mkdir()
    run = llm_judge("policy", "fmt", *words)
    assert run.code == 2
    assert said in run.err


def test_a_file_that_cannot_be_written_keeps_its_text(sales, llm_judge, monkeypatch):
    (sales / ".sales.yaml.new").mkdir()  # stands where the new text would be prepared
    run = llm_judge("policy", "fmt", "-w", "sales.yaml")
    assert run.code == 2
    assert "cannot write `sales.yaml`" in run.err
    assert (sales / "sales.yaml").read_text() == UNTIDY
