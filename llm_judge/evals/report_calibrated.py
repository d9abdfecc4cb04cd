"""The section of a report about calibrated thresholds: what each promises, and what it does on these rows.

Knows nothing about formats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_judge.evals.point_values import Metric
from llm_judge.evals.report_parts import NAMES, Section, Table, heads, question

if TYPE_CHECKING:
    from llm_judge.evals.report_parts import Data

_SHOWN = (Metric.PRECISION, Metric.RECALL, Metric.F1)
_FITTED_ON = {
    "these": "The calibration was fitted on these rows: the numbers say how well it fits them, not what it "
    "does on others.",
    "others": "The calibration was fitted on other labelled answers than these; some of the rows may still "
    "be the same.",
    "unknown": "The calibration does not say which rows it was fitted on.",
}


def calibrated(data: Data) -> Section:
    """Precision, recall and F1 at each calibrated threshold, and the calibration error before and after."""
    found = data.get("calibrated")
    if found is None:
        absent = "n/a: no calibration was given. Make one with llm-judge eval calibrate, then --calibration."
        return Section("calibrated", "At calibrated thresholds", (absent,))
    text = (
        "Decisions as they would be at thresholds of the calibration "
        f"{found['digest'][:12]}; none was chosen for these numbers. An area counts its likeliest rule that "
        "was asked. A threshold over all areas stands in where an area has none.",
        _FITTED_ON[found["fitted_on"]],
    )
    tables = (_thresholds(found), _probabilities(found))
    return Section("calibrated", "At calibrated thresholds", text, tables=tuple(t for t in tables if t.rows))


def _caption(text: str, found: Data) -> str:
    return f"{text} (fitted on these rows)" if found["fitted_on"] == "these" else text


def threshold_name(row: Data) -> str:
    """A threshold as tables name it."""
    return str(row["threshold"]) if row["own"] else f"{row['threshold']}, all areas"


def _thresholds(found: Data) -> Table:
    rows = tuple(
        (
            question(row),
            threshold_name(row),
            "not reached" if row["at"] is None else f"{row['at']:.3f}",
            row["n"],
            row["positives"],
            *(row["metrics"][metric] for metric in _SHOWN),
        )
        for row in found["thresholds"]
    )
    header = ("question", "threshold", "at", "n", "positives", *heads(_SHOWN))
    return Table(_caption("Areas and rules", found), header, rows)


def _probabilities(found: Data) -> Table:
    columns = [(metric, how) for metric in (Metric.BRIER, Metric.ECE) for how in ("read", "mended")]
    rows = tuple(
        (question(row), row["n"], row["positives"], *(row[how][metric] for metric, how in columns))
        for row in found["probabilities"]
    )
    header = ("question", "n", "positives", *(f"{NAMES[metric]}, {how} ↓" for metric, how in columns))
    return Table(_caption("Probabilities as read and as the calibration mends them", found), header, rows)
