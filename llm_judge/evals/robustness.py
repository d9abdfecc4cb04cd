"""What perturbing or injecting changes: outcomes of originals against outcomes of what was made of them.

Pairs are made by id (``id`` and ``id~family``). "Could not tell" is its own answer: it catches nothing, and
turning into it is a flip. Intervals come from draws of whole groups (a template, a thread), as those of every
metric do; McNemar's p-value takes each pair on its own. Knows nothing about how items are changed.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from llm_judge.errors import UsageError
from llm_judge.evals.bootstrap import DRAWS, interval
from llm_judge.evals.estimate import Estimate
from llm_judge.evals.outcomes import ItemOutcome, Kind
from llm_judge.evals.perturb_family import MARK
from llm_judge.evals.statistics import CONFIDENCE, mcnemar_exact, share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

ALL_AREAS = "all"  # key of the row that holds the pairs of every area; ids of areas have a `/`
_POSITIVE = "violates"
_UNDECIDED = ("abstain", "unreadable")
_DIGITS = 4

Count = Annotated[int, Field(ge=0)]
Portion = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Difference = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Rate:
    """How many pairs of how many.

    Attributes:
        count, total: the observed numbers.
        value: ``count / total``; None without pairs.
        low, high: 95 % interval, 0..1; None where there is none.
        reason: why the value, or else its interval, is missing; None where nothing is.
    """

    count: Count
    total: Count
    value: Portion | None
    low: Portion | None
    high: Portion | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """How the flagged share changes over pairs.

    Attributes:
        total: pairs.
        before, after: pairs whose original, and whose changed item, is flagged.
        value: after minus before as shares, −1..1; None without pairs.
        low, high: 95 % interval of the difference; None where there is none.
        reason: why the value, or else its interval, is missing; None where nothing is.
        p: McNemar's exact two-sided p-value; None where no pair differs.
    """

    total: Count
    before: Count
    after: Count
    value: Difference | None
    low: Difference | None
    high: Difference | None
    reason: str | None = None
    p: Portion | None = None


@dataclass(frozen=True, slots=True)
class RobustnessRow:
    """One family on one question.

    Attributes:
        family: as in the slice of the changed items, ``perturb:leet``.
        kind, key: the question, as in ``Answer``; ``ALL_AREAS`` holds the pairs of every area, so that an
            item counts once for each area it was asked about.
        pairs: pairs with an answer on the original's side.
        recall: of the pairs that truly apply, how many are flagged.
        false_positives: of the pairs that truly do not apply, how many are flagged.
        flips: pairs whose answer changes between flagged, not flagged and could not tell; whatever is true.
        undecided: changed items where the judge could not tell, errors included.
    """

    family: str
    kind: Kind
    key: str
    pairs: Count
    recall: Delta
    false_positives: Delta
    flips: Rate
    undecided: Rate

    def as_json(self) -> dict[str, object]:
        """Plain data; numbers to four decimals."""
        return {name: _rounded(value) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class _Pair:
    before: str
    after: str
    truth: bool | None
    group: str


def robustness(
    originals: Iterable[ItemOutcome],
    changed: Iterable[ItemOutcome],
    kinds: Sequence[Kind] = (Kind.ITEM, Kind.AREA),
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[RobustnessRow]:
    """Compare changed items with their originals, for each family and question.

    The truth is the changed item's, since an injection can make it unknown; where it is in error and has no
    answers, the original's. An original in error has no pairs, nor has a question that the changed item was
    not asked, such as one of a guideline that does not judge pictures.

    Args:
        originals: outcomes of the items as they were; others may be among them.
        changed: outcomes of what was made of them, by any number of families.
        kinds: the questions wanted.
        draws, seed: of the bootstrap; 0 draws for no intervals.

    Returns:
        Rows by family, kind and key, all areas together before each of them.

    Raises:
        UsageError: a changed item names no family, comes twice, or none has its original here.
    """
    pairs: dict[tuple[str, Kind, str], list[_Pair]] = {}
    for family, original, outcome in _matched(originals, changed):
        for (kind, key), pair in _pairs(original, outcome).items():
            if kind in kinds:
                for name in (ALL_AREAS, key) if kind is Kind.AREA else (key,):
                    pairs.setdefault((family, kind, name), []).append(pair)
    order = {kind: number for number, kind in enumerate(Kind)}
    cells = sorted(pairs, key=lambda cell: (cell[0], order[cell[1]], cell[2] != ALL_AREAS, cell[2]))
    return [_row(*cell, pairs[cell], draws, seed) for cell in cells]


def paired_interval(only_before: int, only_after: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of the change of a share over independent pairs.

    Wald after adding ½ to each of the four cells, cut to −1..1: with n pairs, b flagged before only and c
    after only, (c − b)/(n + 2) ± z·√(b + c + 1 − (c − b)²/(n + 2))/(n + 2). Agresti, A. and Min, Y. (2005),
    "Simple improved confidence intervals for comparing matched proportions", Statistics in Medicine 24,
    729–740.

    Args:
        only_before, only_after: b and c.
        total: n.
    """
    from scipy.stats import norm

    difference, wide = only_after - only_before, total + 2
    middle = difference / wide
    spread = math.sqrt(only_before + only_after + 1 - difference**2 / wide)
    half = float(norm.ppf((1 + CONFIDENCE) / 2)) * spread / wide
    return max(-1.0, middle - half), min(1.0, middle + half)


