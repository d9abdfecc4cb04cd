"""Gates: what they let through, what they stop, and what they cannot tell."""

from __future__ import annotations

from pathlib import Path

import pytest
from outcome_rows import AREA, answer, drawn, item, table

from llm_judge.errors import PolicyError, UsageError
from llm_judge.evals.compare import compare
from llm_judge.evals.gate import Gate, failures, load_gate, parse_gate
from llm_judge.evals.metrics import measure

pytest.importorskip("sklearn")


def gate(text: str) -> Gate:
    found, wrong = parse_gate(text, "gate.yaml")
    assert found is not None, wrong
    return found


def demand(metric: str, limit: str, more: str = "") -> str:
    return f"  - {{kind: area, key: {AREA}, metric: {metric}, {limit}{more}}}\n"


def test_floors_and_ceilings() -> None:
    cells = measure(table((True, 0.9), (True, 0.1), (False, 0.9), (False, 0.1)), draws=0)
    met = "floors:\n" + demand("recall", "at_least: 0.5")
    met += "ceilings:\n" + demand("false_positive_rate", "at_most: 0.5")
    assert failures(gate(met), cells) == ()
    broken = "floors:\n" + demand("recall", "at_least: 0.6") + demand("precision", "at_least: 0.5")
    broken += "ceilings:\n" + demand("false_positive_rate", "at_most: 0.4")
    assert [str(each) for each in failures(gate(broken), cells)] == [
        "recall of area safety/hate: 0.50 is under the floor 0.6",
        "false_positive_rate of area safety/hate: 0.50 is over the ceiling 0.4",
    ]


def test_a_slice_has_its_own_floor() -> None:
    rows = [item(1, answer(True, 0.9), lang="en"), item(2, answer(True, 0.1), lang="hi")]
    text = "floors:\n" + demand("recall", "at_least: 0.5", ", dimension: language, value: hi")
    (failure,) = failures(gate(text), measure(rows, draws=0))
    assert str(failure).startswith("recall of area safety/hate, language hi: 0.00")


def test_what_cannot_be_shown_fails() -> None:
    cells = measure(table((True, 0.9), (False, 0.1)), draws=0)
    text = "floors:\n" + demand("auroc", "at_least: 0.5")
    text += "  - {kind: area, key: safety/hat, metric: recall, at_least: 0.5}\n"
    assert [each.reason for each in failures(gate(text), cells)] == [
        "n/a (1 positive with a probability, 10 needed), so it is not shown",
        "there is no such cell; did you mean area safety/hate?",
    ]


REGRESSION = gate("no_regression:\n" + demand("recall", "by: 0.1") + demand("brier", "by: 0.01"))


def test_a_significant_regression_fails_and_noise_does_not() -> None:
    """Recall falls from 1 to ½ on 60 positives; Brier rises from .01 to above .4 on them."""
    good = table(*[(True, 0.9)] * 60, *[(False, 0.1)] * 60)
    bad = table(*[(True, 0.9 if n % 2 else 0.1) for n in range(60)], *[(False, 0.1)] * 60)
    assert failures(REGRESSION, (), compare(good, good, draws=100)) == ()
    assert failures(REGRESSION, (), compare(bad, good, draws=100)) == ()
    found = failures(REGRESSION, (), compare(good, bad, draws=100))
    assert [each.demand.metric for each in found] == ["recall", "brier"]
    assert found[0].reason.startswith("changed by -0.50 (-0.6")
    # One of 60 missed: less than 0.1, and not beyond chance.
    one = table((True, 0.1), *[(True, 0.9)] * 59, *[(False, 0.1)] * 60)
    assert failures(REGRESSION, (), compare(good, one, draws=100)) == ()


def test_a_regression_needs_a_comparison_with_enough_items() -> None:
    with pytest.raises(UsageError, match="needs a baseline run"):
        failures(REGRESSION, measure(drawn(50), draws=0))
    few = table((True, 0.9), (False, 0.1))
    reasons = [each.reason for each in failures(REGRESSION, (), compare(few, few, draws=50))]
    assert reasons[0] == "no regression cannot be shown: no interval: 2 groups, 10 needed"
    assert "needed" in reasons[1]


@pytest.mark.parametrize(
    ("text", "message", "help_line"),
    [
        ("floors:\n" + demand("recal", "at_least: 0.5"), "`metric` cannot be `recal`", "did you mean"),
        ("floors:\n" + demand("recall", "by: 0.5"), "unknown key `by`", "allowed keys"),
        ("no_regression:\n" + demand("recall", "by: -1"), "`by` cannot be `-1`", "at least 0"),
        ("no_regression:\n" + demand("ece", "by: 0.1"), "`ece` has no interval", "ceiling"),
        ("floors: []\n", "this gate demands nothing", "add `floors`"),
        (
            "floors:\n" + demand("recall", "at_least: 1", ", value: hi"),
            "a slice needs both `dimension` and `value`",
            "language",
        ),
        ("", "the file is empty", ""),
    ],
)
def test_a_wrong_gate_is_refused_at_its_place(
    tmp_path: Path, text: str, message: str, help_line: str
) -> None:
    path = tmp_path / "gate.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PolicyError) as refused:
        load_gate(path)
    assert any(
        message in found.message and help_line in (found.help or "") for found in refused.value.diagnostics
    )


def test_a_gate_that_is_not_there() -> None:
    with pytest.raises(PolicyError, match="there is no file"):
        load_gate(Path("no/such/gate.yaml"))
