"""Calibration: it mends what is wrong, counts what a ladder compares, and is refused elsewhere."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outcome_rows import AREA, answer, drawn, item, table

from llm_judge.decision import UNCALIBRATED, check_thresholds
from llm_judge.engines.protocol import EngineInfo
from llm_judge.errors import OutputError, UsageError
from llm_judge.evals.calibrate import calibrate, ladder_score, recalibrated
from llm_judge.evals.calibration import (
    Identity,
    Method,
    data_digest,
    identity_of,
    load_calibration,
    write_calibration,
)
from llm_judge.evals.cells import CellKey, Dimension
from llm_judge.evals.metrics import measure
from llm_judge.evals.outcomes import Kind
from llm_judge.record import RunIdentity

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


def ece(outcomes: list[ItemOutcome]) -> float:
    (cell,) = measure(outcomes, [Dimension.OVERALL], draws=0)
    assert cell.at == CellKey(Kind.AREA, AREA)
    return cell.metrics["ece"].value or 0.0


@pytest.mark.parametrize("method", Method)
def test_it_mends_probabilities_on_rows_it_has_not_seen(method: Method) -> None:
    calibration = calibrate(overconfident(3000), MINE, method=method)
    unseen = overconfident(2000, seed=1)
    assert ece(unseen) > 0.1
    assert ece(recalibrated(unseen, calibration)) < 0.05


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
    assert set(calibration.shared) == set(UNCALIBRATED)
    assert set(calibration.mapping()) == set(calibration.mapping(AREA)) == set(UNCALIBRATED)
    check_thresholds([], calibration.mapping())
    assert calibration.mapping() == calibration.mapping(AREA)  # one area only: pooled is the same
    (entry,) = calibration.entries
    assert entry.band is not None and entry.band.clear_below <= entry.band.fires_at


def test_a_threshold_that_is_not_reached_is_left_out_of_the_mapping() -> None:
    noise = drawn(300, sharpness=0.0)
    calibration = calibrate(noise, MINE)
    assert set(calibration.mapping()) <= {"recall_90", "recall_95"}
    assert calibration.shared["precision_95"].reason.startswith("no threshold shows a precision of 0.95")
    assert calibration.entries[0].band is None
    assert recalibrated(noise, calibration)[0].answers[0].outcome == noise[0].answers[0].outcome


def test_a_band_decides_again() -> None:
    outcomes = drawn(1500, sharpness=5.0)
    (entry,) = calibrate(outcomes, MINE).entries
    band = entry.band
    for before, after in zip(outcomes, recalibrated(outcomes, calibrate(outcomes, MINE)), strict=True):
        read = before.answers[0].probability
        expected = "violates" if read >= band.fires_at else "clear" if read < band.clear_below else "abstain"
        assert after.answers[0].outcome == expected


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
    assert calibration.left_out == {f"area {AREA}": "1 positive with a probability, 29 needed"}
    with pytest.raises(UsageError, match=r"no thresholds for `safety/hate`: 1 positive"):
        calibration.mapping(AREA)
    with pytest.raises(UsageError, match="no thresholds for `safety/other`: it was not calibrated"):
        calibration.mapping("safety/other")
    assert calibrate([], MINE).shared["recall_90"].at is None
    with pytest.raises(UsageError, match="`often` is no threshold"):
        calibrate(few, MINE, targets=["often"])


@pytest.mark.parametrize("method", Method)
def test_a_file_gives_back_what_was_written(tmp_path: Path, method: Method) -> None:
    path = tmp_path / "calibration.json"
    write_calibration(FITTED[method], path)
    assert load_calibration(path, MINE) == FITTED[method]
    assert load_calibration(path, MINE.model_copy(update={"data": None})) == FITTED[method]
    assert [each.name for each in tmp_path.iterdir()] == ["calibration.json"]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"policy": "q" * 64}, "made for another policy: policy `pppppppppppp`, not `qqqqqqqqqqqq`"),
        ({"prompt": "q"}, "made for another prompt"),
        ({"model": "q"}, "made for another model"),
        ({"adapter": "a" * 64}, "made for another adapter: adapter none, not `aaaaaaaaaaaa`"),
        ({"data": "q"}, "made for another data"),
        ({"policy": "q", "model": "q"}, "made for another policy and model: policy"),
    ],
)
def test_a_calibration_of_something_else_is_refused(
    tmp_path: Path, other: dict[str, str], message: str
) -> None:
    path = tmp_path / "calibration.json"
    write_calibration(FITTED[Method.TEMPERATURE], path)
    with pytest.raises(UsageError, match=message) as refused:
        load_calibration(path, MINE.model_copy(update=other))
    assert "calibrate again" in (refused.value.hint or "")


def broken(change: dict[str, Any]) -> str:
    data = FITTED[Method.ISOTONIC].model_dump(mode="json", by_alias=True)
    data["entries"][0].update(change)
    return json.dumps(data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no calibration: the file: invalid json"),
        ("[]", "is no calibration: the file"),
        ('{"schema": 2}', "is no calibration: schema"),
        (broken({"thresholds": {"recall_90": {"at": 1.5}}}), r"thresholds.recall_90.at"),
        (broken({"knots": [0.5, 0.5], "values": [0.1, 0.2]}), "knots must rise"),
        (broken({"method": "temperature", "temperature": None}), "a temperature is missing"),
        (broken({"extra": 1}), "entries.0.extra"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=message) as refused:
        load_calibration(path, MINE)
    assert "\n" not in refused.value.message


def test_a_file_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: no such file"):
        load_calibration(tmp_path / "none.json", MINE)
    with pytest.raises(UsageError, match="cannot be read: is a directory"):
        load_calibration(tmp_path, MINE)
    with pytest.raises(OutputError, match=r"cannot write .*: no such file"):
        write_calibration(FITTED[Method.TEMPERATURE], tmp_path / "none" / "calibration.json")


def test_digests_of_run_and_data() -> None:
    run = RunIdentity("p", "t", "s", EngineInfo("local", "name", "m", "a", "bfloat16", 8192))
    assert identity_of(run, "d") == Identity(policy="p", prompt="t", model="m", adapter="a", data="d")
    first = table((True, 0.9), (None, 0.1))
    assert data_digest(first) == data_digest(table((True, 0.2), (None, 0.8))[::-1])
    assert data_digest(first) != data_digest(table((False, 0.9), (None, 0.1)))
    assert data_digest(first) != data_digest([item(0, answer(True, 0.9), item="set:other")])
