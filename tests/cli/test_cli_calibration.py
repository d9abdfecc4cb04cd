"""`--calibration FILE`: each policy's own thresholds decide, gaps are said once, other files are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_runs import FIRES, POLICY, Run

NAMED = POLICY.replace(
    "probability_at_least: 0.9, do: remove", "probability_at_least: calibrated.precision_95, do: remove"
)
CASES = f"""\
schema: 1
policy: demo/sales
cases:
  - {{id: fee, content: "{FIRES}", expect: violates, rule: MS1}}
"""


@pytest.fixture
def written(folder: Path, judge: Callable[..., Run]) -> Callable[..., None]:
    """Write calibration.json, made by hand for the judge of ``folder``; thresholds of its one area."""
    (folder / "sales.yaml").write_text(NAMED)
    (folder / "sales.cases.yaml").write_text(CASES)
    (record,) = judge("A calm day.", "--json").records
    identity = {name: record["run"][f"{name}_digest"] for name in ("policy", "prompt", "model", "adapter")}

    def write(precision: float | None, *, band: Any = None, own: bool = True, **other: str) -> None:
        found = {"precision_95": {"at": precision, "reason": None if precision else "too few rows"}}
        entry = {"key": "demo/sales", "method": "temperature", "temperature": 1.0, "n": 90, "positives": 40}
        data = {
            "schema": 1,
            "identity": identity | other,
            "entries": [{**entry, "thresholds": found, "band": band}] if own else [],
            "shared": found,
        }
        (folder / "calibration.json").write_text(json.dumps(data))

    return write


WITH = ("--calibration", "calibration.json")


def test_the_threshold_of_the_file_decides(judge: Callable[..., Run], written: Callable[..., None]) -> None:
    written(0.5)
    low = judge(FIRES, "--json", *WITH)
    assert low.err.endswith("ms an item\n")  # and nothing about thresholds
    written(0.99)
    high = judge(FIRES, "--json", *WITH)
    assert [run.records[0]["action"] for run in (low, high)] == ["remove", "review"]
    assert all(run.records[0]["decision"]["calibrated"] for run in (low, high))
    first, second = (run.records[0] for run in (low, high))
    assert first["decision_id"] != second["decision_id"]
    assert first["run"]["calibration_digest"] != second["run"]["calibration_digest"]
    assert first["verdicts"] == second["verdicts"]  # probabilities stay as they were read


def test_the_band_of_the_file_says_what_fires(
    judge: Callable[..., Run], written: Callable[..., None]
) -> None:
    written(0.5, band={"clear_below": 0.2, "fires_at": 0.999})
    run = judge(FIRES, "--json", *WITH)
    assert run.code == 3
    assert run.records[0]["decision"]["abstentions"][0]["rule"] == "demo/sales#MS1"


def test_gaps_are_one_line_at_the_start_and_stand_in_the_decision(
    judge: Callable[..., Run], written: Callable[..., None]
) -> None:
    written(None)
    run = judge("A calm day.", FIRES, *WITH)
    warning = "warning: the calibration has gaps: precision_95 of demo/sales: its steps never match\n"
    assert run.err.startswith(warning)
    assert "calibrated.precision_95 of demo/sales: its steps never match (too few rows)" in run.out
    assert "remove" not in run.out
    written(0.5, own=False)
    run = judge(FIRES, *WITH)
    assert "precision_95 of demo/sales: that over all areas stands in\n" in run.err
    assert run.err.endswith("; some thresholds are not calibrated\n")


def test_records_of_two_calibrations_do_not_mix(
    judge: Callable[..., Run], written: Callable[..., None]
) -> None:
    written(0.5)
    assert judge(FIRES, "--out", "records.jsonl", *WITH).code == 1
    written(0.6)
    again = judge(FIRES, "--out", "records.jsonl", "--resume", *WITH)
    assert again.code == 2
    assert "made with another calibration digest" in again.err


COMMANDS = {
    "judge": ("judge", "-p", "sales.yaml", FIRES),
    "test": ("policy", "test", "sales.yaml"),
    "run": ("eval", "run", "guideline-cases", "-p", "sales.yaml"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("other", ["policy", "prompt", "model", "adapter"])
def test_a_calibration_of_something_else_judges_nothing(
    llm_judge: Callable[..., Run], written: Callable[..., None], command: str, other: str
) -> None:
    if command == "run":
        pytest.importorskip("pyarrow")
    written(0.5, **{other: "f" * 64})
    run = llm_judge(*COMMANDS[command], "-e", "scripted:script.json", *WITH)
    assert (run.code, run.out) == (2, "")
    assert f"the calibration was made for another {other}: {other} `ffffffffffff`" in run.err
    assert run.err.count("error:") == 1
    assert not Path("runs").exists()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("text", "message"), [(None, "cannot be read: no such file"), ("{", "is not a calibration: as a whole")]
)
def test_a_file_that_is_none(
    folder: Path, llm_judge: Callable[..., Run], command: str, text: str | None, message: str
) -> None:
    if text is not None:
        (folder / "calibration.json").write_text(text)
    run = llm_judge(*COMMANDS[command], "-e", "nosuch", *WITH)  # found before an engine is opened
    assert (run.code, run.out) == (2, "")
    assert message in run.err


def test_policy_test_decides_by_it(llm_judge: Callable[..., Run], written: Callable[..., None]) -> None:
    words = ("policy", "test", "sales.yaml", "-e", "scripted:script.json")
    written(0.99)
    assert "no case reached: remove" in llm_judge(*words, *WITH).out
    written(0.5, own=False)
    run = llm_judge(*words, *WITH)
    assert run.err.startswith("warning: the calibration has gaps")
    assert "some thresholds are not calibrated" in run.out
    found = json.loads(llm_judge(*words, *WITH, "--json").out)
    assert found["gaps"][0]["effect"] == "shared"
    alone = llm_judge(*words, *WITH, "--alone")
    assert (alone.code, "--calibration does not go with --alone" in alone.err) == (2, True)
