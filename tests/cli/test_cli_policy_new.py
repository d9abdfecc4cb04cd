"""`policy new`: questions, options, and files that are never overwritten."""

from __future__ import annotations

import pytest

OPTIONS = [
    "--id",
    "safety/noise",
    "--title",
    "Noise",
    "--summary",
    "Loud sounds.",
    "--violates",
    "Plays a scream.",
]
ANSWERS = "Safety/x\nsafety/noise\n\nNoise\nLoud sounds.\nPlays a scream.\n9\n\nnews: Reports on it.\n"


def test_answers_become_files_that_pass_the_check(folder, llm_judge):
    run = llm_judge("policy", "new", "house", stdin=ANSWERS.encode())
    assert run.code == 0
    assert run.out == "written: house/safety/noise.yaml\nwritten: house/safety/noise.cases.yaml\n"
    for said in (
        "`Safety/x`",
        "an answer is needed",
        "`9` is not a whole number",
        "next: llm-judge policy check",
    ):
        assert said in run.err
    assert run.err.count("next: llm-judge policy schema --out house/schema ") == 1
    done = llm_judge("policy", "check", "house")
    assert (done.code, done.out.count("warning[P125]")) == (0, 9)
    assert "status: test" in llm_judge("policy", "test", "house").err
    assert llm_judge("policy", "schema", "--out", "house/schema").code == 0
    assert (
        "policy schema" not in llm_judge("policy", "new", "house", *OPTIONS[2:], "--id", "a/b", "--yes").err
    )
    assert llm_judge("policy", "fmt", "-w", "house").code == 0
    assert llm_judge("policy", "fmt", "--check", "house").code == 0


def test_options_answer_everything(folder, llm_judge):
    run = llm_judge("policy", "new", "house", *OPTIONS, "--severity", "5", "--exempt", "", "--yes")
    assert run.code == 0
    text = (folder / "house/safety/noise.yaml").read_text()
    assert "severity: 5" in text
    assert "exemptions" not in text


def test_only_what_is_missing_is_asked(folder, llm_judge):
    run = llm_judge("policy", "new", *OPTIONS, stdin=b"\n\n")
    assert run.code == 0
    assert run.err.count("\n> ") == 2
    assert (folder / "policies/safety/noise.yaml").exists()


@pytest.mark.parametrize("name", ["noise.yaml", "noise.cases.yaml"])
def test_nothing_is_overwritten(folder, llm_judge, name):
    (folder / "house/safety").mkdir(parents=True)
    (folder / "house/safety" / name).write_text("mine")
    run = llm_judge("policy", "new", "house", *OPTIONS, "--yes")
    assert run.code == 2
    assert f"`house/safety/{name}` is already there" in run.err
    assert [path.read_text() for path in (folder / "house/safety").iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("words", "stdin", "said"),
    [
        (["--yes", "--id", "a/b"], b"", "`--yes` needs --title, --summary, --violates"),
        (["--id", "a"], b"", "--id: `policy` cannot be `a`"),
        (["--severity", "9", "--id", "a/b"], b"", "--severity: `9` is not"),
        (["--owner", " "], b"", "--owner: an answer is needed"),
        ([], b"", "no answer for --id"),
        ([], b"a/b\nTitle", "no answer for --summary"),
        ([], b"a/\xff\n", "the answer is not UTF-8 text"),
        (["sales.yaml", *OPTIONS, "--yes"], b"", "cannot write"),
    ],
)
def test_what_cannot_be_done_is_one_line(folder, llm_judge, words, stdin, said):
    before = sorted(folder.rglob("*"))
    run = llm_judge("policy", "new", *words, stdin=stdin)
    assert run.code == 2
    assert said in run.err
    assert sorted(folder.rglob("*")) == before
