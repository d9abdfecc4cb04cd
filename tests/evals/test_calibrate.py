"""Calibration: it mends what is wrong, and counts what a ladder compares."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outcome_rows import AREA, answer, drawn, table

from llm_judge.calibration import Identity, Method
from llm_judge.decision import UNCALIBRATED
from llm_judge.errors import UsageError
from llm_judge.evals.calibrate import calibrate, ladder_score
from llm_judge.evals.outcomes import Kind
from llm_judge.evals.scores import calibration_error, reliability

pytest.importorskip("sklearn")

if TYPE_CHECKING:
    from llm_judge.evals.outcomes import ItemOutcome

MINE = Identity(policy="p" * 64, prompt="t" * 64, model="m" * 64, adapter=None, data="d" * 64)


def overconfident(count: int, seed: int = 0) -> list[ItemOutcome]:
    """Log-odds three times too large: the temperature that mends them is 3."""
    source = random.Random(seed)
    rows = []
    for _ in range(count):
        odds = source.gauss(0, 1.5)
        truth = source.random() < 1 / (1 + 2.718281828**-odds)
        rows.append((truth, 1 / (1 + 2.718281828 ** (-3 * odds))))
    return table(*rows)


def errors(outcomes: list[ItemOutcome], method: Method) -> tuple[float, float]:
    """The calibration error on rows that were not fitted, as read and as mended."""
    import numpy as np

    (entry,) = calibrate(overconfident(3000), MINE, method=method).entries
    answers = [outcome.answers[0] for outcome in outcomes]
    truth = np.array([answer.truth for answer in answers])
    read = [answer.probability or 0.0 for answer in answers]
    both = (np.array(read), np.array([entry.probability(each) for each in read]))
    before, after = (calibration_error(reliability(truth, each)) for each in both)
    return before, after


@pytest.mark.parametrize("method", Method)
def test_it_mends_probabilities_on_rows_it_has_not_seen(method: Method) -> None:
    before, after = errors(overconfident(2000, seed=1), method)
    assert before > 0.1
    assert after < 0.05


def test_the_temperature_by_construction() -> None:
    (entry,) = calibrate(overconfident(4000), MINE).entries
    assert entry.temperature == pytest.approx(3.0, rel=0.1)
    assert entry.probability(0.5) == pytest.approx(0.5)
    assert (entry.n, entry.positives) == (4000, pytest.approx(2000, abs=150))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20), st.sampled_from(list(Method)))
def test_calibrated_probabilities_rise_and_stay_in_range(reads: list[float], method: Method) -> None:
    entry = FITTED[method].entries[0]
    mended = [entry.probability(read) for read in sorted(reads)]
    assert all(0 <= value <= 1 for value in mended)
    assert all(one <= other + 1e-12 for one, other in pairwise(mended))


FITTED = {method: calibrate(drawn(400, sharpness=3.0), MINE, method=method) for method in Method}


def test_names_are_those_of_action_ladders() -> None:
    calibration = calibrate(drawn(1500, sharpness=5.0), MINE)
    (entry,) = calibration.entries
    assert entry.key == AREA
    assert set(calibration.shared) == set(entry.thresholds) == set(UNCALIBRATED)
    assert calibration.shared == entry.thresholds  # one area only: pooled is the same
    assert entry.band is not None
    assert entry.band.fires_at == entry.thresholds["precision_90"].at
    assert entry.band.clear_below <= entry.band.fires_at


def test_a_threshold_that_is_not_reached_says_why_and_there_is_no_band() -> None:
    calibration = calibrate(drawn(300, sharpness=0.0), MINE)
    assert calibration.shared["precision_95"].at is None
    assert calibration.shared["precision_95"].reason.startswith("no threshold shows a precision of 0.95")
    assert calibration.entries[0].band is None


def rule(name: str, probability: float | None, **how: Any) -> Any:
    return answer(None, probability, kind=Kind.RULE, key=f"{AREA}#{name}", **how)


def test_an_area_scores_as_its_highest_asked_rule() -> None:
    area = answer(True, 0.95)
    asked = [area, rule("HS1", 0.4), rule("HS2", 0.6), answer(True, 0.99, kind=Kind.RULE, key="other/x#A")]
    assert ladder_score(area, asked) == 0.6
    assert ladder_score(asked[1], asked) == 0.4
    assert ladder_score(area, [area]) == 0.95  # a baseline that knows no rules
    closed = [area, rule("HS1", 0.95, asked=False), rule("HS2", None), rule("HS3", 0.9, label_mass=0.1)]
    assert ladder_score(area, closed) is None


def test_what_has_too_few_labels_is_left_out_and_says_so() -> None:
    few = [replace(o, answers=(*o.answers, rule("HS1", 0.5))) for o in table((True, 0.9), (False, 0.1))]
    calibration = calibrate(few, MINE)
    assert calibration.entries == ()
    assert calibration.left_out == {AREA: "1 positive with a probability, 29 needed"}
    assert calibrate([], MINE).shared["recall_90"].at is None
    with pytest.raises(UsageError, match="`often` is no threshold"):
        calibrate(few, MINE, targets=["often"])
