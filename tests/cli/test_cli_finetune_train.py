"""`llm-judge finetune sft`, `dpo` and `grpo`: the plan, and every wrong argument as one clear line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_runs import Run

pytest.importorskip("trl")
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def place(folder: Path) -> Path:
    """A model of no weights with a real tokenizer, and a recipe that names it."""
    from llm_judge.engines.tokens import packaged_definition

    model = folder / "model"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "llama", "max_position_embeddings": 512}')
    (model / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    (model / "tokenizer.json").write_text(packaged_definition())
    (model / "tokenizer_config.json").write_text('{"eos_token": "<|im_end|>"}')
    template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    (model / "chat_template.jinja").write_text(template)
    for stage in ("sft", "dpo", "grpo"):
        text = f"schema: 1\nstage: {stage}\nmodel: model\nmax_tokens: 256\ndata: data\n"
        (folder / f"{stage}.yaml").write_text(text)
    (folder / "data").mkdir()
    (folder / "rows.jsonl").write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("sft", "none.yaml"), "none.yaml"),
        (("sft", "dpo.yaml", "--out", "out"), "dpo.yaml:2:8"),
        (("sft",), "there is no training data"),
        (("sft", "sft.yaml"), "there is no folder to write"),
        (("sft", "sft.yaml", "--out", "out", "--data", "nowhere"), "there is no training data `nowhere`"),
        (("sft", "sft.yaml", "--out", "out", "--model", "nowhere"), "there is no model `nowhere`"),
        (("sft", "sft.yaml", "--out", "out"), "reads.parquet"),
        (("dpo", "dpo.yaml", "--out", "out"), "parquet"),
        (("grpo", "grpo.yaml", "--out", "out"), "parquet"),
        (("sft", "sft.yaml", "--out", "out", "--data", "rows.jsonl"), "`model` takes no pictures"),
        (("dpo", "dpo.yaml", "--out", "out", "--data", "rows.jsonl"), "by `finetune sft` only"),
        (("sft", "long.yaml", "--out", "out"), "the model's context 512"),
    ],
)
def test_a_wrong_argument_is_one_clear_line(
    place: Path, llm_judge: Callable[..., Run], words: tuple[str, ...], message: str
) -> None:
    (place / "long.yaml").write_text((place / "sft.yaml").read_text().replace("256", "4096"))
    done = llm_judge("finetune", *words)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert not (place / "out").exists()


def test_a_missing_library_is_named(
    place: Path, llm_judge: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)
    done = llm_judge("finetune", "sft", "sft.yaml", "--out", "out")
    assert done.code == 2
    assert "training needs trl" in done.err
    assert "llm-judge[train]" in done.err


def test_a_plan_trains_nothing(tmp_path: Path, folder: Path, llm_judge: Callable[..., Run]) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "finetune"))
    try:
        from tiny_models import data_folder, tiny_llama, write_recipe
    finally:
        sys.path.pop(0)
    model = tiny_llama(folder / "model")
    recipe = write_recipe(
        folder / "my.yaml", "sft", model=str(model), data=str(data_folder(folder / "data", model))
    )
    done = llm_judge("finetune", "sft", recipe, "--out", "out", "--plan")
    assert done.code == 0
    assert "weights are trained" in done.out
    assert "time: about" in done.out
    assert "nothing was trained" in done.out
    assert not (folder / "out").exists()
