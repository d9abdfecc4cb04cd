"""Intervals and tests against numbers worked out by hand."""

from __future__ import annotations

import pytest

from llm_judge.evals.statistics import mcnemar_exact, share


def test_wilson_interval_of_eight_in_ten() -> None:
    # z = 1.95996: centre (0.8 + z²/20) / (1 + z²/10) = 0.71674, half width 0.22658
    found = share(8, 10)
    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.49016, 0.94332), abs=1e-5)
    assert str(found) == "8/10 80 % (49–94)"


def test_an_interval_at_the_end_has_a_width() -> None:
    # 5 of 5: low = 1 / (1 + z²/5) = 0.56552
    found = share(5, 5)
    assert (found.low, found.high) == pytest.approx((0.56552, 1.0), abs=1e-5)


def test_a_narrow_interval_does_not_look_like_a_point() -> None:
    assert str(share(0, 1721)) == "0/1721 0.0 % (0.0–0.2)"


def test_nothing_is_claimed_from_nothing() -> None:
    assert share(0, 0).as_json() == {"count": 0, "total": 0, "value": None, "low": None, "high": None}
    assert str(share(0, 0)) == "n/a (n=0)"
    assert mcnemar_exact(0, 0) is None


@pytest.mark.parametrize(("count", "total"), [(-1, 3), (4, 3), (1, 0)])
def test_a_share_cannot_be_more_than_all(count: int, total: int) -> None:
    with pytest.raises(ValueError, match="is not a share"):
        share(count, total)


@pytest.mark.parametrize(
    ("broken", "mended", "p"),
    [
        (1, 7, 18 / 256),  # 2 · (C(8,0) + C(8,1)) / 2⁸
        (7, 1, 18 / 256),
        (0, 5, 2 / 32),
        (0, 1, 1.0),
        (3, 3, 1.0),
    ],
)
def test_mcnemar_exact(broken: int, mended: int, p: float) -> None:
    assert mcnemar_exact(broken, mended) == pytest.approx(p)
