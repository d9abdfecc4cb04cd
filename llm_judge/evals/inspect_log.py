"""A finished run as an eval log of Inspect, scored by the same scorer as the tasks of ``inspect_task``.

Needs the extra ``inspect``. The same run gives the same file name, so writing it again replaces the file.
Knows nothing about engines.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from llm_judge.durable import reason_of
from llm_judge.errors import OutputError, UsageError
from llm_judge.evals.cells import check_run
from llm_judge.evals.inspect_samples import (
    item_metadata,
    labelled_areas,
    labels_of_outcome,
    placeholder,
    target_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from inspect_ai.log import EvalLog, EvalSample, EvalSpec

    from llm_judge.evals.outcomes import ItemOutcome
    from llm_judge.evals.run_data import RunData

_LONGEST = 366 * 86_400.0  # seconds of a run; more is a damaged manifest


def write_log(run: RunData, words: Mapping[str, str], ended: datetime, out: Path) -> Path:
    """Write a run into a folder, which is made if need be.

    Args:
        run: a finished run; one sample an item.
        words: item id → text; an item without one gets a placeholder.
        ended: when the run was finished, with its time zone.
        out: folder of logs, as ``inspect view --log-dir`` takes it.

    Returns:
        The file, called as Inspect calls its own: time, task and id.

    Raises:
        UsageError: the run holds no item, or outcomes that are not of one sound run.
        OutputError: it cannot be written; an older file stays as it was.
    """
    from inspect_ai.log import write_eval_log

    log = make_log(run, words, ended)
    stamp = ended.astimezone(UTC).strftime("%Y-%m-%dT%H-%M-%S+00-00")
    path = out / f"{stamp}_{_file_word(log.eval.task)}_{log.eval.task_id}.eval"
    part = path.with_suffix(".part")
    try:
        out.mkdir(parents=True, exist_ok=True)
        try:
            write_eval_log(log, part, format="eval")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write `{path}`: {reason_of(error)}", "choose another --out") from error
    return path


def make_log(run: RunData, words: Mapping[str, str], ended: datetime) -> EvalLog:
    """Return a run as a scored log; arguments and errors as for ``write_log``."""
    from inspect_ai import score
    from inspect_ai.log import EvalLog, EvalStats

    from llm_judge.evals.inspect_score import guidelines, metrics_of

    if not run.outcomes:
        raise UsageError(f"run `{run.name}` holds no items")
    check_run(run.outcomes)
    model = _model(run)
    began = ended - timedelta(seconds=_seconds(run))
    log = EvalLog(
        status="success",
        eval=_spec(run, model, began),
        stats=EvalStats(started_at=began.isoformat(), completed_at=ended.isoformat()),
        samples=[_sample(outcome, words.get(outcome.item), model) for outcome in run.outcomes],
    )
    areas = labelled_areas(labels_of_outcome(outcome) for outcome in run.outcomes)
    scored: EvalLog = score(
        log, guidelines(areas), metrics=metrics_of(areas), action="overwrite", display="none", copy=False
    )
    for sample in scored.samples or ():
        sample.events = []  # only the scoring of this moment, which the scores say already
    return scored


def _spec(run: RunData, model: str, began: datetime) -> EvalSpec:
    """What was judged by what; all of the manifest goes into the metadata."""
    from inspect_ai.log import EvalConfig, EvalDataset, EvalSpec

    manifest = dict(run.manifest)
    suites = "+".join(run.suites)
    versions = {name: str(found) for name, found in _part(run, "versions").items() if name != "python"}
    return EvalSpec(
        eval_id=_id(run, "eval"),
        run_id=_id(run, "run"),
        task_id=_id(run, "task"),
        created=began.isoformat(),
        task=suites,
        task_display_name=f"{suites} ({run.name})" if run.name != suites else suites,
        dataset=EvalDataset(
            name=suites, samples=len(run.outcomes), sample_ids=[outcome.item for outcome in run.outcomes]
        ),
        model=f"none/{model}",  # one that Inspect takes for none of its own, so a log can be scored again
        config=EvalConfig(),
        packages={**versions, "inspect_ai": version("inspect-ai")},
        metadata={"run": run.name, **manifest},
    )


def _sample(outcome: ItemOutcome, words: str | None, model: str) -> EvalSample:
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ChatMessageUser

    from llm_judge.evals.inspect_score import output_of, stored

    text = placeholder(outcome.item) if words is None else words
    output = output_of(outcome, model)
    seconds = None if outcome.cached else outcome.ms / 1000  # of an earlier run
    return EvalSample(
        id=outcome.item,
        epoch=1,
        input=text,
        target=target_of(labels_of_outcome(outcome)),
        messages=[ChatMessageUser(content=text), output.message],
        output=output,
        metadata=item_metadata(outcome),
        store=stored(outcome),
        total_time=seconds,
        working_time=seconds,
    )


def _model(run: RunData) -> str:
    """The model that answered; a baseline that needs none is called by its own name."""
    return str(_part(run, "judge").get("model") or run.name)


def _part(run: RunData, name: str) -> dict[str, Any]:
    """A mapping of the manifest, which may lack anything."""
    found = run.manifest.get(name)
    return found if isinstance(found, dict) else {}


def _seconds(run: RunData) -> float:
    """How long a run took; 0 where it does not say so, or what cannot be."""
    found = run.manifest.get("seconds")
    return found if isinstance(found, int | float) and 0 <= found <= _LONGEST else 0.0


def _id(run: RunData, of: str) -> str:
    """An id that is the same whenever this run is written, in the letters Inspect uses."""
    told = json.dumps([of, run.name, dict(run.manifest)], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()[:22]


def _file_word(name: str) -> str:
    """A part of a file name; Inspect splits names at underscores."""
    return "".join(letter if letter.isalnum() else "-" for letter in name)
