"""Deltas and flips over pairs, against tables worked out by hand."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from labelled_items import outcome

from llm_judge.errors import UsageError
from llm_judge.evals.outcomes import ItemOutcome, Kind
from llm_judge.evals.robustness import ALL_AREAS, RobustnessRow, paired_interval, robustness


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
    assert (row.recall.before, row.recall.after, row.recall.total) == (3, 2, 4)
    assert (row.recall.value, row.recall.p) == (-0.25, 1.0)  # 2 lost, 1 gained
    assert (row.false_positives.before, row.false_positives.after) == (0, 1)
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
    expected = [(Kind.ITEM, "any"), (Kind.AREA, ALL_AREAS), (Kind.AREA, "a/a"), (Kind.AREA, "b/b")]
    assert [(row.family, row.kind, row.key) for row in found] == [
        (family, *question) for family in ("inject:fake_turn", "perturb:typos") for question in expected
    ]
    assert [row.pairs for row in found[:4]] == [1, 2, 1, 1]
    assert len(robustness(before, after, [Kind.ITEM])) == 2
    assert found[0].as_json()["recall"]["value"] == 0.0  # type: ignore[index]


def test_a_question_that_the_changed_item_was_not_asked_is_no_pair() -> None:
    before = [outcome("1", "violates", True, areas={"a/a": ("violates", True), "b/b": ("clear", False)})]
    seen = outcome("1~drawn", None, None, ("perturb:drawn",), {"b/b": ("clear", False)})
    assert [row.key for row in robustness(before, [seen])] == [ALL_AREAS, "b/b"]
    unasked = replace(seen, answers=(), error=None)  # no guideline of its labels judges pictures
    assert robustness(before, [unasked]) == []


def test_what_an_injection_made_unknown_counts_in_no_rate() -> None:
    before = [outcome("1", "clear", False)]
    after = [outcome("1~fake_turn", "violates", None, ("inject:fake_turn",))]
    (row,) = robustness(before, after)
    assert (row.false_positives.value, row.flips.count) == (None, 1)


def grouped(said: Sequence[tuple[str, str, str]], truth: bool = True) -> RobustnessRow:
    """One pair for each (said of the original, said of the changed item, group)."""
    before, after = pairs(*((one, other, truth) for one, other, _ in said))
    before = [replace(each, group=group) for each, (_, _, group) in zip(before, said, strict=True)]
    (row,) = robustness(before, after, draws=400)
    return row


def test_pairs_of_one_group_rise_and_fall_together() -> None:
    """Thirty pairs in groups of two alike say less than thirty of their own."""
    said = [("violates", "clear" if number % 3 == 0 else "violates") for number in range(30)]
    alone = grouped([(one, other, str(number)) for number, (one, other) in enumerate(said)])
    tied = grouped([(one, other, str(number % 15)) for number, (one, other) in enumerate(said)])
    assert alone.recall.value == tied.recall.value == pytest.approx(-1 / 3)

    def width(row: RobustnessRow) -> tuple[float, float]:
        assert row.recall.low is not None
        assert row.recall.high is not None
        assert row.flips.low is not None
        assert row.flips.high is not None
        return row.recall.high - row.recall.low, row.flips.high - row.flips.low

    for narrow, wide in zip(width(alone), width(tied), strict=True):
        assert 1.2 * narrow < wide < 1.7 * narrow  # √2, since every group of 15 is drawn whole


def test_nothing_changed_is_no_certainty_and_counts_groups() -> None:
    said = [("violates", "violates", str(number % 20)) for number in range(40)]
    row = grouped(said)
    # 20 groups: ±1.95996 · √1/22; Wilson 0/20: z²/(20 + z²)
    assert (row.recall.value, row.recall.low, row.recall.high) == pytest.approx(
        (0, -0.08909, 0.08909), abs=1e-5
    )
    assert (row.flips.value, row.flips.low, row.flips.high) == pytest.approx((0, 0, 0.16113), abs=1e-5)
    assert (row.recall.reason, row.flips.reason) == (None, None)


def test_few_groups_and_no_draws_say_why_there_is_no_interval() -> None:
    row = grouped([("violates", "clear", "one template")] * 30)
    assert (row.recall.value, row.recall.low) == (-1.0, None)
    assert row.recall.reason == "no interval: 1 group, 10 needed"
    assert row.flips.reason == row.recall.reason
    (row,) = robustness(*pairs(("violates", "clear", True)), draws=0)
    assert (row.recall.value, row.recall.reason) == (-1.0, "no interval")


def test_the_interval_covers_the_truth() -> None:
    """Forty groups of two pairs that share what happens; recall falls by .2 in truth."""
    source = random.Random(3)
    covered, runs = 0, 200
    for _ in range(runs):
        said = []
        for group in range(40):
            fate = source.random()
            one, other = (
                ("violates", "clear")
                if fate < 0.3
                else ("clear", "violates")
                if fate < 0.4
                else ("clear", "clear")
            )
            said += [(one, other, str(group))] * 2
        found = grouped(said).recall
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= -0.2 <= found.high
    assert 0.91 <= covered / runs <= 0.99


def test_interval_of_independent_pairs_by_hand() -> None:
    # n = 10, b = 4, c = 1: −3/12 ± 1.95996 · √(6 − 9/12)/12 = −0.25 ± 0.37423
    assert paired_interval(4, 1, 10) == pytest.approx((-0.62423, 0.12423), abs=1e-5)
    assert only_row(*[("violates", "clear", True)] * 4, ("clear", "violates", True)).recall.p == 12 / 32


def test_nothing_is_claimed_from_nothing() -> None:
    assert robustness([], []) == []
    (row,) = robustness(*pairs(("clear", "clear", None)))
    assert (row.recall.value, row.recall.low, row.recall.p) == (None, None, None)
    assert row.recall.reason == "no pairs"
    low, high = paired_interval(0, 0, 1)
    assert -1 <= low < 0 < high <= 1
    assert not math.isnan(high)


def test_wrong_input_is_one_clear_line() -> None:
    before, after = pairs(("clear", "clear", False))
    with pytest.raises(UsageError, match="no changed item has its original"):
        robustness([], after)
    with pytest.raises(UsageError, match="`0~leet` comes twice"):
        robustness(before, after * 2)
    with pytest.raises(UsageError, match="`0` is not a changed item"):
        robustness(before, before)
