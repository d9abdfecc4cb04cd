"""Outcomes → every metric of every cell, with intervals, or the reason why there is none.

Two ways to count a "could not tell", never mixed:

* *over all answers* (``recall``, ``f1``): an abstention or unreadable answer flags nothing, so on a
  violating item it is a miss;
* *over decided answers* (``recall_decided``, ``f1_decided``): abstentions and unreadable answers are left
  out. ``precision`` is the same both ways, since neither flags.

Threshold-free metrics (AUROC, AUPRC, recall at a false positive rate, Brier, ECE, AURC) use the probabilities
of all readable answers, whatever was decided, and need ``MIN_CLASS`` of either class. All rates are over
labelled answers. Values come from scikit-learn, intervals from draws of whole groups.

Knows nothing about files, engines or how a report looks.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from llm_judge.evals.bootstrap import DRAWS, intervals
from llm_judge.evals.cells import CellKey, Dimension, Sample, samples
from llm_judge.evals.estimate import Estimate, Interval
from llm_judge.evals.point_values import METRICS, point_values, share_of
from llm_judge.evals.resampled import resampled
from llm_judge.evals.scores import ReliabilityBin, reliability
from llm_judge.evals.selective import RiskPoint, risk_coverage
from llm_judge.evals.statistics import share

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from llm_judge.evals.outcomes import ItemOutcome


@dataclass(frozen=True, slots=True)
class Counts:
    """How many answers of a cell are what; all but ``unknown`` count labelled answers."""

    n: int
    positives: int
    negatives: int
    unknown: int
    flagged: int
    abstained: int
    unreadable: int
    scored: int
    groups: int


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell, measured.

    Attributes:
        at: which question on which slice.
        counts: how many answers it rests on.
        metrics: by name, every one of ``METRICS``.
        reliability: at most ``scores.BINS`` bins of equal mass, which the ECE is computed from.
        risk_coverage: by growing coverage, at most about a hundred points.
    """

    at: CellKey
    counts: Counts
    metrics: Mapping[str, Estimate]
    reliability: tuple[ReliabilityBin, ...]
    risk_coverage: tuple[RiskPoint, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain data; numbers of metrics to four decimals."""
        return {
            **self.at._asdict(),
            "counts": asdict(self.counts),
            "metrics": {name: estimate.as_json() for name, estimate in self.metrics.items()},
            "reliability": [asdict(each) for each in self.reliability],
            "risk_coverage": [asdict(each) for each in self.risk_coverage],
        }


@dataclass(frozen=True, slots=True)
class Totals:
    """A run as a whole, items in error included; these are in no cell.

    Attributes:
        items: judged or tried.
        errors: type of error → items.
        actions: what the judge would do → items, most frequent first.
        latency_ms_p50, latency_ms_p95, tokens_mean: over items without error that this run judged itself;
            None where there are none.
        cached: items that an earlier run answered.
    """

    items: int
    errors: Mapping[str, int]
    actions: Mapping[str, int]
    latency_ms_p50: float | None
    latency_ms_p95: float | None
    tokens_mean: float | None
    cached: int = 0

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def totals(outcomes: Sequence[ItemOutcome]) -> Totals:
    """Count a run as a whole."""
    import numpy as np

    sound = [outcome for outcome in outcomes if outcome.error is None and not outcome.cached]
    ms = [outcome.ms for outcome in sound]
    return Totals(
        items=len(outcomes),
        errors=dict(
            Counter(o.error.partition(":")[0] for o in outcomes if o.error is not None).most_common()
        ),
        actions=dict(Counter(outcome.action for outcome in outcomes).most_common()),
        latency_ms_p50=float(np.quantile(ms, 0.5)) if ms else None,
        latency_ms_p95=float(np.quantile(ms, 0.95)) if ms else None,
        tokens_mean=float(np.mean([outcome.tokens for outcome in sound])) if sound else None,
        cached=sum(outcome.cached for outcome in outcomes),
    )


def measure(
    outcomes: Sequence[ItemOutcome],
    dimensions: Collection[Dimension] = tuple(Dimension),
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[Cell, ...]:
    """Measure every cell that any answer falls into, by kind, key, dimension and value.

    Args:
        outcomes: of one run.
        dimensions: what to slice by.
        draws: resamples behind an interval; 0 for none.
        seed: of the resamples.

    Raises:
        UsageError: the outcomes are not of one sound run; see ``cells.check_run``.
    """
    found = samples(outcomes, dimensions)
    return tuple(measure_cell(at, sample, draws=draws, seed=seed) for at, sample in found.items())


def measure_cell(at: CellKey, sample: Sample, *, draws: int = DRAWS, seed: int = 0) -> Cell:
    """Measure one cell; see ``measure``."""
    values = point_values(sample)
    ends: dict[str, Interval] = {}
    if draws and len(sample):
        ends = intervals(resampled(sample), sample.group, draws=draws, seed=seed)
    scored = sample.scored
    truth, probability = sample.truth[scored], sample.probability[scored]
    return Cell(
        at,
        _counts(sample),
        {name: _estimate(name, values[name], ends, sample) for name in METRICS},
        reliability(truth, probability),
        risk_coverage(truth, probability),
    )


def _counts(sample: Sample) -> Counts:
    positives = int(sample.truth.sum())
    return Counts(
        n=len(sample),
        positives=positives,
        negatives=len(sample) - positives,
        unknown=sample.unknown,
        flagged=int(sample.flagged.sum()),
        abstained=int(sample.abstained.sum()),
        unreadable=int(sample.unreadable.sum()),
        scored=int(sample.scored.sum()),
        groups=len(set(sample.group.tolist())),
    )


def _estimate(name: str, value: float | str, ends: Mapping[str, Interval], sample: Sample) -> Estimate:
    if isinstance(value, str):
        return Estimate.missing(value)
    found = ends.get(name, Interval(None, None, "no interval"))
    if found.low is None or found.low != found.high:
        return Estimate.of(value, found)
    asked = share_of(name, sample)
    if asked is not None and value in (0.0, 1.0):
        # Resampling rows that are all alike would say "100 % (100–100)". Wilson's interval does not, with
        # groups as the independent observations.
        groups = len(set(sample.group[asked].tolist()))
        wilson = share(round(value * groups), groups)
        return Estimate(value, wilson.low, wilson.high)
    return Estimate(value, reason="no interval: all resamples are alike")
