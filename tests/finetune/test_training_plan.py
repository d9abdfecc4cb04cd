"""What a run will take: counts that can be checked by hand, and words for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

from tiny_models import RECIPE, tiny_llama

from llm_judge.finetune.base_model import BaseModel
from llm_judge.finetune.token_rows import Rows
from llm_judge.finetune.training_plan import in_words, plan, size_of, steps_of
from llm_judge.finetune.training_recipe import Recipe, parse_training_recipe


def recipe(stage: str = "sft", **settings: Any) -> Recipe:
    found, _ = parse_training_recipe(json.dumps(RECIPE | {"stage": stage} | settings), "my.yaml", stage)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    return BaseModel.of(str(tiny_llama(tmp_path_factory.mktemp("model"))))


@pytest.mark.parametrize(
    ("settings", "processes", "steps"),
    [
        ({"batch": 10}, 1, 10),
        ({"batch": 10}, 2, 5),
        ({"batch": 16}, 1, 7),
        ({"batch": 10, "accumulation": 3}, 1, 4),
        ({"batch": 10, "epochs": 2.5}, 1, 25),
        ({"batch": 10, "epochs": 9.0, "max_steps": 11}, 1, 11),
    ],
)
def test_steps(settings: dict[str, Any], processes: int, steps: int) -> None:
    assert steps_of(recipe(**settings), 100, processes) == steps


def test_steps_of_drawn_answers() -> None:
    assert steps_of(recipe("grpo", batch=8, generations=4), 100, 1) == 50


def test_weights_are_counted_without_making_any(base: BaseModel) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base.folder)
    size = size_of(base, recipe())
    assert size.all == sum(weight.numel() for weight in model.parameters())
    # Two layers: q and o 64 by 64, k and v 64 by 32, gate, up and down 64 by 96.
    assert size.adapter == 2 * 8 * (2 * 128 + 2 * 96 + 3 * 160)


def test_more_rows_take_longer_and_longer_rows_more_memory(base: BaseModel) -> None:
    def of(lengths: list[int], **settings: Any) -> Any:
        rows = Rows(None, ["rule"] * len(lengths), lengths)
        return plan(recipe(**settings), base, rows, Rows(None, ["rule"], [10]))

    small, long = of([100] * 64), of([400] * 64)
    assert long.memory["activations"] == 4 * small.memory["activations"]
    assert of([400] * 64, gradient_checkpointing=True).memory["activations"] < small.memory["activations"]
    assert of([100] * 6400).seconds > 10 * small.seconds
    assert any("64 rows of 6,400 tokens" in line for line in small.lines())


def test_what_does_not_fit_is_said(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_judge.finetune.training_plan._free", lambda _gpu: 1e6)
    found = plan(recipe(), base, Rows(None, ["rule"], [10]), Rows(None, ["rule"], [10]))
    assert "may not fit" in found.lines()[-1]


def test_time_in_words() -> None:
    assert [in_words(seconds) for seconds in (0.4, 50, 240, 7800)] == ["0 s", "50 s", "4 min", "2 h 10 min"]


def test_a_model_that_is_none_is_said(tmp_path: Path) -> None:
    from llm_judge.errors import UsageError

    with pytest.raises(UsageError, match="there is no model"):
        BaseModel.of(str(tmp_path / "none"))
    with pytest.raises(UsageError, match="holds no model"):
        BaseModel.of(str(tmp_path))
