"""Which arm answers what: evenly dealt, always the same, and a share that grows keeps those it had."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llm_judge.service.arms import place_of

NAMES = [f"item-{number}" for number in range(4000)]


def dealt(share: float, salt: str = "s") -> set[str]:
    return {name for name in NAMES if place_of(name, salt) < share}


def test_a_share_is_a_share() -> None:
    assert abs(len(dealt(10)) / len(NAMES) - 0.10) < 0.02
    assert dealt(0) == set() and dealt(100) == set(NAMES)


def test_a_share_that_grows_keeps_those_it_had() -> None:
    assert dealt(1) < dealt(5) < dealt(50)


def test_another_salt_deals_others() -> None:
    both = dealt(10) & dealt(10, "another")
    assert len(both) < 0.3 * len(dealt(10))


@given(st.text(), st.text())
def test_any_name_has_a_place(name: str, salt: str) -> None:
    assert 0 <= place_of(name, salt) < 100
    assert place_of(name, salt) == place_of(name, salt)
