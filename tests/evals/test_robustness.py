"""Deltas and flips over pairs, against tables worked out by hand."""

from __future__ import annotations

import math

import pytest
from labelled_items import outcome

from llm_judge.errors import UsageError
from llm_judge.evals.outcomes import ItemOutcome, Kind
from llm_judge.evals.robustness import RobustnessRow, paired_delta, robustness


def pairs(
    *cells: tuple[str, str | None, bool | None], family: str = "leet"
) -> tuple[list[ItemOutcome], list[ItemOutcome]]:
    """One pair for each (said of the original, said of the changed item, truth)."""
    before = [outcome(str(i), said, truth) for i, (said, _, truth) in enumerate(cells)]
    after = [
        outcome(f"{i}~{family}", said, truth, (f"perturb:{family}",))
        for i, (_, said, truth) in enumerate(cells)
    ]
    return before, after


def only_row(*cells: tuple[str, str | None, bool | None]) -> RobustnessRow:
    (row,) = robustness(*pairs(*cells))
    return row


def test_the_table_by_hand() -> None:
    row = only_row(
        ("violates", "violates", True),
        ("violates", "clear", True),
        ("violates", "exempt", True),
        ("clear", "violates", True),
        ("clear", "violates", False),
        ("clear", "exempt", False),  # both are "not flagged"
        ("violates", "clear", None),  # whatever is true, it is a flip
    )
    assert (row.family, row.kind, row.key, row.pairs) == ("perturb:leet", Kind.ITEM, "any", 7)
    assert (row.recall.before.count, row.recall.after.count, row.recall.before.total) == (3, 2, 4)
    assert (row.recall.value, row.recall.p) == (-0.25, 1.0)  # 2 lost, 1 gained
    assert (row.false_positives.before.count, row.false_positives.after.count) == (0, 1)
    assert row.false_positives.value == 0.5
    assert (row.flips.count, row.flips.total, row.undecided.count) == (5, 7, 0)


def test_could_not_tell_and_an_error_catch_nothing_and_are_flips() -> None:
    row = only_row(
        ("violates", "abstain", True),
        ("violates", None, True),
        ("abstain", "unreadable", True),
        ("clear", None, False),
    )
    assert row.recall.value == pytest.approx(-2 / 3)
    assert row.false_positives.value == 0
    assert (row.flips.count, row.undecided.count) == (3, 4)


def test_one_row_a_family_and_question_in_order() -> None:
    areas = {"b/b": ("clear", False), "a/a": ("violates", True)}
    before = [outcome("x~y", "violates", True, areas=areas)]
    after = [
        outcome(f"x~y~{name}", "violates", True, ("plain", f"{kind}:{name}"), areas)
        for kind, name in (("perturb", "typos"), ("inject", "fake_turn"))
    ]
    found = robustness(before, after)
    expected = [(Kind.ITEM, "any"), (Kind.AREA, "a/a"), (Kind.AREA, "b/b")]
    assert [(row.family, row.kind, row.key) for row in found] == [
        (family, *question) for family in ("inject:fake_turn", "perturb:typos") for question in expected
    ]
    assert len(robustness(before, after, [Kind.ITEM])) == 2
    assert found[0].recall.as_json()["value"] == 0.0


def test_what_an_injection_made_unknown_counts_in_no_rate() -> None:
    before = [outcome("1", "clear", False)]
    after = [outcome("1~fake_turn", "violates", None, ("inject:fake_turn",))]
    (row,) = robustness(before, after)
    assert (row.false_positives.value, row.flips.count) == (None, 1)


def test_interval_by_hand() -> None:
    # n = 10, b = 4, c = 1: −3/12 ± 1.95996 · √(6 − 9/12)/12 = −0.25 ± 0.37423
    found = paired_delta(both=3, only_before=4, only_after=1, neither=2)
    assert (found.value, found.low, found.high) == pytest.approx((-0.3, -0.62423, 0.12423), abs=1e-5)
    assert found.p == pytest.approx(12 / 32)  # 2 · (1 + 5)/2⁵


@pytest.mark.parametrize(("gained", "lost"), [(0.05, 0.2), (0.1, 0.1), (0.0, 0.1)])
def test_the_interval_covers_the_truth(gained: float, lost: float) -> None:
    """Exact: the chance of every table of 30 pairs, added up where its interval holds the true difference."""
    covered = 0.0
    for b, c in ((lose, gain) for lose in range(31) for gain in range(31 - lose)):
        found = paired_delta(both=30 - b - c, only_before=b, only_after=c, neither=0)
        assert found.low is not None
        assert found.high is not None
        if found.low <= gained - lost <= found.high:
            rest = (1 - gained - lost) ** (30 - b - c)
            covered += math.comb(30, b) * math.comb(30 - b, c) * lost**b * gained**c * rest
    assert 0.94 <= covered <= 0.98


def test_nothing_is_claimed_from_nothing() -> None:
    assert robustness([], []) == []
    nothing = paired_delta(0, 0, 0, 0)
    assert (nothing.value, nothing.low, nothing.p) == (None, None, None)
    one = paired_delta(1, 0, 0, 0)
    assert (one.value, one.p) == (0, None)
    assert one.high is not None
    assert not math.isnan(one.high)


def test_wrong_input_is_one_clear_line() -> None:
    before, after = pairs(("clear", "clear", False))
    with pytest.raises(UsageError, match="no changed item has its original"):
        robustness([], after)
    with pytest.raises(UsageError, match="`0~leet` comes twice"):
        robustness(before, after * 2)
    with pytest.raises(UsageError, match="`0` is not a changed item"):
        robustness(before, before)
