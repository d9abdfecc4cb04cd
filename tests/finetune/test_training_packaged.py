"""One short run of every stage on the packaged model: mechanics on real weights, never quality."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

from tiny_models import data_folder, write_recipe

from llm_judge.engines.convert import converted_model
from llm_judge.finetune.training import Training
from llm_judge.finetune.training_recipe import load_training_recipe

pytestmark = [pytest.mark.model, pytest.mark.filterwarnings("default")]
SHARED: dict[str, Any] = {
    "model": "packaged",
    "batch": 4,
    "dev_rows": 4,
    "watch": "loss",
    "dtype": "bfloat16",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    data_folder(folder / "data", converted_model(), train=24, dev=16)
    return folder


def run(place: Path, stage: str, **settings: Any) -> dict[str, Any]:
    data = str(place / "data")
    recipe = write_recipe(place / f"{stage}.yaml", stage, **(SHARED | {"data": data} | settings))
    return Training(load_training_recipe(recipe, stage), lambda _line: None).run(place / stage, False)


def test_every_stage_runs_on_the_packaged_model(place: Path) -> None:
    sft = run(place, "sft", max_steps=6, evaluate_every=6, learning_rate=0.002)
    assert sft["dev_after"]["loss"] < sft["dev_before"]["loss"] / 2
    start = {"start_from": str(place / "sft"), "max_steps": 2, "evaluate_every": 2, "learning_rate": 0.001}
    dpo = run(place, "dpo", **(start | {"watch": "preference"}))
    assert dpo["dev_before"]["preference"] == pytest.approx(0.6931, abs=0.02)
    assert dpo["learnt"]
    drawn = {"generations": 4, "answer_tokens": 2, "kinds": ["rule", "area"], "temperature": 1.5}
    grpo = run(place, "grpo", **drawn, **start)
    assert grpo["steps"] == 2
    for stage in ("sft", "dpo", "grpo"):
        assert (place / stage / "adapter_model.safetensors").stat().st_size > 1_000_000
