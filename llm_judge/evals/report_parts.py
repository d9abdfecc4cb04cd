"""What sections of a report are made of: tables of names, counts and estimates, and cases to look at.

Knows nothing about HTML or Markdown, and escapes nothing: whoever shows a section does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_judge.evals.outcomes import Kind
from llm_judge.evals.point_values import Metric

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Data = Mapping[str, Any]
    # A name, a count, or an estimate as plain data (value, low, high and maybe reason).
    Value = str | int | Mapping[str, Any]

NOT_ANSWERED = {"value": None, "low": None, "high": None, "reason": "not answered"}
NAMES = {
    Metric.PRECISION: "precision",
    Metric.RECALL: "recall",
    Metric.RECALL_DECIDED: "recall, decided",
    Metric.F1: "F1",
    Metric.F1_DECIDED: "F1, decided",
    Metric.FALSE_POSITIVE_RATE: "FPR",
    Metric.AUROC: "AUROC",
    Metric.AUPRC: "AUPRC",
    Metric.RECALL_AT_1_FPR: "recall at 1 % FPR",
    Metric.RECALL_AT_5_FPR: "recall at 5 % FPR",
    Metric.BRIER: "Brier",
    Metric.ECE: "ECE",
    Metric.AURC: "AURC",
    Metric.ABSTAIN_RATE: "abstained",
    Metric.UNREADABLE_RATE: "unreadable",
    Metric.LABEL_MASS: "label mass",
    Metric.EVIDENCE_HIT_RATE: "evidence hits",
    Metric.LATENCY_MS_P50: "ms, p50",
    Metric.LATENCY_MS_P95: "ms, p95",
    Metric.LATENCY_MS_MEAN: "ms, mean",
    Metric.TOKENS_MEAN: "tokens, mean",
}


@dataclass(frozen=True, slots=True)
class Table:
    """A caption, names of columns, and rows of one value a column; the first names the row."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One item to look at: what is said of it, its id, and its words, None where there are none."""

    facts: str
    item: str
    words: str | None


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report.

    Attributes:
        id: anchor, the same in every report.
        title: heading.
        text: sentences before the tables.
        points: a list after them.
        tables: in order.
        cases: lists of items by the heading of the list.
    """

    id: str
    title: str
    text: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    cases: tuple[tuple[str, tuple[Case, ...]], ...] = ()


def question(at: Data) -> str:
    """Return the name of a question, such as ``anything at all`` or ``safety/hate``."""
    return "anything at all" if at["kind"] == Kind.ITEM else str(at["key"])


def shown(value: Value | None) -> tuple[str, str]:
    """Return a value and what stands small beside it: the interval, or the reason why there is none."""
    if value is None:
        return shown(NOT_ANSWERED)
    if isinstance(value, str):
        return value, ""
    if isinstance(value, int):
        return f"{value:,}", ""
    if value["value"] is None:
        return "n/a", str(value.get("reason", ""))
    low, high = value["low"], value["high"]
    if low is None or high is None:
        return _number(value["value"], 2), str(value.get("reason") or "no interval")
    digits = 3 if high - low < 0.02 else 2  # a narrow interval would look like a point
    between = "–" if low >= 0 else " to "
    return _number(value["value"], digits), f"{_number(low, digits)}{between}{_number(high, digits)}"


def estimate(value: Data) -> str:
    """Return an estimate in one stretch: ``0.83 (0.79–0.87)``."""
    number, small = shown(value)
    return f"{number} ({small})"


def heads(metrics: Sequence[Metric]) -> tuple[str, ...]:
    """Return the names of columns, with an arrow that says which way is better."""
    return tuple(NAMES[metric] + _arrow(metric) for metric in metrics)


def _arrow(metric: Metric) -> str:
    if metric is Metric.ABSTAIN_RATE:
        return ""  # more or less doubt is better only together with the rest
    return " ↓" if metric.lower_is_better else " ↑"


def numbers(cell: Data | None, metrics: Sequence[Metric]) -> tuple[Value, ...]:
    """n, positives and the metrics of a cell; n/a everywhere without one."""
    if cell is None:
        return (0, 0, *(NOT_ANSWERED for _ in metrics))
    counts = cell["counts"]
    return (counts["n"], counts["positives"], *(cell["metrics"][name] for name in metrics))


def overall(data: Data, *kinds: Kind) -> list[Data]:
    """Cells over all items of these kinds that have labels."""
    return [
        c for c in data["cells"] if c["dimension"] == "overall" and c["kind"] in kinds and c["counts"]["n"]
    ]


def partly(data: Data) -> list[Data]:
    """Cells over all items that have labelled answers and answers without a label."""
    return [c for c in overall(data, *Kind) if c["counts"]["unknown"]]


def cell_of(system: Data, kind: str, key: str) -> Data | None:
    """One cell of the run or a baseline."""
    return next((c for c in system["cells"] if (c["kind"], c["key"]) == (kind, key)), None)


def _number(number: float, digits: int) -> str:
    digits = 0 if abs(number) >= 100 else 1 if abs(number) >= 10 else digits  # milliseconds and tokens
    return f"{number:z,.{digits}f}".replace("-", "−")
