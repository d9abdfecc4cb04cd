"""`llm-judge drift` as a person uses it: from records to a reference, and from others to a report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_runs import FIRES


def judged(judge, out: str, fires: int, clear: int) -> None:
    rows = [FIRES] * fires + ["A calm day."] * clear
    Path("items.jsonl").write_text(
        "".join(json.dumps({"id": str(i), "text": text}) + "\n" for i, text in enumerate(rows))
    )
    judge("items.jsonl", "--out", out)


@pytest.mark.parametrize("kept", ["file", "store"])
def test_what_moved_is_told(judge, llm_judge, folder: Path, kept: str) -> None:
    judged(judge, "may.jsonl", 2, 58)
    judged(judge, "june.jsonl", 30, 30)
    where: tuple[str, ...] = ("june.jsonl",)
    if kept == "store":
        pytest.importorskip("sqlalchemy")
        assert llm_judge("records", "import", "june.jsonl", "--store", "june.sqlite3").code == 0
        where = ("--store", "june.sqlite3", "--since", "2026-01-01")
    made = llm_judge("drift", "reference", "may.jsonl", "--out", "may.json")
    assert made.code == 0 and "2 rules over 60 decisions" in made.err
    assert "prize" not in Path("may.json").read_text()

    same = llm_judge("drift", "report", "may.json", "may.jsonl")
    assert same.code == 0 and "0 of 2 rules moved" in same.out
    moved = llm_judge("drift", "report", "may.json", *where)
    assert moved.code == 1 and "demo/sales#MS1" in moved.out and "flag rate" in moved.out
    rows = [
        json.loads(line)
        for line in llm_judge("drift", "report", "may.json", *where, "--json").out.splitlines()
    ]
    assert rows[0]["rule"] == "demo/sales#MS1" and "flag rate" in rows[0]["moved"]
    assert (rows[0]["flagged"]["reference"]["count"], rows[0]["flagged"]["window"]["count"]) == (2, 30)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("reference", "none.jsonl"), "cannot read"),
        (("reference", "sales.yaml"), "sales.yaml:1: this is no decision record"),
        (("reference", "empty.jsonl"), "no decision among"),
        (("reference", "empty.jsonl", "--since", "2026-01-01"), "go with --store"),
        (("reference", "empty.jsonl", "--out", "none/x.json"), "cannot write"),
        (("reference",), "record store"),
        (("report", "script.json", "empty.jsonl"), "not a reference of drift"),
    ],
)
def test_every_wrong_word_is_one_line(llm_judge, folder: Path, words: tuple[str, ...], told: str) -> None:
    (folder / "empty.jsonl").touch()
    ended = llm_judge("drift", *words)
    assert ended.code == 2 and told in ended.err
