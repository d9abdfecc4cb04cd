"""A run as a log of Inspect, read back with Inspect's own reader."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from report_runs import AREAS, made_run, words_of

from llm_judge.errors import OutputError, UsageError
from llm_judge.evals.inspect_log import write_log
from llm_judge.evals.run_data import RunData

log_files = pytest.importorskip("inspect_ai.log")
ENDED = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


@pytest.fixture
def run() -> RunData:
    return made_run(count=100)  # the item with number 96 is in error


def test_a_log_holds_every_item_score_and_digest(run: RunData, tmp_path: Path) -> None:
    path = write_log(run, {}, ENDED, tmp_path / "new" / "logs")
    log = log_files.read_eval_log(path)
    assert (log.status, log.eval.task, log.eval.model) == ("success", "core-text", "none/made-up")
    assert log.eval.metadata == {"run": "tuned", **run.manifest}
    assert log.eval.packages["torch"] == "2.13.0"
    by_id = {sample.id: sample for sample in log.samples}
    assert {name: each.metadata["sha256"] for name, each in by_id.items()} == {
        outcome.item: outcome.sha256 for outcome in run.outcomes
    }
    assert [score.name for score in log.results.scores] == ["every label", *sorted(AREAS[:3])]
    for score in log.results.scores[1:]:
        labelled = sum(a.key == score.name and a.truth is not None for o in run.outcomes for a in o.answers)
        assert score.scored_samples == labelled
        assert score.scored_samples + score.unscored_samples == 100
        assert 0 < score.metrics["accuracy"].value < 1
    failed = by_id[run.outcomes[96].item].scores["guidelines"]
    assert (failed.value["every label"], failed.reason) == (
        pytest.approx(math.nan, nan_ok=True),
        "no_response",
    )


def test_words_are_in_it_only_when_given(run: RunData, tmp_path: Path) -> None:
    words = words_of(run)
    bare = log_files.read_eval_log(write_log(run, {}, ENDED, tmp_path / "bare"))
    full = log_files.read_eval_log(write_log(run, words, ENDED, tmp_path / "full"))
    assert all(sample.input != words[sample.id] for sample in bare.samples)
    assert "Words number" not in bare.model_dump_json()
    assert {sample.id: sample.input for sample in full.samples} == words


def test_writing_it_again_replaces_it(run: RunData, tmp_path: Path) -> None:
    first, second = (write_log(run, {}, ENDED, tmp_path) for _ in range(2))
    assert first == second
    assert list(tmp_path.iterdir()) == [first]
    assert first.name.startswith("2026-05-04T03-02-01+00-00_core-text_")
    write_log(replace(run, name="other"), {}, ENDED, tmp_path)
    (found, other) = log_files.list_eval_logs(str(tmp_path))
    assert {found.task, other.task} == {"core-text"}


def test_a_manifest_may_lack_or_garble_anything(run: RunData, tmp_path: Path) -> None:
    for manifest in ({}, {"judge": None, "versions": ["torch"], "seconds": 1e300}):
        log = log_files.read_eval_log(write_log(replace(run, manifest=manifest), {}, ENDED, tmp_path))
        assert log.eval.model == "none/tuned"
        assert log.stats.started_at == log.stats.completed_at


def test_wrong_input_is_one_message(run: RunData, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no items"):
        write_log(replace(run, outcomes=()), {}, ENDED, tmp_path)
    with pytest.raises(UsageError, match="occurs twice"):
        write_log(replace(run, outcomes=run.outcomes[:1] * 2), {}, ENDED, tmp_path)
    (tmp_path / "file").write_text("taken")
    with pytest.raises(OutputError, match="cannot write"):
        write_log(run, {}, ENDED, tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
