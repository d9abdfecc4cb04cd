"""Faults for real, in a few seconds each: real processes, a real store, and nothing lost."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from llm_judge.reliability import chaos, load
from llm_judge.reliability.figures_file import machine
from llm_judge.reliability.page import page
from llm_judge.reliability.scene import play


@pytest.mark.parametrize("name", ["judge-stopped", "disk-full", "duplicate-delivery", "clock-jump"])
def test_a_fault_loses_doubles_and_mistypes_nothing(name: str) -> None:
    (fault,) = chaos.chosen([name])
    result = asyncio.run(play(fault, share=0.2))
    assert result.good, chaos.told(result)
    assert result.tally.kept >= 60 and result.tally.fail_modes
    text = page(
        {"chaos": {"command": "c", "machine": machine(), "not_run": {}, "results": [result.as_json()]}}
    )
    assert f"| {name} | {result.tally.sent:,} | {result.tally.decided:,} |" in text
    if name == "disk-full":
        assert result.tally.errors.keys() == {"record_not_kept"}
    if name == "clock-jump":
        assert result.notes["hours that decisions were ahead"] == [24, -24]


def test_an_unknown_fault_is_one_line_with_its_fix(capsys: pytest.CaptureFixture[str]) -> None:
    assert chaos.main(["--only", "earthquake"]) == 2
    said = capsys.readouterr().err
    assert "no fault `earthquake`" in said and "judge-killed" in said


def test_load_is_measured_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "reliability.json"
    words = ["--requests", "1000", "--seconds", "2", "--small", "--file", str(file)]
    assert load.main(words) == 0, capsys.readouterr().err
    cost, storm, soak = json.loads(file.read_text())["load"]["results"]
    assert 100 <= cost["figures"]["2 rules: requests"] <= 120
    refused, of = storm["figures"]["503 with Retry-After"]
    assert refused == of > 0 and storm["figures"]["without an answer, wrong-typed"] == [0, 0]
    assert soak["figures"]["requests"] >= 1000 and soak["figures"]["chain whole"]
    assert "## Load" in file.with_suffix(".md").read_text()
