"""What perturbing or injecting changes: outcomes of originals against outcomes of what was made of them.

Pairs are made by id (``id`` and ``id~family``). "Could not tell" is its own answer: it catches nothing, and
turning into it is a flip. Pairs of one group (a template, a thread) are counted as independent, so the
intervals of sets made from few templates are too narrow. Knows nothing about how items are changed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_judge.errors import UsageError
from llm_judge.evals.outcomes import ItemOutcome, Kind
from llm_judge.evals.perturb_family import MARK
from llm_judge.evals.statistics import CONFIDENCE, Share, mcnemar_exact, share

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_POSITIVE = "violates"
_UNDECIDED = ("abstain", "unreadable")


@dataclass(frozen=True, slots=True)
class Delta:
    """How a share changes over pairs: of the originals, of the changed items, and the difference.

    Attributes:
        before, after: share of the pairs that are flagged.
        value: after minus before, −1..1; None without pairs.
        low, high: 95 % interval of the difference; None without pairs.
        p: McNemar's exact two-sided p-value; None where no pair differs.
    """

    before: Share
    after: Share
    value: float | None
    low: float | None
    high: float | None
    p: float | None

    def as_json(self) -> dict[str, object]:
        """Plain data; numbers to four decimals."""
        ends = {"value": self.value, "low": self.low, "high": self.high, "p": self.p}
        return {
            "before": self.before.as_json(),
            "after": self.after.as_json(),
            **{name: None if number is None else round(number, 4) for name, number in ends.items()},
        }


@dataclass(frozen=True, slots=True)
class RobustnessRow:
    """One family on one question.

    Attributes:
        family: as in the slice of the changed items, ``perturb:leet``.
        kind, key: the question, as in ``Answer``.
        pairs: pairs with an answer on the original's side.
        recall: of the pairs that truly apply, how many are flagged.
        false_positives: of the pairs that truly do not apply, how many are flagged.
        flips: pairs whose answer changes between flagged, not flagged and could not tell; whatever is true.
        undecided: changed items where the judge could not tell, errors included.
    """

    family: str
    kind: Kind
    key: str
    pairs: int
    recall: Delta
    false_positives: Delta
    flips: Share
    undecided: Share

    def as_json(self) -> dict[str, object]:
        """Plain data."""
        return {
            "family": self.family,
            "kind": self.kind.value,
            "key": self.key,
            "pairs": self.pairs,
            "recall": self.recall.as_json(),
            "false_positives": self.false_positives.as_json(),
            "flips": self.flips.as_json(),
            "undecided": self.undecided.as_json(),
        }


@dataclass(frozen=True, slots=True)
class _Pair:
    before: str
    after: str
    truth: bool | None


def robustness(
    originals: Iterable[ItemOutcome],
    changed: Iterable[ItemOutcome],
    kinds: Sequence[Kind] = (Kind.ITEM, Kind.AREA),
) -> list[RobustnessRow]:
    """Compare changed items with their originals, for each family and question.

    The truth is the changed item's, since an injection can make it unknown; where it is in error and has no
    answers, the original's. An original in error has no pairs.

    Args:
        originals: outcomes of the items as they were; others may be among them.
        changed: outcomes of what was made of them, by any number of families.
        kinds: the questions wanted.

    Returns:
        Rows by family, kind and key.

    Raises:
        UsageError: a changed item names no family, comes twice, or none has its original here.
    """
    by_id = {outcome.item: outcome for outcome in originals}
    pairs: dict[tuple[str, Kind, str], list[_Pair]] = {}
    seen: set[str] = set()
    paired = False
    for outcome in changed:
        stem, family = _family(outcome)
        if outcome.item in seen:
            raise UsageError(f"`{outcome.item}` comes twice", "compare the outcomes of one run at a time")
        seen.add(outcome.item)
        original = by_id.get(stem)
        if original is not None:
            paired = True
            for (kind, key), pair in _pairs(original, outcome).items():
                if kind in kinds:
                    pairs.setdefault((family, kind, key), []).append(pair)
    if seen and not paired:
        raise UsageError("no changed item has its original here", "give the run of the same items unchanged")
    order = {kind: number for number, kind in enumerate(Kind)}
    cells = sorted(pairs, key=lambda cell: (cell[0], order[cell[1]], cell[2]))
    return [_row(*cell, pairs[cell]) for cell in cells]


def paired_delta(both: int, only_before: int, only_after: int, neither: int) -> Delta:
    """Return the change of a share over pairs, with its interval.

    Interval: Wald after adding ½ to each of the four cells, cut to −1..1: with n pairs, b flagged before only
    and c after only, (c − b)/(n + 2) ± z·√(b + c + 1 − (c − b)²/(n + 2))/(n + 2). Agresti, A. and Min, Y.
    (2005), "Simple improved confidence intervals for comparing matched proportions", Statistics in Medicine
    24, 729–740.

    Args:
        both, only_before, only_after, neither: pairs flagged on both sides, on one, on none.
    """
    total = both + only_before + only_after + neither
    before, after = share(both + only_before, total), share(both + only_after, total)
    if total == 0:
        return Delta(before, after, None, None, None, None)
    from scipy.stats import norm

    difference, wide = only_after - only_before, total + 2
    middle = difference / wide
    half = (
        float(norm.ppf((1 + CONFIDENCE) / 2))
        * math.sqrt(only_before + only_after + 1 - difference**2 / wide)
        / wide
    )
    return Delta(
        before,
        after,
        difference / total,
        max(-1.0, middle - half),
        min(1.0, middle + half),
        mcnemar_exact(only_before, only_after),
    )


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
        place = (answer.kind, answer.key)
        if place in after:
            found[place] = _Pair(_said(answer.outcome), _said(after[place].outcome), after[place].truth)
        elif not changed.answers:
            found[place] = _Pair(_said(answer.outcome), _UNDECIDED[1], answer.truth)
    return found


def _said(outcome: str) -> str:
    """An exempt answer and a clear one are both "not flagged"."""
    if outcome in _UNDECIDED:
        return _UNDECIDED[1]
    return _POSITIVE if outcome == _POSITIVE else "clear"


def _row(family: str, kind: Kind, key: str, pairs: Sequence[_Pair]) -> RobustnessRow:
    return RobustnessRow(
        family=family,
        kind=kind,
        key=key,
        pairs=len(pairs),
        recall=_delta([pair for pair in pairs if pair.truth is True]),
        false_positives=_delta([pair for pair in pairs if pair.truth is False]),
        flips=share(sum(pair.before != pair.after for pair in pairs), len(pairs)),
        undecided=share(sum(pair.after in _UNDECIDED for pair in pairs), len(pairs)),
    )


def _delta(pairs: Sequence[_Pair]) -> Delta:
    flags = [(pair.before == _POSITIVE, pair.after == _POSITIVE) for pair in pairs]
    return paired_delta(
        *(flags.count(cell) for cell in ((True, True), (True, False), (False, True), (False, False)))
    )
