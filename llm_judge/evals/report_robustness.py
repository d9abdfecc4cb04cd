"""What disguises and hidden orders change, as a robustness run found it: its data and its section.

Knows nothing about formats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_judge.evals.outcomes import Kind
from llm_judge.evals.report_parts import Section, Table, question
from llm_judge.evals.robustness import ALL_AREAS
from llm_judge.evals.robustness_file import ROBUSTNESS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_judge.evals.report_parts import Data, Value
    from llm_judge.evals.robustness_file import Robustness
    from llm_judge.evals.run_data import RunData

_HEADS = (
    "pairs",
    "violating",
    "of these flagged",
    "recall change ↑",
    "others",
    "FPR change ↓",
    "flips ↓",
    "could not tell",
)
_TITLE = "Robustness"
_KINDS = {"text": "texts", "image": "pictures", "audio": "speech"}


def robustness_json(found: Robustness | None, run: RunData) -> dict[str, Any] | None:
    """Return a robustness run as plain data, with what differs between its judge and this run's."""
    if found is None:
        return None
    judge = run.manifest.get("judge")
    own = judge if isinstance(judge, dict) else {}
    differs = [name for name, value in found.judge.items() if own.get(name) != value]
    return {**found.as_json(), "differs": differs}


def warning(data: Data) -> str | None:
    """Return what keeps the robustness from being that of this run's judge; None where nothing does."""
    found = data["robustness"]
    if not found or not found["differs"]:
        return None
    return (
        "Robustness was measured on another judge than this run's; what differs: "
        f"{', '.join(found['differs'])}."
    )


def robustness(data: Data) -> Section:
    """Every family: recall delta, false-positive delta and flips, then the same by area."""
    found = data["robustness"]
    if found is None:
        suite = (data["suites"] or ["SUITE"])[0]
        point = (
            f"Not run: llm-judge eval robustness {suite} --out FOLDER, then give FOLDER/{ROBUSTNESS} by "
            "--robustness."
        )
        return Section("robustness", _TITLE, points=(point,))
    text = (
        f"{found['items']:,} texts of {found['suite']}, each disguised or given an order to the judge, and "
        "judged before and after; labels stay as they were. A change is of the share flagged, after minus "
        "before; a flip is any change between flagged, not flagged and could not tell. Over all areas an "
        f"item counts once for each area it was asked about. Intervals come from {found['draws']:,} "
        "resamples of whole groups.",
    )
    points = [said] if (said := warning(data)) else []
    points += _left_out(found)
    whole = [row for row in found["rows"] if row["kind"] == Kind.ITEM or row["key"] == ALL_AREAS]
    areas = [row for row in found["rows"] if row not in whole]
    tables = (
        Table("By family", ("family", "question", *_HEADS), tuple(_row(row) for row in whole)),
        Table("By family and area", ("family", "area", *_HEADS), tuple(_row(row) for row in areas)),
    )
    return Section("robustness", _TITLE, text, tuple(points), tuple(t for t in tables if t.rows))


def _left_out(found: Data) -> Iterator[str]:
    """Families that changed nothing that was asked about, and items that a family could not change."""
    paired = {row["family"] for row in found["rows"]}
    for family in found["families"]:
        if reasons := family["skipped"]:
            listed = "; ".join(f"{why} ({number:,})" for why, number in list(reasons.items())[:3])
            yield f"{family['name']}: {sum(reasons.values()):,} items left out: {listed}."
        if not family["changed"]:
            yield f"{family['name']}: n/a, no item was changed."
        elif family["name"] not in paired:
            kind = _KINDS[family["medium"] or "text"]
            yield f"{family['name']}: n/a, no guideline that these items are labelled for judges {kind}."


def _row(row: Data) -> tuple[Value, ...]:
    recall, false = row["recall"], row["false_positives"]
    return (
        row["family"],
        "all areas" if row["key"] == ALL_AREAS else question(row),
        row["pairs"],
        recall["total"],
        f"{recall['before']:,} → {recall['after']:,}",
        recall,
        false["total"],
        false,
        row["flips"],
        row["undecided"],
    )
