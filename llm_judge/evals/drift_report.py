"""A window of records against a reference, rule by rule: rates with intervals, and how far scores moved.

Knows nothing about files or services.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llm_judge.drift.reference import Reference
from llm_judge.drift.sights import RuleCounts
from llm_judge.drift.stability import bins_used, stability_index
from llm_judge.evals.document import Block, Grid, Heading, Paragraph, plain
from llm_judge.evals.statistics import Share, share

_SURE = 0.999  # a hundred rules are looked at: at 95 % several would move by chance alone
MOVED_AT = 0.25
_FEWEST = 2  # bins between which anything can move


@dataclass(frozen=True, slots=True)
class RuleDrift:
    """One rule, then and now.

    Attributes:
        flagged, abstained: shares of the items, in the reference and in the window (95 %).
        index: population stability index of its scores.
        by_chance: what the index stays under in 999 of 1,000 cases where nothing moved.
        moved: what moved beyond chance: ``flag rate``, ``abstain rate``, ``scores``.
    """

    rule: str
    flagged: tuple[Share, Share]
    abstained: tuple[Share, Share]
    index: float
    by_chance: float
    moved: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "rule": self.rule,
            "flagged": {"reference": self.flagged[0].as_json(), "window": self.flagged[1].as_json()},
            "abstained": {"reference": self.abstained[0].as_json(), "window": self.abstained[1].as_json()},
            "psi": round(self.index, 4),
            "psi_by_chance": round(self.by_chance, 4),
            "moved": list(self.moved),
        }


def drift_of(reference: Reference, window: Mapping[str, RuleCounts]) -> list[RuleDrift]:
    """Return the drift of each rule that both know, those that moved first, then by the index."""
    found = [
        _drift(rule, before.counts(), after)
        for rule, before in reference.rules.items()
        if (after := window.get(rule)) is not None and before.counts().items
    ]
    return sorted(found, key=lambda each: (not each.moved, -each.index, each.rule))


def chance_level(before: RuleCounts, after: RuleCounts) -> float:
    """Return what the index stays under in 999 of 1,000 cases where both come from one population.

    With B bins, PSI / (1/n + 1/m) is then distributed about as χ² with B − 1 degrees of freedom: Yurdakul, B.
    and Naranjo, J. (2020), "Statistical properties of the population stability index", Journal of Risk Model
    Validation 14(4).
    """
    from scipy.stats import chi2

    bins = bins_used(before.scores, after.scores)
    if bins < _FEWEST:
        return 0.0
    return float(chi2.ppf(_SURE, bins - 1)) * (1 / before.items + 1 / after.items)


def _drift(rule: str, before: RuleCounts, after: RuleCounts) -> RuleDrift:
    index = stability_index(before.scores, after.scores) or 0.0
    by_chance = chance_level(before, after)
    moved = []
    if _apart(before.flagged, before.items, after.flagged, after.items):
        moved.append("flag rate")
    if _apart(before.abstained, before.items, after.abstained, after.items):
        moved.append("abstain rate")
    if index >= MOVED_AT and index > by_chance:
        moved.append("scores")
    return RuleDrift(
        rule,
        (share(before.flagged, before.items), share(after.flagged, after.items)),
        (share(before.abstained, before.items), share(after.abstained, after.items)),
        index,
        by_chance,
        tuple(moved),
    )


def _apart(k: int, n: int, l: int, m: int) -> bool:  # noqa: E741  # counts of two samples
    """Whether the 99.9 % intervals of two shares do not meet."""
    one, other = share(k, n, _SURE), share(l, m, _SURE)
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return False
    return one.high < other.low or other.high < one.low


def drift_blocks(reference: Reference, records: int, drifts: list[RuleDrift], new_rules: int) -> list[Block]:
    """Return a report for people: what moved, or that nothing did."""
    moved = [each for each in drifts if each.moved]
    head = f"{records} decisions against {reference.records} of the reference made at {reference.made_at}"
    said = f"{len(moved)} of {len(drifts)} rules moved beyond chance."
    if new_rules:
        said += f" {new_rules} rules are not in the reference."
    blocks: list[Block] = [Heading(head, 1), Paragraph(plain(said))]
    if moved:
        rows = tuple(
            (
                each.rule,
                ", ".join(each.moved),
                f"{each.flagged[0]} → {each.flagged[1]}",
                f"{each.abstained[0]} → {each.abstained[1]}",
                f"{each.index:.3f}",
            )
            for each in moved
        )
        header = ("rule", "moved", "flagged", "could not tell", "PSI")
        blocks.append(Grid(header, rows, frozenset({4})))
    return blocks
