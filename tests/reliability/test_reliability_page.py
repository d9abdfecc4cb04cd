"""The page says what the figures say; the page checked in is that of the figures checked in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llm_judge.errors import UsageError
from llm_judge.reliability import figures_file
from llm_judge.reliability.page import page

FILE = Path(__file__).parents[2] / "docs" / "reliability.json"


def figures(**changes: Any) -> dict[str, Any]:
    counts = {"sent": 1200, "decided": 900, "kept": 901, "lost": 0, "duplicated": 0, "wrong_typed": 0}
    counts |= {"unanswered": 299, "left": 0, "fail_modes": 12, "errors": {"overloaded": 1}}
    result = {"name": "judge-killed", "what": "it is killed", "tally": counts, "fail_modes_counted": None}
    result |= {"recovered_s": 0.5, "good": True, "notes": {"kills": 3}, **changes}
    command = {"command": "make chaos", "machine": figures_file.machine()}
    return {"chaos": {**command, "results": [result], "not_run": {"database-killed": "no PostgreSQL"}}}


def test_a_fault_is_a_row_in_both_tables() -> None:
    text = page(figures())
    assert "| judge-killed | 1,200 | 900 | 901 | 0 | 0 | 0 | 0.5 | yes |" in text
    assert "| judge-killed | 299 | 0 | 12 | – | 1 `overloaded` |" in text
    assert "- **judge-killed**: it is killed. Kills: 3." in text
    assert "Not run: database-killed (no PostgreSQL)." in text


def test_a_fault_that_did_harm_stands_out() -> None:
    assert "| 0.5 | **no** |" in page(figures(good=False))


def test_one_part_is_replaced_and_the_other_stays(tmp_path: Path) -> None:
    file = tmp_path / "reliability.json"
    figures_file.keep(file, "chaos", figures()["chaos"])
    load = {"command": "make load", "machine": figures_file.machine()}
    load["results"] = [
        {"title": "Soak", "what": "Many.", "figures": {"requests": 50_000, "MiB": [90.5, 91.0]}}
    ]
    text = figures_file.keep(file, "load", load).read_text()
    assert "judge-killed" in text and "| requests | 50,000 |" in text and "| MiB | 90.5 and 91 |" in text


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "reliability.json"
    for wrong in ("[]", "{"):
        file.write_text(wrong)
        with pytest.raises(UsageError, match="is not a file of figures"):
            figures_file.keep(file, "chaos", {})


@pytest.mark.skipif(not FILE.exists(), reason="nothing was measured yet")
def test_the_page_checked_in_is_of_the_figures_checked_in() -> None:
    found = json.loads(FILE.read_text("utf-8"))
    assert FILE.with_suffix(".md").read_text("utf-8") == page(found)
    assert all(result["good"] for result in found["chaos"]["results"])
