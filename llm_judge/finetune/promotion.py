"""Is an adapter better than the one in use? Runs of both over the same items, suite by suite.

Three demands, all of which must be met:

* *gain*: the mean over all areas of all suites of one metric rises, and the lower end of the paired 95 %
  interval is above the limit. One test on one mean: with many suites one of them would rise by chance.
* *losses*: no area of any suite falls by more than is allowed, beyond chance.
* *floors*: a gate file in the form of ``evals.gate``, where one is given; each demand is held against every
  suite that has its cell, and some suite must have it.

What cannot be shown does not pass. Items are resampled by their groups, and a group that is in two suites is
drawn for both. Knows nothing about terminals or the registry.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llm_judge.errors import UsageError
from llm_judge.evals.bootstrap import DRAWS, interval
from llm_judge.evals.cells import CellKey, Dimension, samples
from llm_judge.evals.compare import compare
from llm_judge.evals.estimate import Estimate
from llm_judge.evals.gate import failures
from llm_judge.evals.metrics import measure
from llm_judge.evals.outcomes import Kind
from llm_judge.evals.pairing import aligned, paired
from llm_judge.evals.point_values import point_values
from llm_judge.evals.resampled import resampled
from llm_judge.evals.run_folder import read_manifest, read_outcomes
from llm_judge.finetune.adapter_facts import check_run_of, judge_of
from llm_judge.finetune.gate_check import Check, all_passed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from llm_judge.evals.cells import Sample
    from llm_judge.evals.compare import Comparison
    from llm_judge.evals.gate import Failure, Gate
    from llm_judge.evals.outcomes import ItemOutcome
    from llm_judge.evals.point_values import Metric
    from llm_judge.finetune.gate_limits import GateLimits

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Suite:
    """One suite, answered twice: by what is current and by the candidate."""

    name: str
    before: Sequence[ItemOutcome]
    after: Sequence[ItemOutcome]


@dataclass(frozen=True, slots=True)
class PromotionResult:
    """Every check, and what was compared.

    Attributes:
        checks: gain, losses, floors.
        suites: names, in order.
        areas: change of the metric by ``suite area``, with paired intervals.
        against: adapter digest of the current runs; None for the untuned base.
    """

    checks: tuple[Check, ...]
    suites: tuple[str, ...]
    areas: Mapping[str, Estimate]
    against: str | None

    @property
    def passed(self) -> bool:
        """Whether every check is passed."""
        return all_passed(self.checks)

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "passed": self.passed,
            "suites": list(self.suites),
            "against": self.against,
            "checks": [check.as_json() for check in self.checks],
            "areas": {name: change.as_json() for name, change in self.areas.items()},
        }


def read_suites(
    digest: str, candidates: Sequence[Path], current: Sequence[Path]
) -> tuple[list[Suite], str | None]:
    """Read runs of the candidate and of what is current, and pair them by suite.

    Args:
        digest: of the candidate; its runs must be of no other adapter.
        candidates, current: finished runs, one of each for every suite.

    Returns:
        The suites, and the adapter digest of the current runs.

    Raises:
        UsageError: a run is missing, unfinished, of another adapter, or of other policies, prompts or model.
    """
    ours = {_suite_of(run): run for run in candidates}
    theirs = {_suite_of(run): run for run in current}
    if len(ours) < len(candidates) or len(theirs) < len(current):
        raise UsageError("two runs of one side are of the same suite", "give one run a suite and side")
    if odd := sorted(ours.keys() ^ theirs.keys()):
        side = "candidate" if odd[0] in theirs else "current"
        raise UsageError(f"the suite `{odd[0]}` has no {side} run", f"give one with --{side}")
    against = {judge_of(run).get("adapter_digest") for run in theirs.values()}
    if len(against) > 1:
        raise UsageError("the current runs are of different adapters", "give runs of one adapter")
    for name, run in ours.items():
        _check_alike(check_run_of(run, digest), judge_of(theirs[name]), run, theirs[name])
    found = [Suite(name, read_outcomes(theirs[name]), read_outcomes(run)) for name, run in ours.items()]
    return found, against.pop()


def promotion(
    suites: Sequence[Suite],
    limits: GateLimits,
    floors: Gate | None = None,
    against: str | None = None,
    *,
    draws: int = DRAWS,
) -> PromotionResult:
    """Hold a candidate against what is current.

    Args:
        suites: both answers to each.
        limits: what is wanted.
        floors: further demands on the candidate's runs.
        against: adapter digest of the current runs.
        draws: resamples behind each interval.

    Raises:
        UsageError: a run is not sound, or a suite has no items in both.
    """
    compared = {
        each.name: compare(each.before, each.after, [Dimension.OVERALL], draws=draws) for each in suites
    }
    for name, found in compared.items():
        if not found.items:
            raise UsageError(
                f"the two runs of `{name}` have no item in common", "use the same --limit and --seed"
            )
    areas = _areas(compared, limits.promotion_metric)
    checks = [_gain(suites, limits, draws), _losses(areas, limits)]
    if floors is not None:
        checks.append(_floors(suites, floors, draws))
    return PromotionResult(tuple(checks), tuple(compared), areas, against)


def mean_gain(suites: Sequence[Suite], metric: Metric, *, draws: int = DRAWS) -> Estimate:
    """Return the change of a metric, mean over the areas of all suites where both runs define it.

    Groups are resampled over all suites at once, so that what two suites share counts as one.
    """
    import numpy as np

    changes: list[Callable[[Floats], Floats]] = []
    groups: list[str] = []
    values: list[float] = []
    places: list[slice] = []
    for suite in suites:
        for before, after, names in _cells(suite):
            one, other = (point_values(each)[metric] for each in (before, after))
            if isinstance(one, str) or isinstance(other, str):
                continue
            values.append(other - one)
            changes.append(_change(before, after, metric))
            places.append(slice(len(groups), len(groups) + len(names)))
            groups += names
    if not values:
        return Estimate.missing("no area has enough labelled answers in both runs")

    def mean(weights: Floats) -> Floats:
        each = [change(weights[:, place]) for change, place in zip(changes, places, strict=True)]
        return np.asarray(np.mean(each, axis=0))

    return Estimate.of(float(np.mean(values)), interval(mean, groups, draws=draws))


def _cells(suite: Suite) -> list[tuple[Sample, Sample, list[str]]]:
    """Every area of a suite: its paired answers in both runs, and the group of each."""
    pairs = [aligned(*pair) for pair in paired(suite.before, suite.after).pairs]
    ones, others = (samples([pair[side] for pair in pairs], [Dimension.OVERALL]) for side in (0, 1))
    names: dict[CellKey, list[str]] = {}
    for _, after in pairs:
        for answer in after.answers:
            if answer.truth is not None:
                names.setdefault(CellKey(answer.kind, answer.key), []).append(after.group)
    return [(one, others[at], names[at]) for at, one in ones.items() if at.kind is Kind.AREA and len(one)]


def _change(before: Sample, after: Sample, metric: Metric) -> Callable[[Floats], Floats]:
    one, other = resampled(before), resampled(after)
    return lambda weights: other(weights)[metric] - one(weights)[metric]


def _gain(suites: Sequence[Suite], limits: GateLimits, draws: int) -> Check:
    found = mean_gain(suites, limits.promotion_metric, draws=draws)
    if limits.promotion_metric.lower_is_better:
        found = _turned(found)
    return Check(
        "gain",
        f"{limits.promotion_metric}, mean change over all areas, for the better",
        str(found),
        f"interval above {limits.gain_above:g}",
        found.low is not None and found.low > limits.gain_above,
        found.value,
        "it is not shown to be better than what is current",
        "judge more items, or train it better",
    )


def _losses(areas: Mapping[str, Estimate], limits: GateLimits) -> Check:
    better = {
        name: _turned(each) if limits.promotion_metric.lower_is_better else each
        for name, each in areas.items()
    }
    worse = [
        f"{name} {each}"
        for name, each in better.items()
        if each.high is not None and each.high < -limits.loss_at_most
    ]
    shown = sum(each.high is not None for each in better.values())
    return Check(
        "losses",
        f"areas that lose {limits.promotion_metric} beyond chance",
        f"{len(worse)} of {shown} areas with an interval",
        f"none by more than {limits.loss_at_most:g}",
        not worse and shown > 0,
        float(len(worse)),
        f"it is worse on {'; '.join(worse[:3])}" if worse else "no area has enough items to show a loss",
        "train on more rows of these areas" if worse else "judge more items",
    )


def _floors(suites: Sequence[Suite], floors: Gate, draws: int) -> Check:
    missed = _missed(suites, floors, draws)
    return Check(
        "floors",
        "demands of the gate file",
        f"{len(missed)} missed",
        "none missed",
        not missed,
        float(len(missed)),
        "; ".join(missed[:3]),
        "train on more rows of these areas, or mend the gate file",
    )


def _missed(suites: Sequence[Suite], floors: Gate, draws: int) -> list[str]:
    dimensions = {each.dimension for each in (*floors.floors, *floors.ceilings, *floors.no_regression)}
    missed: list[tuple[str, Failure]] = []
    known: set[CellKey] = set()
    for suite in suites:
        cells = measure(suite.after, dimensions, draws=draws)
        here = {cell.at for cell in cells}
        known |= here
        found = failures(floors, cells, compare(suite.before, suite.after, dimensions, draws=draws))
        missed += [(suite.name, each) for each in found if each.demand.cell in here]
        missed += [("", each) for each in found if each.demand.cell not in here]
    nowhere = {
        str(each.demand): str(each) for name, each in missed if not name and each.demand.cell not in known
    }
    return [f"{name}: {each}" for name, each in missed if name] + list(nowhere.values())


def _areas(compared: Mapping[str, Comparison], metric: Metric) -> dict[str, Estimate]:
    return {
        f"{name} {cell.at.key}": cell.metrics[metric].change
        for name, found in compared.items()
        for cell in found.cells
        if cell.at.kind is Kind.AREA
    }


def _turned(found: Estimate) -> Estimate:
    """The same change, counted the other way round."""
    low, high = (None if end is None else -end for end in (found.high, found.low))
    return replace(found, value=None if found.value is None else -found.value, low=low, high=high)


def _suite_of(run: Path) -> str:
    return ", ".join(read_manifest(run).get("suites") or [run.name])


def _check_alike(judge: Mapping[str, Any], other: Mapping[str, Any], run: Path, current: Path) -> None:
    for name in ("model_digest", "policy_digest", "prompt_digest", "settings_digest", "dtype"):
        if judge.get(name) != other.get(name):
            raise UsageError(
                f"`{run}` and `{current}` differ in {name.replace('_', ' ')}",
                "run both again with the same policies, prompts and options",
            )
