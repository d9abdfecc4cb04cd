"""A run at calibrated thresholds: by hand, with what stands in, and only where the calibration belongs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from outcome_rows import AREA, answer, item, table
from samples import make_calibration, make_entry

from llm_judge.calibration import Calibration
from llm_judge.errors import UsageError
from llm_judge.evals.calibrated import calibrated_data, data_digest, identity_of_run
from llm_judge.evals.eval_report import report_data, to_html, to_markdown
from llm_judge.evals.outcomes import Kind
from llm_judge.evals.run_data import RunData

pytest.importorskip("sklearn")

JUDGE = {
    "policy_digest": "p" * 64,
    "prompt_digest": "t" * 64,
    "model_digest": "m" * 64,
    "adapter_digest": None,
}
# At 0.6: two of three flagged are right, two of three violating are caught.
ROWS = ((True, 0.9), (True, 0.6), (True, 0.3), (False, 0.8), (False, 0.2), (None, 0.99))
RUN = RunData("mine", {"judge": JUDGE}, tuple(table(*ROWS)))
CALIBRATION = make_calibration(
    make_entry(AREA, recall_90=0.6, precision_95=None), shared={"recall_90": 0.85, "precision_95": 0.9}
)


def rows_of(run: RunData, calibration: Calibration) -> dict[tuple[str, str], dict[str, Any]]:
    found = calibrated_data(run, calibration, draws=0)
    return {(row["key"], row["threshold"]): row for row in found["thresholds"]}


def values(row: dict[str, Any]) -> list[float | None]:
    return [row["metrics"][name]["value"] for name in ("precision", "recall", "f1")]


def test_counts_by_hand_at_a_threshold_that_was_not_chosen_here() -> None:
    row = rows_of(RUN, CALIBRATION)[AREA, "recall_90"]
    assert (row["at"], row["own"], row["n"], row["positives"]) == (0.6, True, 5, 3)
    assert values(row) == pytest.approx([2 / 3] * 3, abs=1e-4)


def test_a_threshold_that_was_not_reached_is_missing_with_its_reason() -> None:
    row = rows_of(RUN, CALIBRATION)[AREA, "precision_95"]
    assert row["at"] is None  # its own, and not that over all areas
    assert values(row) == [None] * 3
    assert row["metrics"]["f1"]["reason"] == "the best lower bound is 0.50"


def test_what_is_over_all_areas_stands_in_for_an_area_and_never_for_a_rule() -> None:
    rule = replace(answer(True, 0.9), kind=Kind.RULE, key=f"{AREA}#HS1")
    run = replace(RUN, outcomes=(item(1, answer(True, 0.2), rule),))
    found = rows_of(run, make_calibration(shared={"recall_90": 0.85}))
    assert list(found) == [(AREA, "recall_90")]
    assert found[AREA, "recall_90"]["own"] is False
    assert values(found[AREA, "recall_90"])[1] == 1.0  # its likeliest rule counts, not the area's own 0.2
    own = rows_of(run, make_calibration(make_entry(f"{AREA}#HS1", recall_90=0.95)))
    assert own == {}  # names are those of the thresholds over all areas
    named = make_calibration(make_entry(f"{AREA}#HS1", recall_90=0.95), shared={"recall_90": 0.1})
    assert values(rows_of(run, named)[f"{AREA}#HS1", "recall_90"])[1] == 0.0


def test_what_was_not_asked_or_not_read_is_a_miss() -> None:
    closed = replace(answer(True, 0.9), kind=Kind.RULE, key=f"{AREA}#HS1", asked=False)
    run = replace(RUN, outcomes=(item(1, answer(True, 0.9), closed), item(2, answer(True, None))))
    row = rows_of(run, make_calibration(shared={"recall_90": 0.0}))[AREA, "recall_90"]
    assert values(row)[1] == 0.0


def test_it_says_where_it_was_fitted_on_these_very_rows() -> None:
    def fitted_on(data: str | None) -> Any:
        identity = CALIBRATION.identity.model_copy(update={"data": data})
        return calibrated_data(RUN, CALIBRATION.model_copy(update={"identity": identity}), draws=0)[
            "fitted_on"
        ]

    assert fitted_on(data_digest(RUN.outcomes)) == "these"
    assert fitted_on("d" * 64) == "others"
    assert fitted_on(None) == "unknown"


def test_a_report_shows_them_or_says_why_not() -> None:
    fitted = CALIBRATION.identity.model_copy(update={"data": data_digest(RUN.outcomes)})
    shown = report_data(RUN, [], {}, calibration=CALIBRATION.model_copy(update={"identity": fitted}), draws=0)
    text = to_markdown(shown)
    assert "Areas and rules (fitted on these rows)" in text.replace("\\", "")
    assert "not reached" in text
    assert "At calibrated thresholds" in to_html(shown)
    other = report_data(RUN, [], {}, calibration=CALIBRATION, draws=0)
    assert "fitted on these rows)" not in to_markdown(other)
    assert "no calibration was given" in to_markdown(report_data(RUN, [], {}, draws=0))


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ({}, "`mine` was not answered by a judge"),
        ({"judge": None}, "`mine` was not answered by a judge"),
        ({"judge": JUDGE, "options": {"ask": "areas"}}, "asked areas only"),
        ({"judge": {**JUDGE, "model_digest": 3}}, "the manifest of `mine` holds no model digest"),
        ({"judge": {**JUDGE, "prompt_digest": "x"}}, "made for another prompt"),
    ],
)
def test_only_where_it_belongs(manifest: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        calibrated_data(replace(RUN, manifest=manifest), CALIBRATION, draws=0)


def test_digests_of_run_and_data() -> None:
    assert identity_of_run(RUN).data == data_digest(RUN.outcomes)
    first = table((True, 0.9), (None, 0.1))
    assert data_digest(first) == data_digest(table((True, 0.2), (None, 0.8))[::-1])
    assert data_digest(first) != data_digest(table((False, 0.9), (None, 0.1)))
    assert data_digest(first) != data_digest([item(0, answer(True, 0.9), item="set:other")])


def test_an_empty_run_has_no_rows() -> None:
    found = calibrated_data(replace(RUN, outcomes=()), CALIBRATION, draws=10)
    assert (found["thresholds"], found["probabilities"]) == ([], [])
