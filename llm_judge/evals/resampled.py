"""The metrics of a sample under many weights at once, for the bootstrap.

scikit-learn takes one vector of weights a call: a thousand draws on two hundred cells would take half an
hour. Here every metric is a sum or a cumulative sum over a block of draws; the tests hold each equal to
scikit-learn's under the same weights. Knows nothing about how weights come about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_judge.evals.scores import FALSE_POSITIVE_RATES
from llm_judge.evals.selective import aurc, ends, ranked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from llm_judge.evals.cells import Sample

    Floats = NDArray[np.float64]

_SLACK = 1e-9  # weights are whole numbers, but a rate times their sum is not


def resampled(sample: Sample) -> Callable[[Floats], Mapping[str, Floats]]:
    """Return a function from weights (draws × rows) to every metric, each of shape (draws,).

    A metric is NaN where a draw does not define it, such as precision where nothing is flagged.
    """
    tables = (_of_decisions(sample), _of_means(sample), _of_probabilities(sample))
    return lambda weights: {name: values for table in tables for name, values in table(weights).items()}


def _of_decisions(sample: Sample) -> Callable[[Floats], dict[str, Floats]]:
    import numpy as np

    truth, flagged, decided = sample.truth, sample.flagged, sample.decided
    columns = np.column_stack(
        (truth & flagged, flagged, truth, truth & decided, ~truth & flagged, ~truth)
    ).astype(np.float64)

    def values(weights: Floats) -> dict[str, Floats]:
        hits, said, positives, positives_decided, false_alarms, negatives = (weights @ columns).T
        return {
            "precision": ratio(hits, said),
            "recall": ratio(hits, positives),
            "recall_decided": ratio(hits, positives_decided),
            "f1": ratio(2 * hits, said + positives),
            "f1_decided": ratio(2 * hits, said + positives_decided),
            "false_positive_rate": ratio(false_alarms, negatives),
        }

    return values


def _of_means(sample: Sample) -> Callable[[Floats], dict[str, Floats]]:
    """Shares and means over the rows where they are known."""
    import numpy as np

    columns = {
        "abstain_rate": sample.abstained,
        "unreadable_rate": sample.unreadable,
        "label_mass": sample.label_mass,
        "evidence_hit_rate": sample.evidence,
        "latency_ms_mean": sample.ms,
        "tokens_mean": sample.tokens,
        "brier": (sample.probability - sample.truth) ** 2,
    }
    table = np.column_stack([column.astype(np.float64) for column in columns.values()])
    known = ~np.isnan(table)
    filled = np.where(known, table, 0.0)

    def values(weights: Floats) -> dict[str, Floats]:
        return dict(zip(columns, ratio(weights @ filled, weights @ known).T, strict=True))

    return values


def _of_probabilities(sample: Sample) -> Callable[[Floats], dict[str, Floats]]:
    import numpy as np

    rows = np.flatnonzero(sample.scored)
    if len(rows) == 0:
        return lambda _: {}
    truth, probability = sample.truth[rows], sample.probability[rows]
    order = np.argsort(-probability, kind="stable")
    last, true = ends(probability[order]), truth[order]
    rank = ranked(truth, probability)

    def values(weights: Floats) -> dict[str, Floats]:
        scored = weights[:, rows]
        taken = scored[:, order]
        hits = np.cumsum(taken * true, axis=1)[:, last]
        said = np.cumsum(taken, axis=1)[:, last]
        return {**_of_ranking(hits, said), "aurc": aurc(rank, scored)}

    return values


def _of_ranking(hits: Floats, said: Floats) -> dict[str, Floats]:
    """Metrics from the cumulated positives and rows at each threshold from the highest down, (draws, t)."""
    import numpy as np

    false_alarms = said - hits
    positives, negatives = hits[:, -1], false_alarms[:, -1]
    up = np.diff(hits, axis=1, prepend=0.0)
    right = np.diff(false_alarms, axis=1, prepend=0.0)
    precision = np.divide(hits, said, out=np.zeros_like(hits), where=said > 0)
    found = {
        "auroc": ratio((right * (hits - up / 2)).sum(axis=1), positives * negatives),
        "auprc": ratio((up * precision).sum(axis=1), positives),
    }
    for name, rate in FALSE_POSITIVE_RATES.items():
        within = false_alarms <= rate * negatives[:, None] + _SLACK
        best = np.where(within, hits, 0.0).max(axis=1)
        found[name] = np.where(negatives > 0, ratio(best, positives), np.nan)
    return found


def ratio(above: Floats, below: Floats) -> Floats:
    """Return the quotient, NaN where the denominator is zero."""
    import numpy as np

    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
