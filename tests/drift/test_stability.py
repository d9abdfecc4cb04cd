"""The population stability index: its known values, and what it cannot say."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge.drift.stability import stability_index

counts = st.lists(st.integers(0, 10_000), min_size=4, max_size=4)


def test_it_is_the_symmetric_divergence() -> None:
    before, after = (500_000, 300_000, 200_000), (400_000, 300_000, 300_000)
    by_hand = (0.4 - 0.5) * math.log(0.4 / 0.5) + (0.3 - 0.2) * math.log(0.3 / 0.2)
    assert stability_index(before, after) == pytest.approx(by_hand, rel=1e-4)


@given(counts, counts)
def test_it_is_symmetric_and_never_negative(before: list[int], after: list[int]) -> None:
    index = stability_index(before, after)
    assert (index is None) == (not sum(before) or not sum(after))
    if index is not None:
        assert index >= 0 and math.isfinite(index)
        assert index == pytest.approx(stability_index(after, before))


def test_the_same_shares_are_no_drift() -> None:
    assert stability_index((100, 300, 0), (1000, 3000, 0)) == pytest.approx(0, abs=1e-4)
