"""The token trees, and a few real steps on a tiny random model (mechanics, never quality)."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from llm_judge.finetune import train
from llm_judge.finetune.examples import BODY, BRANCH, PREFIX, ExampleBuilder, Pack, explanation, save
from llm_judge.finetune.rows import own_rows

torch = pytest.importorskip("torch")


def small_pack() -> Pack:
    """Prefix of 3, content of 2 with questions of 2 and 1, then content of 1 with a question of 2."""
    pack = Pack()
    pack.add(PREFIX, -1, [1, 2, 3])
    pack.add(BODY, 0, [4, 5])
    pack.add(BRANCH, 0, [6, 7])
    pack.targets.append((6, 9))
    pack.add(BRANCH, 0, [8])
    pack.targets.append((7, 9))
    pack.add(BODY, 1, [10])
    pack.add(BRANCH, 1, [11, 12])
    pack.targets += [(9, 13), (10, 14)]
    return pack


@pytest.fixture
def trees(tmp_path: Path) -> train.Trees:
    save([small_pack(), small_pack()], tmp_path / "trees.npz")
    return train.Trees(tmp_path / "trees.npz", "cpu")


def test_each_question_sees_the_prefix_its_content_and_itself(trees: train.Trees) -> None:
    seen = (trees.pack(1)["mask"][0, 0] == 0).int().tolist()
    assert seen[6] == [1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0]
    assert seen[7] == [1, 1, 1, 1, 1, 0, 0, 1, 0, 0, 0]
    assert seen[10] == [1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1]


def test_positions_restart_after_each_content(trees: train.Trees) -> None:
    assert trees.pack(0)["positions"][0].tolist() == [0, 1, 2, 3, 4, 5, 6, 5, 3, 4, 5]


def test_one_token_answers_are_told_from_explanations(trees: train.Trees) -> None:
    assert trees.pack(0)["single"].tolist() == [True, True, False, False]


def test_auroc_by_hand() -> None:
    assert train.auroc([True, False, True, False], [0.9, 0.1, 0.4, 0.5]) == 0.75


def test_explanations_obey_the_schema_the_judge_uses() -> None:
    builder = ExampleBuilder(random.Random(1))
    rules = {rule.key: rule for variant in builder._variants[:1] for rule in variant.rules}
    for row in own_rows(builder.rule_keys, builder.area_ids, "train")[:40]:
        for key, answer in row.rules.items():
            if answer == "no" and key != row.about:
                continue
            reply = json.loads(explanation(rules[key], row, [1]))
            schema = rules[key].schema([1])
            assert list(reply) == list(schema["properties"])
            assert reply["exemption"] in schema["properties"]["exemption"]["enum"]
            assert reply["verdict"] in schema["properties"]["verdict"]["enum"]


def test_a_few_steps_lower_the_loss_and_save_an_adapter(tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from llm_judge.engines.tokens import packaged_definition

    (tmp_path / "tokenizer.json").write_text(packaged_definition(), encoding="utf-8")
    PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json")).save_pretrained(tmp_path)
    torch.manual_seed(0)
    size = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=49152, **size)).to(torch.bfloat16).save_pretrained(tmp_path)
    save([small_pack()] * 4, tmp_path / "trees.npz")
    command = [
        sys.executable,
        train.__file__,
        tmp_path,
        tmp_path / "trees.npz",
        tmp_path / "trees.npz",
        tmp_path / "out",
    ]
    settings = ["--frozen-layers", "1", "--epochs", "5", "--learning-rate", "0.01"]
    subprocess.run([*map(str, command), *settings], check=True, capture_output=True)
    run = json.loads((tmp_path / "out" / "training.json").read_text())["run"]
    assert run["dev_after"]["loss"] < run["dev_before"]["loss"]
    assert (tmp_path / "out" / "adapter_model.safetensors").stat().st_size > 1000
    assert np.isfinite(run["dev_after"]["loss"])
