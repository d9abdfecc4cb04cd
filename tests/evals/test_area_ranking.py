"""Areas alone: what becomes of an area's own probability, and what an item is said to cost."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from labelled_items import eval_item

from llm_judge.evals.area_ranking import item_tokens, ranked
from llm_judge.evals.recall import Answered
from llm_judge.verdict import AreaAnswer, Thresholds

THRESHOLDS = Thresholds(fires_at=0.7, clear_below=0.2, min_label_mass=0.5, area_gate=0.2)


@pytest.mark.parametrize(
    ("probability", "mass", "outcome"),
    [
        (0.7, 1.0, "violates"),
        (0.69, 1.0, "abstain"),
        (0.2, 1.0, "abstain"),
        (0.19, 1.0, "clear"),
        (0.9, 0.4, "abstain"),  # the model did not follow the answer format
        (None, 1.0, "unreadable"),
    ],
)
def test_the_thresholds_decide_what_an_area_says(
    probability: float | None, mass: float, outcome: str
) -> None:
    area = AreaAnswer("garden/plants", probability, mass, True)
    found = ranked(
        eval_item("x", "Hm."),
        Answered("0" * 64, (area,), None, 1.0, 2.0),
        THRESHOLDS,
        whole=True,
        cached=False,
    )
    assert [answer.outcome for answer in found.answers] == [outcome, outcome]  # the item, and its only area
    assert found.action == "none"


def test_a_prefix_is_no_part_of_what_an_item_costs() -> None:
    engine = SimpleNamespace(tokens_computed=150, prefix_tokens=100)
    assert item_tokens(engine) == 50  # type: ignore[arg-type]
    assert item_tokens(SimpleNamespace()) == 0  # type: ignore[arg-type]
