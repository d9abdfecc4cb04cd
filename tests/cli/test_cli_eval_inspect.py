"""`llm-judge eval inspect`, and our judge as a task inside Inspect: both tell the same of the same items."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_runs import Run

CASES = """\
schema: 1
policy: demo/sales
cases:
  - {id: asks, content: "Pay a small fee to claim it.", expect: violates, rule: MS1}
  - {id: missed, content: "Send us a deposit first.", expect: violates, rule: MS1}
  - {id: warns, content: "They ask for a fee, so beware.", expect: exempt, rule: MS1, exemption: warning}
  - {id: meets, content: "Meet us at the stall on Monday.", expect: clear}
"""
GRADES = {"asks": "C", "missed": "I", "warns": "I", "meets": "C"}  # of every label; the script fires on "fee"
HOW = {"engine": "scripted:script.json", "policies": "sales.yaml"}
# A process of its own: Inspect leaves streams to the garbage collector, and warnings are errors here.
PROGRAM = """
import json, sys
import inspect_ai
from llm_judge.evals import inspect_task
task = getattr(inspect_task, sys.argv[1])(**json.loads(sys.argv[2]))
(log,) = inspect_ai.eval(task, display="none", log_dir="judged")
print(log.location)
"""


@pytest.fixture
def run(folder: Path, llm_judge: Callable[..., Run]) -> Path:
    pytest.importorskip("pyarrow")
    (folder / "sales.cases.yaml").write_text(CASES)
    words = ("-p", "sales.yaml", "-e", "scripted:script.json")
    assert llm_judge("eval", "run", "guideline-cases", *words).code == 0
    return folder / "runs" / "guideline-cases"


def inspected(task: str, **how: object) -> Any:
    """The log of a task of ours, run by Inspect."""
    read = pytest.importorskip("inspect_ai.log").read_eval_log
    command = [sys.executable, "-c", PROGRAM, task, json.dumps(HOW | how)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return read(done.stdout.strip())


def told(log: Any) -> dict[str, tuple[Any, ...]]:
    """What a log says of each item, without times."""
    found = {}
    for sample in log.samples:
        score = sample.scores["guidelines"]
        known = (sample.target, sample.metadata["group"], score.value["every label"], score.answer)
        found[sample.id.partition("#")[2]] = (*known, score.metadata, sample.output.completion)
    return found


def numbers(log: Any) -> dict[str, dict[str, float]]:
    """Every metric of every score."""
    return {
        score.name: {name: metric.value for name, metric in score.metrics.items()}
        for score in log.results.scores
    }


def test_a_run_and_a_task_tell_the_same(run: Path, llm_judge: Callable[..., Run]) -> None:
    judged = inspected("guideline_cases")
    from inspect_ai.log import read_eval_log

    done = llm_judge("eval", "inspect", run)
    assert (done.code, done.err) == (0, "")
    assert "4 samples, 0 with their words" in done.out  # they are cases of other policies than the shipped
    written = read_eval_log(done.out.partition(": ")[0])
    assert (written.status, judged.status) == ("success", "success")
    assert told(written) == told(judged)
    assert {name: row[2] for name, row in told(judged).items()} == GRADES
    for key in ("judge", "policies", "items_digest", "suites"):
        assert written.eval.metadata[key] == judged.eval.metadata[key]
    assert numbers(written) == numbers(judged)
    # An exempt case says nothing of its area.
    assert numbers(judged)["demo/sales"]["accuracy"] == pytest.approx(2 / 3)


def test_a_suite_holds_words_only_when_asked(run: Path) -> None:
    for words in (False, True):
        log = inspected("suite", suite="guideline-cases", words=words, limit=2)
        assert len(log.samples) == 2
        assert ("a small fee" in log.model_dump_json()) == words


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"suite": "core-texts"}, "did you mean `core-text`?"),
        ({"suite": "core-text", "data": "nowhere"}, "not a folder"),
        ({"suite": "guideline-cases", "ask": "nothing"}, "there is no way to ask"),
        ({"suite": "guideline-cases", "policies": "nowhere.yaml"}, "nowhere.yaml"),
        ({"suite": "guideline-cases", "engine": "magic"}, "unknown engine"),
    ],
)
def test_inspect_shows_wrong_input_as_one_message(folder: Path, how: dict[str, str], message: str) -> None:
    pytest.importorskip("inspect_ai")
    from click import ClickException

    from llm_judge.evals.inspect_task import suite

    (folder / "sales.cases.yaml").write_text(CASES)
    with pytest.raises(ClickException, match=message) as caught:
        suite(**HOW | how)
    assert caught.value.exit_code == 2


def test_a_missing_extra_is_one_message(
    folder: Path, llm_judge: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_judge.cli.extras.find_spec", lambda name: None if name == "inspect_ai" else name)
    done = llm_judge("eval", "inspect", "nowhere")
    assert done.code == 2
    assert done.err.count("error:") == 1
    assert "pip install 'llm-judge[inspect]'" in done.err


def test_what_is_no_run_is_one_message(
    folder: Path, llm_judge: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_judge.cli.extras.find_spec", lambda name: name)
    done = llm_judge("eval", "inspect", "nowhere")
    assert done.code == 2
    assert "`nowhere` is no eval run" in done.err
