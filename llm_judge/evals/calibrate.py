"""Dev outcomes → calibration: probabilities that hold, and thresholds with a promise.

What is calibrated is what an action ladder compares: the probability of a rule, and for an area the highest
of its asked rules. Where nothing usable was read, or the rule was not asked, nothing fires at any threshold.

Knows nothing about files or engines.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from llm_judge.calibration import Band, Calibration, Entry, Identity, Method, Threshold
from llm_judge.decision import UNCALIBRATED
from llm_judge.evals.cells import check_run
from llm_judge.evals.outcomes import Kind
from llm_judge.evals.thresholds import Rows, shortage, target_of, threshold
from llm_judge.verdict import Thresholds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from llm_judge.evals.outcomes import Answer, ItemOutcome

TARGETS = tuple(UNCALIBRATED)
_BAND = ("recall_90", "precision_90")  # the ends of the abstain band
_COLDEST, _HOTTEST = -3.0, 3.0  # log of the temperature: sharper or flatter by a factor of 20 at most


def calibrate(
    outcomes: Sequence[ItemOutcome],
    identity: Identity,
    *,
    method: Method = Method.TEMPERATURE,
    targets: Sequence[str] = TARGETS,
) -> Calibration:
    """Fit every area and rule that has enough labelled answers of either class.

    Args:
        outcomes: of a run on dev rows; never on the rows that a score is reported on.
        identity: what the run belongs to, with the digest of the data.
        method: how probabilities are mended.
        targets: threshold names, ``precision_NN`` or ``recall_NN`` in percent.

    Raises:
        UsageError: the run is not sound, or a target's name says no share.
    """
    check_run(outcomes)
    for name in targets:
        target_of(name)
    rows = _rows(outcomes)
    entries, left_out = [], {}
    for kind, key in sorted(rows, key=lambda question: (list(Kind).index(question[0]), question[1])):
        found = _columns(rows[kind, key])
        if short := shortage(found):
            left_out[key] = short
        else:
            entries.append(_entry(key, found, method, targets))
    pooled = _columns(row for (kind, _), found in rows.items() if kind is Kind.AREA for row in found)
    shared = {name: threshold(pooled, name) for name in targets}
    return Calibration(identity=identity, entries=tuple(entries), shared=shared, left_out=left_out)


def ladder_score(answer: Answer, beside: Sequence[Answer]) -> float | None:
    """Return the probability that an action ladder would compare, or None where nothing can fire.

    Args:
        answer: about a rule or an area.
        beside: all answers of the item; an area's rules are among them. An area without any rule answered
            (a baseline that knows no rules) counts its own probability.
    """
    if answer.kind is Kind.AREA:
        rules = [a for a in beside if a.kind is Kind.RULE and a.key.partition("#")[0] == answer.key]
        scores = [score for rule in rules if (score := _usable(rule)) is not None]
        return max(scores, default=None) if rules else _usable(answer)
    return _usable(answer)


def _rows(
    outcomes: Sequence[ItemOutcome],
) -> dict[tuple[Kind, str], list[tuple[float | None, bool, str]]]:
    """Return score, truth and group of every labelled answer, by area and rule."""
    found: dict[tuple[Kind, str], list[tuple[float | None, bool, str]]] = defaultdict(list)
    for outcome in outcomes:
        for answer in outcome.answers:
            if answer.truth is not None and answer.kind is not Kind.ITEM:
                score = ladder_score(answer, outcome.answers)
                found[answer.kind, answer.key].append((score, answer.truth, outcome.group))
    return found


def _columns(rows: Iterable[tuple[float | None, bool, str]]) -> Rows:
    import numpy as np

    found = list(rows)
    number: dict[str, int] = {}
    return Rows(
        np.array([np.nan if score is None else score for score, _, _ in found], np.float64),
        np.array([truth for _, truth, _ in found], np.bool_),
        np.array([number.setdefault(group, len(number)) for _, _, group in found], np.int64),
    )


def _usable(answer: Answer) -> float | None:
    followed = answer.label_mass >= Thresholds().min_label_mass
    return answer.probability if answer.asked and followed else None


def _entry(key: str, rows: Rows, method: Method, targets: Sequence[str]) -> Entry:
    thresholds = {name: threshold(rows, name) for name in targets}
    scored = rows.scored
    score, truth = rows.score[scored], rows.truth[scored]
    low, high = (thresholds.get(name, Threshold(at=None)).at for name in _BAND)
    band = None if low is None or high is None else Band(clear_below=min(low, high), fires_at=high)
    curve: dict[str, Any] = {}
    if method is Method.TEMPERATURE:
        curve["temperature"] = _temperature(score, truth)
    else:
        curve["knots"], curve["values"] = _isotonic(score, truth)
    return Entry(
        key=key,
        method=method,
        **curve,
        n=len(score),
        positives=int(truth.sum()),
        thresholds=thresholds,
        band=band,
    )


def _temperature(score: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Return the temperature of least log loss.

    Guo, C. et al. (2017), "On calibration of modern neural networks", ICML 34.
    """
    import numpy as np
    from scipy.optimize import minimize_scalar
    from scipy.special import logit

    odds = logit(np.clip(score, 1e-6, 1 - 1e-6))
    signed = np.where(truth, odds, -odds)
    best = minimize_scalar(
        lambda log_t: float(np.logaddexp(0.0, -signed / np.exp(log_t)).mean()),
        bounds=(_COLDEST, _HOTTEST),
        method="bounded",
    )
    return float(np.exp(best.x))


def _isotonic(
    score: NDArray[np.float64], truth: NDArray[np.bool_]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0.0, y_max=1.0).fit(score, truth)
    return tuple(fitted.X_thresholds_.tolist()), tuple(fitted.y_thresholds_.tolist())
