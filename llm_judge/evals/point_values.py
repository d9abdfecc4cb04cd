"""A sample of answers → every metric by name, or in its place the reason why it is not defined.

Names, what is better and which rows a share is of stand here too. Thin over scikit-learn. Knows nothing about
slices, intervals or reports.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from llm_judge.evals.scores import (
    FALSE_POSITIVE_RATES,
    auprc,
    auroc,
    brier,
    calibration_error,
    class_shortage,
    fewest_negatives,
    recall_at,
    reliability,
)
from llm_judge.evals.selective import aurc, ranked

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from llm_judge.evals.cells import Sample


class Metric(StrEnum):
    """Every metric of a cell; which answers each is about stands at the top of ``metrics``."""

    PRECISION = "precision"
    RECALL = "recall"
    RECALL_DECIDED = "recall_decided"
    F1 = "f1"
    F1_DECIDED = "f1_decided"
    FALSE_POSITIVE_RATE = "false_positive_rate"
    AUROC = "auroc"
    AUPRC = "auprc"
    RECALL_AT_1_FPR = "recall_at_1_fpr"
    RECALL_AT_5_FPR = "recall_at_5_fpr"
    BRIER = "brier"
    ECE = "ece"
    AURC = "aurc"
    ABSTAIN_RATE = "abstain_rate"
    UNREADABLE_RATE = "unreadable_rate"
    LABEL_MASS = "label_mass"
    EVIDENCE_HIT_RATE = "evidence_hit_rate"
    LATENCY_MS_P50 = "latency_ms_p50"
    LATENCY_MS_P95 = "latency_ms_p95"
    LATENCY_MS_MEAN = "latency_ms_mean"
    TOKENS_MEAN = "tokens_mean"

    @property
    def lower_is_better(self) -> bool:
        """Whether a smaller value is the better one."""
        return self in _LOWER_IS_BETTER

    @property
    def has_interval(self) -> bool:
        """Whether the bootstrap gives it an interval.

        The ECE has none: resampling adds noise to every bin, which the ECE only counts upwards, so that its
        interval could miss the value itself. Neither have the percentiles of latency.
        """
        return self not in (Metric.ECE, Metric.LATENCY_MS_P50, Metric.LATENCY_MS_P95)


_LOWER_IS_BETTER = frozenset(
    {Metric.FALSE_POSITIVE_RATE, Metric.BRIER, Metric.ECE, Metric.AURC}
    | {Metric.ABSTAIN_RATE, Metric.UNREADABLE_RATE, Metric.TOKENS_MEAN}
    | {Metric.LATENCY_MS_P50, Metric.LATENCY_MS_P95, Metric.LATENCY_MS_MEAN}
)
METRICS = tuple(metric.value for metric in Metric)


def share_of(name: str, sample: Sample) -> NDArray[np.bool_] | None:
    """Return the rows that a metric is a share of, shape (n,), or None where it is no share."""
    import numpy as np

    truth = sample.truth
    if name in FALSE_POSITIVE_RATES:
        return truth & sample.scored
    shares = {
        "precision": sample.flagged,
        "recall": truth,
        "recall_decided": truth & sample.decided,
        "false_positive_rate": ~truth,
        "abstain_rate": np.ones_like(truth),
        "unreadable_rate": np.ones_like(truth),
        "evidence_hit_rate": ~np.isnan(sample.evidence),
    }
    return shares.get(name)


def point_values(sample: Sample) -> dict[str, float | str]:
    """Return every metric of a sample, or in its place the reason why it is not defined."""
    if len(sample) == 0:
        return dict.fromkeys(METRICS, "no labelled answers")
    return {**dict(_of_decisions(sample)), **dict(_of_means(sample)), **dict(_of_probabilities(sample))}


def _of_decisions(sample: Sample) -> Iterator[tuple[str, float | str]]:
    from sklearn.metrics import f1_score, precision_score, recall_score

    truth, flagged, decided = sample.truth, sample.flagged, sample.decided
    positives, positives_decided = truth.any(), (truth & decided).any()
    no_positive, none_decided = "no positives", "no decided positives"
    yield "precision", float(precision_score(truth, flagged)) if flagged.any() else "nothing flagged"
    yield "recall", float(recall_score(truth, flagged)) if positives else no_positive
    yield "f1", float(f1_score(truth, flagged)) if positives else no_positive
    if positives_decided:
        yield "recall_decided", float(recall_score(truth[decided], flagged[decided]))
        yield "f1_decided", float(f1_score(truth[decided], flagged[decided]))
    else:
        yield from (("recall_decided", none_decided), ("f1_decided", none_decided))
    alarms = flagged[~truth]
    yield "false_positive_rate", float(alarms.mean()) if len(alarms) else "no negatives"


def _of_means(sample: Sample) -> Iterator[tuple[str, float | str]]:
    import numpy as np

    evidence = sample.evidence[~np.isnan(sample.evidence)]
    yield "abstain_rate", float(sample.abstained.mean())
    yield "unreadable_rate", float(sample.unreadable.mean())
    yield "label_mass", float(sample.label_mass.mean())
    yield "evidence_hit_rate", float(evidence.mean()) if len(evidence) else "no marked spans"
    ms, tokens = (values[~np.isnan(values)] for values in (sample.ms, sample.tokens))
    if len(ms) == 0:
        names = ("latency_ms_p50", "latency_ms_p95", "latency_ms_mean", "tokens_mean")
        yield from ((name, "all answers are from the cache") for name in names)
        return
    yield "latency_ms_p50", float(np.quantile(ms, 0.5))
    yield "latency_ms_p95", float(np.quantile(ms, 0.95))
    yield "latency_ms_mean", float(ms.mean())
    yield "tokens_mean", float(tokens.mean())


def _of_probabilities(sample: Sample) -> Iterator[tuple[str, float | str]]:
    import numpy as np

    scored = sample.scored
    truth, probability = sample.truth[scored], sample.probability[scored]
    positives, negatives = int(truth.sum()), int((~truth).sum())
    names = ("auroc", "auprc", *FALSE_POSITIVE_RATES, "brier", "ece", "aurc")
    if short := class_shortage(positives, negatives):
        yield from ((name, short) for name in names)
        return
    yield "auroc", auroc(truth, probability)
    yield "auprc", auprc(truth, probability)
    for name, rate in FALSE_POSITIVE_RATES.items():
        few = negatives < fewest_negatives(rate)
        why = f"{negatives} negatives, {fewest_negatives(rate)} needed"
        yield name, why if few else recall_at(rate, truth, probability)
    yield "brier", brier(truth, probability)
    yield "ece", calibration_error(reliability(truth, probability))
    yield "aurc", float(aurc(ranked(truth, probability), np.ones((1, len(truth))))[0])
