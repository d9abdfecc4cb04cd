"""One number with its interval, or ``n/a`` with the reason: what every table of the harness shows.

Knows nothing about items, metrics or how intervals come about.
"""

from __future__ import annotations

from dataclasses import dataclass

_DIGITS = 4
_NARROW = 0.02  # an interval below this is shown with a decimal more, so that it does not look like a point


@dataclass(frozen=True, slots=True)
class Interval:
    """Ends of a confidence interval, or why there is none.

    Attributes:
        low, high: ends, in the unit of the statistic; None where there is no interval.
        reason: why there is none; None where there is one.
    """

    low: float | None
    high: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """A statistic with its interval.

    Attributes:
        value: the statistic on the observed items; None where it is not defined.
        low, high: ends of its interval; None where there is none.
        reason: why the value, or else its interval, is missing; None where nothing is.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None

    @classmethod
    def missing(cls, reason: str) -> Estimate:
        """A statistic that is not defined here."""
        return cls(None, reason=reason)

    @classmethod
    def of(cls, value: float, interval: Interval) -> Estimate:
        """A value with its interval, or with the reason why there is none."""
        return cls(value, interval.low, interval.high, interval.reason)

    def as_json(self) -> dict[str, float | str | None]:
        """Plain data; numbers to four decimals, the reason only where there is one."""
        ends = {"value": self.value, "low": self.low, "high": self.high}
        data: dict[str, float | str | None] = {
            name: None if number is None else round(number, _DIGITS) for name, number in ends.items()
        }
        return data if self.reason is None else {**data, "reason": self.reason}

    def __str__(self) -> str:
        """``0.83 (0.79–0.87)``, ``0.83`` without an interval, or ``n/a (4 positives, 10 needed)``."""
        if self.value is None:
            return f"n/a ({self.reason})"
        if self.low is None or self.high is None:
            return _shown(self.value, 2)
        digits = 3 if self.high - self.low < _NARROW else 2
        value, low, high = (_shown(number, digits) for number in (self.value, self.low, self.high))
        return f"{value} ({low}–{high})"


def _shown(number: float, digits: int) -> str:
    """Decimals for shares, none for hundreds of milliseconds; zero has no sign."""
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:z.{digits}f}"
