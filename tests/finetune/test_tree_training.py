"""The token trees, and a few real steps on a tiny random model (mechanics, never quality)."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tree_rows import asked, write_rows_folder

from llm_judge.engines.tokens import packaged_definition
from llm_judge.finetune import tree_training as train
from llm_judge.finetune.merged_lora import MergedLora
from llm_judge.finetune.trees import EXPLANATION, Pack, Trees

torch = pytest.importorskip("torch")

PREFIX = [1, 2, 3]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)


def small_packs() -> list[Pack]:
    """A content of 2 with questions of 2 and 1, and a content of 1 with an answer of two tokens."""
    first, second = Pack(0), Pack(0)
    first.add([4, 5])
    first.aim(first.add([6, 7]) - 1, 9, 0)
    first.aim(first.add([8]) - 1, 9, 1)
    second.add([10])
    end = second.add([11, 12])
    second.aim(end - 2, 13, EXPLANATION)
    second.aim(end - 1, 14, EXPLANATION)
    return [first, second]


@pytest.fixture
def trees() -> Trees:
    return Trees(small_packs(), [PREFIX])


def tiny_model(folder: Path | None = None) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    train.register_attention()
    size = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=49152, num_key_value_heads=2, attn_implementation=train.ATTENTION, **size)
    model = LlamaForCausalLM(config).eval()
    if folder:
        model.to(torch.bfloat16).save_pretrained(folder)
    return model


def test_a_row_reads_like_whole_prompts_of_its_own(trees: Trees) -> None:
    model = tiny_model()
    rows = trees.padded([0, 1])
    rows["mask"] = rows["mask"].float()
    with torch.no_grad():
        together = train.answer_logits(model, rows, train.Prefixes(model, trees).of(0))
        apart = [
            model(torch.tensor([PREFIX + ids])).logits[0, -1] for ids in ([4, 5, 6, 7], [4, 5, 8], [10, 11])
        ]
    assert torch.allclose(together[:3], torch.stack(apart), atol=1e-5)


def test_factors_get_the_gradients_that_autograd_would_give() -> None:
    model = tiny_model()
    lora = MergedLora(model, 4, None)
    number = lora._names.index("model.layers.1.mlp.up_proj")
    a, b = lora._a[number], lora._b[number]
    with torch.no_grad():
        b.normal_()
    lora.merge()
    model(torch.tensor([[1, 2, 3]])).logits.square().mean().backward()
    change = lora._weights[number].grad.clone()
    lora.collect_gradients()
    found = a.grad.clone(), b.grad.clone()
    expected = torch.autograd.grad((lora.scale * (b @ a) * change).sum(), (a, b))
    assert lora._weights[number].grad is None
    assert all(torch.allclose(one, other, rtol=1e-4) for one, other in zip(found, expected, strict=True))


def test_the_loss_weighs_explanations_and_adds_up_over_batches(trees: Trees) -> None:
    model = tiny_model()
    model.lm_head.weight.data *= 100  # so that answers differ in how likely they are
    model.to(torch.bfloat16)
    prefixes = train.Prefixes(model, trees)
    alone = [train.step_loss(model, trees, [[number]], prefixes, 1.0) for number in (0, 1)]
    # Two answers of questions weigh 1 each, two tokens of an explanation as much as is said.
    assert abs(alone[0] - alone[1]) > 0.5
    for weight in (0.0, 0.25, 1.0):
        together = train.step_loss(model, trees, [[0], [1]], prefixes, weight)
        expected = (2 * alone[0] + 2 * weight * alone[1]) / (2 + 2 * weight)
        assert together == pytest.approx(expected, rel=0.01)


def test_auroc_by_hand() -> None:
    truth = np.asarray([True, False, True, False])
    assert train.auroc(truth, np.asarray([0.9, 0.1, 0.4, 0.5])) == 0.75
    assert train.auroc(truth, np.asarray([0.5, 0.5, 0.5, 0.5])) == 0.5
    assert np.isnan(train.auroc(truth[:1], np.asarray([0.9])))


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Trains a tiny model on a few compiled rows; returns what was written about it."""
    model, rows = tmp_path / "model", tmp_path / "rows"
    tiny_model(model)
    (model / "tokenizer.json").write_text(packaged_definition(), encoding="utf-8")
    (model / "tokenizer_config.json").write_text('{"eos_token": "<|im_end|>"}', encoding="utf-8")
    (model / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    write_rows_folder(rows, [asked("yes"), asked("no", "Is it blue?")] * 8)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "schema: 1\nstage: tree\nlearning_rate: 0.01\ntokens_per_step: 64\nwarmup_steps: 2\nprefix_steps: 1\n"
        "rank: 8\ndev_answers: 16\n",
        encoding="utf-8",
    )

    def start(out: str, *more: str, kill: bool = False) -> Any:
        command = [sys.executable, "-m", "llm_judge", "finetune", "tree", str(recipe), "--model", str(model)]
        command += ["--data", str(rows), "--out", str(tmp_path / out), *more]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        standing = tmp_path / out / "checkpoints" / "standing"
        while kill and not standing.exists() and process.poll() is None:
            time.sleep(0.005)
        if kill:
            process.kill()
        _, errors = process.communicate()
        if kill:
            return None
        assert process.returncode == 0, errors
        return json.loads((tmp_path / out / "training.json").read_text())

    return start


def test_steps_lower_the_loss_and_another_run_starts_from_the_adapter(run: Any, tmp_path: Path) -> None:
    first = run("one", "--epochs", "16")
    assert first["dev_after"]["loss"] < first["dev_before"]["loss"]
    second = run("two", "--start-from", str(tmp_path / "one"), "--epochs", "0.5")
    assert second["dev_before"]["loss"] == pytest.approx(first["dev_after"]["loss"], abs=0.1)


def test_a_killed_run_goes_on_to_the_same_losses(run: Any) -> None:
    whole = run("whole", "--epochs", "30")
    run("killed", "--epochs", "30", kill=True)
    assert run("killed", "--epochs", "30", "--resume")["losses"] == whole["losses"]


def test_layers_under_the_first_stay_as_they_are() -> None:
    model = tiny_model()
    lora = MergedLora(model, 4, None, first_layer=1)
    model(torch.tensor([[1, 2, 3]])).logits.square().mean().backward()
    lora.collect_gradients()
    assert len(lora.factors) == 2 * 7
    assert all(factor.grad is not None for factor in lora.factors)
    assert model.model.layers[0].mlp.up_proj.weight.grad is None
