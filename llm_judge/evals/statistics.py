"""Intervals and tests for counts, thin over SciPy; nothing is claimed from nothing.

Knows nothing about policies, items or how counts come about.
"""

from __future__ import annotations

from dataclasses import dataclass

CONFIDENCE = 0.95
_NARROW = 0.02  # an interval below this is shown with a decimal, so that it never looks like a point


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many, with the Wilson score interval of the underlying probability.

    Attributes:
        count, total: the observed numbers.
        value: ``count / total``, None for no observations.
        low, high: ends of the interval, 0..1; None for no observations.
    """

    count: int
    total: int
    value: float | None
    low: float | None
    high: float | None

    def as_json(self) -> dict[str, float | int | None]:
        """Plain data; numbers to four decimals."""
        ends = {"value": self.value, "low": self.low, "high": self.high}
        rounded = {name: None if number is None else round(number, 4) for name, number in ends.items()}
        return {"count": self.count, "total": self.total, **rounded}

    def __str__(self) -> str:
        """``4/5 80 % (38–96)``, or ``n/a (n=0)``."""
        if self.value is None or self.low is None or self.high is None:
            return f"n/a (n={self.total})"
        digits = 1 if self.high - self.low < _NARROW else 0
        value, low, high = (f"{number * 100:.{digits}f}" for number in (self.value, self.low, self.high))
        return f"{self.count}/{self.total} {value} % ({low}–{high})"


def share(count: int, total: int, confidence: float = CONFIDENCE) -> Share:
    """Return a share with its Wilson score interval, without continuity correction.

    With p = k/n and z the normal quantile: (p + z²/2n ± z·√(p(1−p)/n + z²/4n²)) / (1 + z²/n).
    Wilson, E. B. (1927), "Probable inference, the law of succession, and statistical inference",
    Journal of the American Statistical Association 22, 209–212.

    Raises:
        ValueError: not 0 ≤ count ≤ total.
    """
    if not 0 <= count <= total:
        raise ValueError(f"{count} of {total} is not a share")
    if total == 0:
        return Share(0, 0, None, None, None)
    from scipy.stats import binomtest

    ends = binomtest(count, total).proportion_ci(confidence, method="wilson")
    return Share(count, total, count / total, float(ends.low), float(ends.high))


def mcnemar_exact(only_before: int, only_after: int) -> float | None:
    """Return the two-sided exact p-value of McNemar's test, None where no pair disagrees.

    Of the pairs that are right in one version only, either version is equally likely to be the right
    one under the null hypothesis, so b ~ Binomial(b + c, ½).
    McNemar, Q. (1947), "Note on the sampling error of the difference between correlated proportions or
    percentages", Psychometrika 12, 153–157.

    Args:
        only_before: b, pairs right before and wrong after.
        only_after: c, pairs wrong before and right after.
    """
    if only_before + only_after == 0:
        return None
    from scipy.stats import binomtest

    return float(binomtest(only_before, only_before + only_after, 0.5).pvalue)
