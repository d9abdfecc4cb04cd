"""A run and a calibration → whether they belong together, and the run scored at calibrated thresholds.

No threshold is chosen here: each was fitted before, and where that was on the very answers that are scored,
the result says so. Knows nothing about files, fitting or how a report looks.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from llm_judge.calibration import Identity
from llm_judge.errors import UsageError
from llm_judge.evals.calibrate import ladder_score
from llm_judge.evals.cells import Dimension, samples
from llm_judge.evals.metrics import measure_cell
from llm_judge.evals.outcomes import Ask, Kind
from llm_judge.evals.point_values import Metric
from llm_judge.source import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from llm_judge.calibration import Calibration, Entry
    from llm_judge.evals.cells import CellKey, Sample
    from llm_judge.evals.metrics import Cell
    from llm_judge.evals.outcomes import ItemOutcome
    from llm_judge.evals.run_data import RunData

_DECISIONS = (Metric.PRECISION, Metric.RECALL, Metric.F1)
_PROBABILITIES = (Metric.BRIER, Metric.ECE)


def identity_of_run(run: RunData) -> Identity:
    """Return what a calibration of a run belongs to, with the digest of the labelled answers.

    Raises:
        UsageError: no judge answered the run, it asked no rules, or its manifest is damaged.
    """
    judge, options = (run.manifest.get(name) for name in ("judge", "options"))
    if not isinstance(judge, dict):
        raise UsageError(f"`{run.name}` was not answered by a judge", "give a run of `llm-judge eval run`")
    if isinstance(options, dict) and options.get("ask") == Ask.AREAS:
        raise UsageError(
            f"`{run.name}` asked areas only, and ladders compare what rules answer",
            "run it again with --ask labelled",
        )
    found = {name: judge.get(f"{name}_digest") for name in ("policy", "prompt", "model", "adapter")}
    try:
        return Identity.model_validate({**found, "data": data_digest(run.outcomes)})
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]["loc"][0]
        raise UsageError(
            f"the manifest of {quoted(run.name)} holds no {wrong} digest", "run it again"
        ) from None


def data_digest(outcomes: Iterable[ItemOutcome]) -> str:
    """Return the SHA-256 of the labelled questions of a run: items, contents, truths, in any order."""
    rows = sorted(
        f"{outcome.item}\0{outcome.sha256}\0{answer.kind}\0{answer.key}\0{answer.truth}"
        for outcome in outcomes
        for answer in outcome.answers
        if answer.truth is not None
    )
    return hashlib.sha256("\n".join(rows).encode("utf-8", "surrogatepass")).hexdigest()


def calibrated_data(run: RunData, calibration: Calibration, *, draws: int, seed: int = 0) -> dict[str, Any]:
    """Return a run scored by a calibration, as plain data.

    An area is scored with its thresholds, or with those over all areas where it has none; a rule with its
    own only. Where nothing usable was read, or a rule was not asked, nothing is flagged at any threshold.

    Args:
        run: answered by the judge that the calibration was made for.
        calibration: made from this run or, better, another.
        draws, seed: of the resamples behind the intervals.

    Returns:
        ``digest``: of the calibration; ``fitted_on``: ``these`` labelled answers, ``others``, or
        ``unknown``; ``thresholds``: one row a question and threshold; ``probabilities``: one row a question
        with an entry, as read and as mended.

    Raises:
        UsageError: the calibration was made for something else, or as ``identity_of_run`` raises it.
    """
    identity = identity_of_run(run)
    calibration.refuse_other(identity.model_copy(update={"data": None}))
    found = samples([_as_compared(outcome) for outcome in run.outcomes], [Dimension.OVERALL])
    labelled = {at: sample for at, sample in found.items() if len(sample)}

    def cell(at: CellKey, sample: Sample) -> Cell:
        return measure_cell(at, sample, draws=draws, seed=seed)

    fitted = calibration.identity.data
    return {
        "digest": calibration.digest,
        "fitted_on": "unknown" if fitted is None else "these" if fitted == identity.data else "others",
        "thresholds": [
            {
                **row,
                **_counts(sample),
                "metrics": _metrics(None if each is None else cell(at, each), _DECISIONS, row["reason"]),
            }
            for at, sample in labelled.items()
            for row, each in _at_thresholds(at, sample, calibration)
        ],
        "probabilities": [
            {
                **_name(at),
                **_counts(sample),
                "read": _metrics(cell(at, sample), _PROBABILITIES),
                "mended": _metrics(cell(at, _mended(sample, entry)), _PROBABILITIES),
            }
            for at, sample in labelled.items()
            if (entry := calibration.entry(at.key))
        ],
    }


def _as_compared(outcome: ItemOutcome) -> ItemOutcome:
    """An outcome with the probabilities that a ladder would compare; the item as a whole has none."""
    return replace(
        outcome,
        answers=tuple(
            replace(answer, probability=ladder_score(answer, outcome.answers))
            for answer in outcome.answers
            if answer.kind is not Kind.ITEM
        ),
    )


def _at_thresholds(
    at: CellKey, sample: Sample, calibration: Calibration
) -> Iterator[tuple[dict[str, Any], Sample | None]]:
    """Every threshold of a question, and the answers it would flag; None where it is not reached."""
    import numpy as np

    for name in calibration.shared:
        own = calibration.is_own(at.key, name)
        threshold = calibration.threshold(at.key, name)
        if threshold is None or (at.kind is Kind.RULE and not own):
            continue
        reason = None if threshold.at is not None else threshold.reason or "not reached"
        row = {**_name(at), "threshold": name, "at": threshold.at, "own": own, "reason": reason}
        if threshold.at is None:
            yield row, None
        else:
            never = np.zeros(len(sample), np.bool_)
            flagged = sample.probability >= threshold.at  # NaN is never at or above
            yield row, replace(sample, flagged=flagged, abstained=never, unreadable=never)


def _mended(sample: Sample, entry: Entry) -> Sample:
    import numpy as np

    mended = [read if np.isnan(read) else entry.probability(float(read)) for read in sample.probability]
    return replace(sample, probability=np.array(mended, np.float64))


def _name(at: CellKey) -> dict[str, Any]:
    return {"kind": at.kind.value, "key": at.key}


def _counts(sample: Sample) -> dict[str, int]:
    return {"n": len(sample), "positives": int(sample.truth.sum())}


def _metrics(cell: Cell | None, names: Sequence[Metric], reason: str | None = None) -> dict[str, Any]:
    if cell is None:
        return {name.value: {"value": None, "low": None, "high": None, "reason": reason} for name in names}
    return {name.value: cell.metrics[name].as_json() for name in names}