def _matched(
    originals: Iterable[ItemOutcome], changed: Iterable[ItemOutcome]
) -> list[tuple[str, ItemOutcome, ItemOutcome]]:
    """The family of each changed item that has its original here, and both outcomes."""
    by_id = {outcome.item: outcome for outcome in originals}
    seen: set[str] = set()
    found = []
    for outcome in changed:
        stem, family = _family(outcome)
        if outcome.item in seen:
            raise UsageError(f"`{outcome.item}` comes twice", "compare the outcomes of one run at a time")
        seen.add(outcome.item)
        if stem in by_id:
            found.append((family, by_id[stem], outcome))
    if seen and not found:
        raise UsageError("no changed item has its original here", "give the run of the same items unchanged")
    return found


def _family(outcome: ItemOutcome) -> tuple[str, str]:
    """Id of the original, and the name of the slice that the family gave."""
    stem, mark, name = outcome.item.rpartition(MARK)
    slices = [each for each in outcome.slices if each.partition(":")[2] == name]
    if not mark or not slices:
        raise UsageError(
            f"`{outcome.item}` is not a changed item",
            f"its id ends in `{MARK}family` and a slice names the family",
        )
    return stem, slices[-1]


def _pairs(original: ItemOutcome, changed: ItemOutcome) -> Mapping[tuple[Kind, str], _Pair]:
    after = {(answer.kind, answer.key): answer for answer in changed.answers}
    found = {}
    for answer in original.answers:
        place, said, group = (answer.kind, answer.key), _said(answer.outcome), original.group
        if place in after:
            found[place] = _Pair(said, _said(after[place].outcome), after[place].truth, group)
        elif changed.error is not None:
            found[place] = _Pair(said, _UNDECIDED[1], answer.truth, group)
    return found


def _said(outcome: str) -> str:
    """An exempt answer and a clear one are both "not flagged"."""
    if outcome in _UNDECIDED:
        return _UNDECIDED[1]
    return _POSITIVE if outcome == _POSITIVE else "clear"


def _row(family: str, kind: Kind, key: str, pairs: Sequence[_Pair], draws: int, seed: int) -> RobustnessRow:
    return RobustnessRow(
        family=family,
        kind=kind,
        key=key,
        pairs=len(pairs),
        recall=_delta([pair for pair in pairs if pair.truth is True], draws, seed),
        false_positives=_delta([pair for pair in pairs if pair.truth is False], draws, seed),
        flips=_rate(pairs, lambda pair: pair.before != pair.after, draws, seed),
        undecided=_rate(pairs, lambda pair: pair.after in _UNDECIDED, draws, seed),
    )


def _rate(pairs: Sequence[_Pair], counted: Callable[[_Pair], bool], draws: int, seed: int) -> Rate:
    values = [int(counted(pair)) for pair in pairs]
    groups = [pair.group for pair in pairs]
    found = _mean(values, groups, draws, seed)
    if draws and found.low is None and found.value in (0.0, 1.0) and _enough(found):
        # Draws of pairs that are all alike would say "0 % (0–0)". Wilson's interval does not, with groups
        # as the independent observations.
        number = len(set(groups))
        wilson = share(round(found.value * number), number)
        found = Estimate(found.value, wilson.low, wilson.high)
    return Rate(sum(values), len(values), found.value, found.low, found.high, found.reason)


def _delta(pairs: Sequence[_Pair], draws: int, seed: int) -> Delta:
    flags = [(pair.before == _POSITIVE, pair.after == _POSITIVE) for pair in pairs]
    before, after = (sum(side) for side in zip(*flags, strict=True)) if flags else (0, 0)
    groups = [pair.group for pair in pairs]
    found = _mean([now - then for then, now in flags], groups, draws, seed)
    if draws and found.low is None and found.value in (-1.0, 0.0, 1.0) and _enough(found):
        number, way = len(set(groups)), round(found.value)
        low, high = paired_interval(number * (way < 0), number * (way > 0), number)
        found = Estimate(found.value, low, high)
    p = mcnemar_exact(flags.count((True, False)), flags.count((False, True)))
    return Delta(len(flags), before, after, found.value, found.low, found.high, found.reason, p)


_ALIKE = "no interval: all resamples are alike"


def _enough(found: Estimate) -> bool:
    """Whether there were groups enough for an interval, and only no two draws that differ."""
    return found.reason == _ALIKE


def _mean(values: Sequence[int], groups: Sequence[str], draws: int, seed: int) -> Estimate:
    """The mean, with the interval of draws of whole groups."""
    import numpy as np

    if not values:
        return Estimate.missing("no pairs")
    mean = sum(values) / len(values)
    if not draws:
        return Estimate(mean, reason="no interval")
    column = np.array(values, np.float64)
    found = interval(lambda weights: weights @ column / weights.sum(axis=1), groups, draws=draws, seed=seed)
    if found.low is not None and found.low == found.high:
        return Estimate(mean, reason=_ALIKE)
    return Estimate.of(mean, found)


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return round(value, _DIGITS) if isinstance(value, float) else value
