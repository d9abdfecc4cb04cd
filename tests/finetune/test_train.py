"""The token trees, and a few real steps on a tiny random model (mechanics, never quality)."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llm_judge.finetune import train
from llm_judge.finetune.examples import ExampleBuilder, Pack, save
from llm_judge.finetune.replies import explanation
from llm_judge.finetune.rows import own_rows

torch = pytest.importorskip("torch")

PREFIX = [1, 2, 3]


def small_packs() -> list[Pack]:
    """A content of 2 with questions of 2 and 1, and a content of 1 with an answer of two tokens."""
    first, second = Pack(0), Pack(0)
    first.add([4, 5])
    first.targets.append((first.add([6, 7]) - 1, 9, 0))
    first.targets.append((first.add([8]) - 1, 9, 1))
    second.add([10])
    end = second.add([11, 12])
    second.targets += [(end - 2, 13, 3), (end - 1, 14, 3)]
    return [first, second]


@pytest.fixture
def trees(tmp_path: Path) -> train.Trees:
    save(small_packs(), [PREFIX], tmp_path / "trees.npz")
    return train.Trees(tmp_path / "trees.npz")


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


def test_each_question_sees_its_content_and_itself(trees: train.Trees) -> None:
    seen = (trees.padded([0])["mask"][0, 0] == 0).int().tolist()
    assert seen == [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 0, 0, 1]]


def test_positions_restart_after_the_content(trees: train.Trees) -> None:
    assert trees.padded([0, 1])["positions"].tolist() == [[3, 4, 5, 6, 5], [3, 4, 5, 3, 3]]


def test_targets_name_their_row_place_token_and_kind(trees: train.Trees) -> None:
    rows = trees.padded([0, 1])
    found = [rows[name].tolist() for name in ("row", "place", "target", "kind")]
    assert found == [[0, 0, 1, 1], [3, 4, 1, 2], [9, 9, 13, 14], [0, 1, 3, 3]]


def test_every_row_is_in_one_batch_of_bounded_size(trees: train.Trees) -> None:
    assert sorted(i for batch in trees.batches(10) for i in batch) == [0, 1]
    assert all(len(batch) == 1 for batch in trees.batches(5))
    assert len(trees.batches(5, epochs=1.5)) == 3


def test_a_row_reads_like_whole_prompts_of_its_own(trees: train.Trees) -> None:
    model = tiny_model()
    rows = trees.padded([0, 1])
    rows["mask"] = rows["mask"].float()
    with torch.no_grad():
        together = train.answer_logits(model, rows, train.Prefixes(model, trees, 1).of(0, 0))
        apart = [
            model(torch.tensor([PREFIX + ids])).logits[0, -1] for ids in ([4, 5, 6, 7], [4, 5, 8], [10, 11])
        ]
    assert torch.allclose(together[:3], torch.stack(apart), atol=1e-5)


def test_factors_get_the_gradients_that_autograd_would_give() -> None:
    model = tiny_model()
    lora = train.MergedLora(model, 4, None)
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


def test_auroc_by_hand() -> None:
    truth = np.asarray([True, False, True, False])
    assert train.auroc(truth, np.asarray([0.9, 0.1, 0.4, 0.5])) == 0.75
    assert train.auroc(truth, np.asarray([0.5, 0.5, 0.5, 0.5])) == 0.5
    assert np.isnan(train.auroc(truth[:1], np.asarray([0.9])))


def test_explanations_obey_the_schema_the_judge_uses() -> None:
    builder = ExampleBuilder(random.Random(1))
    rules = {rule.key: rule for variant in builder._variants[:1] for rule in variant.rules}
    for row in own_rows(builder.policies, "train")[:200:5]:
        for key, answer in row.rules.items():
            if key not in rules or (answer == "no" and key != row.about):
                continue
            exemption = row.exemption if answer == "except" else None
            reply = json.loads(explanation(rules[key], answer, exemption, [1]))
            schema = rules[key].schema([1])
            assert list(reply) == list(schema["properties"])
            assert reply["exemption"] in schema["properties"]["exemption"]["enum"]
            assert reply["verdict"] in schema["properties"]["verdict"]["enum"]


def test_a_few_steps_lower_the_loss_and_go_on_from_a_saved_adapter(tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    from llm_judge.engines.tokens import packaged_definition

    (tmp_path / "tokenizer.json").write_text(packaged_definition(), encoding="utf-8")
    PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json")).save_pretrained(tmp_path)
    tiny_model(tmp_path)
    save(small_packs() * 4, [PREFIX], tmp_path / "trees.npz")
    paths = [tmp_path, tmp_path / "trees.npz", tmp_path / "trees.npz", tmp_path / "out"]
    command = [sys.executable, "-m", "llm_judge.finetune.train", *map(str, paths), "--rank", "8"]
    settings = ["--epochs", "8", "--learning-rate", "0.01", "--tokens-per-step", "16", "--warmup", "2"]
    subprocess.run([*command, *settings], check=True, capture_output=True)
    first = json.loads((tmp_path / "out" / "training.json").read_text())["run"]
    assert first["dev_after"]["loss"] < first["dev_before"]["loss"]
    again = [*command, "--start-from", str(tmp_path / "out"), "--epochs", "0.1"]
    subprocess.run(again, check=True, capture_output=True)
    second = json.loads((tmp_path / "out" / "training.json").read_text())["run"]
    assert second["dev_before"]["loss"] == pytest.approx(first["dev_after"]["loss"], abs=0.1)
