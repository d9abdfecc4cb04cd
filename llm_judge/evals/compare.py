"""Two or more runs on the same items → what flips, what is better or worse, and whether by more than chance.

Items are paired by id, answers by question. What differs between two runs is then the judge alone:

* items that only one run has, or whose content changed, are counted and left out;
* labels, slices and groups are those of the later run, for both;
* an item in error in one run counts as unreadable there, on every question the other run answered;
* probabilities are compared on the answers that are readable in both.

Intervals of a difference draw the same groups for both runs. A pair is *right* where it is decided and
correct: an abstention is not right. Knows nothing about files or gates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_judge.errors import UsageError
from llm_judge.evals.bootstrap import DRAWS, intervals
from llm_judge.evals.cells import CellKey, Dimension, Sample, check_run, places, samples
from llm_judge.evals.estimate import Estimate, Interval
from llm_judge.evals.paired import PairTally
from llm_judge.evals.pairing import aligned, paired
from llm_judge.evals.point_values import METRICS, point_values
from llm_judge.evals.resampled import ratio, resampled
from llm_judge.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from llm_judge.evals.bootstrap import Statistics
    from llm_judge.evals.outcomes import Answer, ItemOutcome
    from llm_judge.evals.pairing import Pair


@dataclass(frozen=True, slots=True)
class Difference:
    """One metric in two runs.

    Attributes:
        before, after: its values on the paired answers; None where it is not defined.
        change: after − before, with the paired interval; below zero is less.
    """

    before: float | None
    after: float | None
    change: Estimate

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        values = {"before": self.before, "after": self.after}
        rounded = {name: None if each is None else round(each, 4) for name, each in values.items()}
        return {**rounded, "change": self.change.as_json()}


@dataclass(frozen=True, slots=True)
class CellDifference:
    """One cell in two runs: flips of the outcome word, McNemar's test, and every metric."""

    at: CellKey
    tally: PairTally
    metrics: Mapping[str, Difference]

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        metrics = {name: each.as_json() for name, each in self.metrics.items()}
        return {**self.at._asdict(), "pairs": self.tally.as_json(), "metrics": metrics}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A later run against an earlier one.

    Attributes:
        items: paired.
        only_before, only_after: items of one run only, left out.
        changed: items whose content differs, left out.
        errors_before, errors_after: paired items in error.
        actions: flips of the action of the whole item.
        latency, tokens: after ÷ before, of the sums over paired items without error that both runs judged
            themselves, not from the cache.
        cells: those with a labelled answer in both runs.
    """

    items: int
    only_before: int
    only_after: int
    changed: int
    errors_before: int
    errors_after: int
    actions: PairTally
    latency: Estimate
    tokens: Estimate
    cells: tuple[CellDifference, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        names = ("items", "only_before", "only_after", "changed", "errors_before", "errors_after")
        return {
            **{name: getattr(self, name) for name in names},
            "actions": self.actions.as_json(),
            "latency": self.latency.as_json(),
            "tokens": self.tokens.as_json(),
            "cells": [cell.as_json() for cell in self.cells],
        }


def compare_runs(
    runs: Mapping[str, Sequence[ItemOutcome]],
    dimensions: Collection[Dimension] = tuple(Dimension),
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Comparison]:
    """Compare every other run with the first; see ``compare``.

    Raises:
        UsageError: there are fewer than two runs, or one is not sound; see ``cells.check_run``.
    """
    if len(runs) < 2:
        raise UsageError(f"a comparison needs two runs, not {len(runs)}", "name a baseline run and another")
    (_, first), *others = runs.items()
    return {name: compare(first, other, dimensions, draws=draws, seed=seed) for name, other in others}


def compare(
    before: Sequence[ItemOutcome],
    after: Sequence[ItemOutcome],
    dimensions: Collection[Dimension] = tuple(Dimension),
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Comparison:
    """Compare two runs on the items of both.

    Args:
        before, after: the runs.
        dimensions: what to slice by.
        draws, seed: of the bootstrap; 0 draws for no intervals.

    Raises:
        UsageError: a run is not sound; see ``cells.check_run``.
    """
    for run in (before, after):
        check_run(run)
    found = paired(before, after)
    alike = [aligned(*pair) for pair in found.pairs]
    ones = samples([one for one, _ in alike], dimensions)
    others = samples([other for _, other in alike], dimensions)
    tallies = _tallies(alike, dimensions)
    return Comparison(
        items=len(found.pairs),
        only_before=len(before) - len(found.pairs) - found.changed,
        only_after=len(after) - len(found.pairs) - found.changed,
        changed=found.changed,
        errors_before=sum(one.error is not None for one, _ in found.pairs),
        errors_after=sum(other.error is not None for _, other in found.pairs),
        actions=_action_tally(found.pairs),
        latency=_cost(found.pairs, "ms", draws, seed),
        tokens=_cost(found.pairs, "tokens", draws, seed),
        cells=tuple(
            CellDifference(at, tallies[at], _differences(one, others[at], draws, seed))
            for at, one in ones.items()
            if len(one)
        ),
    )


def _tallies(pairs: Sequence[Pair], dimensions: Collection[Dimension]) -> dict[CellKey, PairTally]:
    """Count flips and right answers of every cell, over labelled answers."""
    found: dict[CellKey, PairTally] = {}
    for before, after in pairs:
        where = [place for place in places(after) if place[0] in dimensions]
        for one, other in zip(before.answers, after.answers, strict=True):
            if other.truth is None:
                continue
            for dimension, value in where:
                at = CellKey(one.kind, one.key, dimension, value)
                tally = found.setdefault(at, PairTally())
                tally.add((one.outcome, other.outcome) if one.outcome != other.outcome else None)
                tally.compare(_right(one), _right(other))
    return found


def _right(answer: Answer) -> bool:
    decided = answer.outcome not in (Outcome.ABSTAIN, Outcome.UNREADABLE)
    return decided and (answer.outcome == Outcome.VIOLATES) == answer.truth


def _action_tally(pairs: Sequence[Pair]) -> PairTally:
    tally = PairTally()
    for one, other in pairs:
        tally.add((one.action, other.action) if one.action != other.action else None)
    return tally


def _differences(before: Sample, after: Sample, draws: int, seed: int) -> dict[str, Difference]:
    ones, others = point_values(before), point_values(after)
    ends: dict[str, Interval] = {}
    if draws:
        ends = intervals(_change_of(before, after), after.group, draws=draws, seed=seed)
    return {name: _difference(ones[name], others[name], ends.get(name)) for name in METRICS}


def _change_of(before: Sample, after: Sample) -> Statistics:
    one, other = resampled(before), resampled(after)

    def values(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        earlier = one(weights)
        return {name: later - earlier[name] for name, later in other(weights).items()}

    return values


def _difference(before: float | str, after: float | str, found: Interval | None) -> Difference:
    if isinstance(before, str) or isinstance(after, str):
        missing = before if isinstance(before, str) else str(after)
        one, other = (None if isinstance(each, str) else each for each in (before, after))
        return Difference(one, other, Estimate.missing(missing))
    return Difference(
        before, after, Estimate.of(after - before, found or Interval(None, None, "no interval"))
    )


def _cost(pairs: Sequence[Pair], name: str, draws: int, seed: int) -> Estimate:
    """Return the ratio of two sums of ``ms`` or ``tokens`` over items that both runs judged without error."""
    import numpy as np

    sound = [pair for pair in pairs if all(side.error is None and not side.cached for side in pair)]
    one, other = (np.array([getattr(pair[side], name) for pair in sound], float) for side in (0, 1))
    if one.sum() <= 0 or other.sum() <= 0:
        return Estimate.missing("not counted in both runs")
    value = float(other.sum() / one.sum())
    if not draws:
        return Estimate(value, reason="no interval")
    found = intervals(
        lambda weights: {name: ratio(weights @ other, weights @ one)},
        [pair[1].group for pair in sound],
        draws=draws,
        seed=seed,
    )
    return Estimate.of(value, found[name])
