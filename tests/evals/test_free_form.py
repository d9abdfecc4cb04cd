"""The free-form judge's yes and no beside what is true; what cannot be read is never clear."""

from __future__ import annotations

import pytest
from labelled_items import eval_item

from llm_judge.evals.free_form import _outcome
from llm_judge.evals.outcomes import Kind

A, B = "garden/plants", "market/sales"


@pytest.mark.parametrize(
    ("said", "whole", "action"),
    [
        ({A: True, B: None}, "violates", "review"),
        ({A: False, B: False}, "clear", "allow"),
        ({A: False, B: None}, "unreadable", "review"),
        ({A: None, B: None}, "unreadable", "review"),
    ],
)
def test_one_area_is_enough_and_no_needs_all(said: dict[str, bool | None], whole: str, action: str) -> None:
    item = eval_item("x", "Rain.", areas={A: True}, harmful=True)
    found = _outcome(item, "0a", said, 1.0, 5, None)
    assert (found.answers[0].kind, found.answers[0].outcome, found.action) == (Kind.ITEM, whole, action)
    by_area = {answer.key: answer for answer in found.answers[1:]}
    assert (by_area[A].truth, by_area[B].truth) == (True, None)
    assert all((one.probability is None) == (said[key] is None) for key, one in by_area.items())
