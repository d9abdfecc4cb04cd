"""Files of the doctor and of robustness runs: read back as written, and one line for what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report_runs import made_robustness

from llm_judge.diagnostics import Level
from llm_judge.errors import UsageError
from llm_judge.evals.doctor import Finding
from llm_judge.evals.findings_file import findings_json, read_findings
from llm_judge.evals.robustness_file import read_robustness, write_robustness

FINDING = Finding("D301", Level.ERROR, ("set:0", "set:1"), "opposite labels", "correct one")
Reader = Callable[[Path], object]


def test_findings_are_read_back(tmp_path: Path) -> None:
    found = [FINDING, replace(FINDING, code="D401", level=Level.WARNING, ids=())]
    (tmp_path / "f.json").write_text(json.dumps(findings_json(found)))
    assert read_findings(tmp_path / "f.json") == found
    (tmp_path / "f.json").write_text("[]")
    assert read_findings(tmp_path / "f.json") == []


def test_a_robustness_run_is_read_back(tmp_path: Path) -> None:
    found = made_robustness()
    write_robustness(found, tmp_path / "r.json")
    again = read_robustness(tmp_path / "r.json")
    assert again.as_json() == found.as_json()
    assert again.rows[0].flips.total == found.rows[0].flips.total


@pytest.mark.parametrize("read", [read_findings, read_robustness])
@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe", b"{", b"null", b'"words"', b"[1]", b"[" * 100_000, b'{"schema": 2}']
)
def test_another_file_is_one_line(tmp_path: Path, read: Reader, data: bytes) -> None:
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(UsageError, match="json` is not a") as caught:
        read(tmp_path / "x.json")
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 400
    assert "make it by `llm-judge eval" in str(caught.value.hint)


@pytest.mark.parametrize("read", [read_findings, read_robustness])
def test_no_file_and_a_folder_are_one_line(tmp_path: Path, read: Reader) -> None:
    with pytest.raises(UsageError, match="cannot be read: no such file"):
        read(tmp_path / "x.json")
    with pytest.raises(UsageError, match="cannot be read: is a directory"):
        read(tmp_path)
    with pytest.raises(UsageError, match="cannot be read: not a usable name"):
        read(tmp_path / "x\0.json")


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (("rows", 0, "recall", "value"), 1.5, "rows.0.recall.value"),
        (("rows", 0, "recall", "value"), "high", "rows.0.recall.value"),
        (("rows", 0, "kind"), "mood", "rows.0.kind"),
        (("rows", 0, "flips", "count"), -1, "rows.0.flips.count"),
        (("rows", 0, "pairs"), "3", "rows.0.pairs"),
        (("families",), {}, "families"),
        (("judge",), None, "judge"),
        (("schema",), 2, "schema"),
    ],
)
def test_a_wrong_value_is_named_by_its_place(
    tmp_path: Path, place: tuple[str | int, ...], value: object, says: str
) -> None:
    data: Any = json.loads(json.dumps(made_robustness().as_json()))
    inner = data
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    (tmp_path / "r.json").write_text(json.dumps(data))
    with pytest.raises(UsageError, match=f"is not a robustness run: `{says}`"):
        read_robustness(tmp_path / "r.json")


def test_a_level_that_does_not_exist_is_named(tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text(json.dumps([{**findings_json([FINDING])[0], "level": "grave"}]))
    with pytest.raises(UsageError, match=r"is not a list of findings: `0\.level`"):
        read_findings(tmp_path / "f.json")
