"""The promotion gate: only a gain beyond chance, with nothing broken, is let through."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from run_pairs import outcomes, run_folder

from llm_judge.errors import UsageError
from llm_judge.evals.gate import parse_gate
from llm_judge.evals.outcomes import ItemOutcome
from llm_judge.evals.point_values import Metric
from llm_judge.finetune.gate_limits import GateLimits, default_limits, load_limits, parse_limits
from llm_judge.finetune.promotion import Suite, mean_gain, promotion, read_suites

pytest.importorskip("sklearn")
pytest.importorskip("pyarrow")

LIMITS = load_limits(default_limits())
ONE, TWO = "a" * 64, "b" * 64


def suite(before: float, after: float, name: str = "core") -> Suite:
    return Suite(name, outcomes(name, before), outcomes(name, after))


def missed(suites: list[Suite], limits: GateLimits = LIMITS, floors: str | None = None) -> list[str]:
    gate = None
    if floors is not None:
        gate, wrong = parse_gate(floors, "gate.yaml")
        assert gate is not None, wrong
    found = promotion(suites, limits, gate, draws=200)
    assert found.passed == all(check.passed for check in found.checks)
    return [f"{check.name}: {check.why}" for check in found.checks if not check.passed]


def test_a_gain_beyond_chance_passes() -> None:
    assert missed([suite(0.3, 2.0)]) == []


def test_the_same_and_chance_are_no_gain() -> None:
    assert missed([suite(1.0, 1.0)])[0].startswith("gain: it is not shown to be better")
    before = outcomes("core", 1.0)
    draw = random.Random(2)
    jitter = [replace(r, answers=(replace(r.answers[0], probability=draw.random()),)) for r in before[:12]]
    assert missed([Suite("core", before, jitter + before[12:])])[0].startswith("gain")


def test_a_gain_on_one_suite_does_not_pay_for_a_loss_on_another() -> None:
    (told,) = missed([suite(0.0, 3.0, "core"), suite(1.6, 0.4, "hindi")])
    assert told.startswith("losses: it is worse on hindi safety/hate -0.")


def test_for_a_metric_that_should_fall_a_fall_is_a_gain() -> None:
    brier = LIMITS.model_copy(update={"promotion_metric": Metric.BRIER, "loss_at_most": 0.01})
    assert missed([suite(0.3, 2.0)], brier) == []
    assert [told.partition(":")[0] for told in missed([suite(2.0, 0.3)], brier)] == ["gain", "losses"]


def test_floors_hold_where_a_suite_has_their_cell() -> None:
    both = [suite(0.3, 2.0), suite(0.3, 2.0, "hindi")]
    floor = "floors:\n  - {kind: area, key: safety/hate, metric: recall, at_least: 0.99, "
    (told,) = missed(both, floors=floor + "dimension: suite, value: hindi}\n")
    assert told.startswith("floors: hindi: recall of area safety/hate, suite hindi: 0.")
    (told,) = missed(both, floors=floor + "dimension: suite, value: nowhere}\n")
    assert told.count("there is no such cell") == 1
    assert missed(both, floors=floor.replace("0.99", "0.1") + "dimension: suite, value: hindi}\n") == []


def test_too_few_items_show_nothing() -> None:
    few = Suite("core", outcomes("core", 0.3, count=9), outcomes("core", 2.0, count=9))
    assert [told.partition(":")[0] for told in missed([few])] == ["gain", "losses"]


def test_items_in_two_suites_count_once() -> None:
    """The same rows twice are no more evidence than once: the interval stays as wide."""
    once = suite(0.5, 0.9)
    twice = [once, Suite("again", [*map(other, once.before)], [*map(other, once.after)])]
    narrow, same = (mean_gain(each, Metric.AUPRC, draws=300) for each in ([once], twice))
    assert same.value == pytest.approx(narrow.value)
    assert (same.low, same.high) == pytest.approx((narrow.low, narrow.high))


def other(row: ItemOutcome) -> ItemOutcome:
    return replace(row, suite="again")


def test_runs_are_paired_by_suite(tmp_path: Path) -> None:
    ours = [run_folder(tmp_path / "o" / n, outcomes(n, 2.0), ONE) for n in ("core", "hindi")]
    theirs = [run_folder(tmp_path / "t" / n, outcomes(n, 0.3), TWO) for n in ("hindi", "core")]
    suites, against = read_suites(ONE, ours, theirs)
    assert ([each.name for each in suites], against) == (["core", "hindi"], TWO)
    assert all(each.before[0].item == each.after[0].item for each in suites)


def test_runs_that_cannot_be_held_against_each_other(tmp_path: Path) -> None:
    ours = run_folder(tmp_path / "ours", outcomes("core", 2.0), ONE)
    theirs = run_folder(tmp_path / "theirs", outcomes("core", 0.3), None)
    hindi = run_folder(tmp_path / "hindi", outcomes("hindi", 0.3), None)
    edited = run_folder(tmp_path / "edited", outcomes("core", 0.3), None, policy_digest="9" * 64)
    for candidates, current, message in (
        ([ours], [hindi], "the suite `core` has no current run"),
        ([ours, ours], [theirs], "same suite"),
        ([ours], [edited], "differ in policy digest"),
        ([theirs], [theirs], "was judged by no adapter"),
    ):
        with pytest.raises(UsageError, match=message):
            read_suites(ONE, candidates, current)
    apart = Suite(
        "core", outcomes("core", 1.0), [replace(r, item="x" + r.item) for r in outcomes("core", 1.0)]
    )
    with pytest.raises(UsageError, match="no item in common"):
        promotion([apart], LIMITS, draws=20)


def test_wrong_limits_are_told_at_their_place() -> None:
    text = default_limits().read_text("utf-8")
    for old, new, message in (
        ("effect_at_least", "effect_at_leest", "unknown key"),
        ("metric: auprc", "metric: ece", "has no interval"),
        ("parity_at_most: 0.1", "parity_at_most: -1", "cannot be `-1`"),
    ):
        assert old in text
        limits, found = parse_limits(text.replace(old, new), "gate.yaml")
        assert limits is None
        assert any(message in each.message for each in found)
