"""Answers → the points of the curves that a report draws, few enough to travel with it.

Knows nothing about how curves are drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llm_judge.evals.cells import Dimension
from llm_judge.evals.outcomes import Kind
from llm_judge.evals.scores import class_shortage
from llm_judge.evals.selective import risk_coverage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_judge.evals.cells import CellKey, Sample
    from llm_judge.evals.metrics import Cell

_MOST_POINTS = 150  # of a curve


def curves(
    cells: Sequence[Cell], by_run: Mapping[str, Mapping[CellKey, Sample]], main: CellKey
) -> list[dict[str, Any]]:
    """What the plots of the main question and of every area show, or why there are none."""
    found = []
    overall = [c for c in cells if c.at.dimension is Dimension.OVERALL and c.at.kind is not Kind.RULE]
    for cell in sorted(overall, key=lambda cell: cell.at != main):
        drawn = {name: _curve(of[cell.at]) for name, of in by_run.items() if cell.at in of}
        own = next(iter(drawn.values()))
        found.append(
            {
                "kind": cell.at.kind.value,
                "key": cell.at.key,
                "reason": own.get("reason"),
                "reliability": cell.as_json()["reliability"],
                "prevalence": own.get("prevalence"),
                "runs": {name: curve for name, curve in drawn.items() if "reason" not in curve},
            }
        )
    return found


def _curve(sample: Sample) -> dict[str, Any]:
    """Precision–recall points by growing recall, as scikit-learn computes them, and risk–coverage points."""
    scored = sample.scored
    truth, probability = sample.truth[scored], sample.probability[scored]
    positives = int(truth.sum())
    if short := class_shortage(positives, len(truth) - positives):
        return {"reason": f"{short} with a probability"}
    import numpy as np
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(truth, probability, drop_intermediate=True)
    # The last point, recall 0 at precision 1, belongs to no threshold.
    precision, recall = precision[:-1][::-1], recall[:-1][::-1]
    shown = np.unique(np.linspace(0, len(recall) - 1, _MOST_POINTS).round().astype(int))
    return {
        "n": len(truth),
        "prevalence": round(positives / len(truth), 4),
        "precision_recall": [[round(float(recall[i]), 4), round(float(precision[i]), 4)] for i in shown],
        "risk_coverage": [
            [round(point.coverage, 4), round(point.risk, 4)] for point in risk_coverage(truth, probability)
        ],
    }
