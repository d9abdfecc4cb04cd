"""The loss on answers against the libraries' own, and the order of rows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from tiny_models import tiny_llama  # noqa: E402

from llm_judge.finetune.answer_loss import (  # noqa: E402
    LengthBuckets,
    WeightedCollator,
    answer_log_probs,
    total_weight,
    weighted_loss,
)
from llm_judge.finetune.token_rows import IGNORED  # noqa: E402

ROWS = [
    {"input_ids": [1, 5, 6, 7, 8, 2], "labels": [IGNORED] * 4 + [8, 2], "weight": 1.0},
    {"input_ids": [1, 5, 9, 2], "labels": [IGNORED] * 2 + [9, 2], "weight": 0.25},
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_llama(tmp_path_factory.mktemp("model"))).eval()


@pytest.fixture
def batch() -> dict[str, Any]:
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    return WeightedCollator(DataCollatorForLanguageModeling(pad_token_id=0))(ROWS)


def test_equal_weights_give_the_loss_of_the_libraries(model: Any, batch: dict[str, Any]) -> None:
    plain = {name: value for name, value in batch.items() if name != "weight"}
    batch["weight"] = torch.ones(2)
    loss, weight = weighted_loss(model, batch)
    assert weight == 4 == total_weight(batch)
    assert torch.allclose(loss / weight, model(**plain).loss, atol=1e-5)


def test_each_row_counts_by_its_weight(model: Any, batch: dict[str, Any]) -> None:
    alone = []
    for row in ROWS:
        ids = torch.tensor([row["input_ids"]])
        alone.append(model(input_ids=ids, labels=torch.tensor([row["labels"]])).loss * 2)
    loss, weight = weighted_loss(model, batch)
    assert torch.allclose(loss, alone[0] + 0.25 * alone[1], atol=1e-5)
    assert weight == pytest.approx(2.5)
    assert total_weight(batch) == pytest.approx(2.5)


def test_answers_are_named_by_row(model: Any, batch: dict[str, Any]) -> None:
    log_probs, targets, rows = answer_log_probs(model, batch)
    assert targets.tolist() == [8, 2, 9, 2]
    assert rows.tolist() == [0, 0, 1, 1]
    assert torch.allclose(log_probs.exp().sum(-1), torch.ones(4), atol=1e-4)


@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=300),
    step=st.integers(1, 9),
    seed=st.integers(0, 9),
)
def test_every_row_is_seen_once_whatever_the_lengths(lengths: list[int], step: int, seed: int) -> None:
    assert sorted(LengthBuckets(lengths, step, seed)) == list(range(len(lengths)))


def test_steps_have_rows_of_like_length() -> None:
    lengths = [number * 7 % 101 for number in range(1000)]
    order = list(LengthBuckets(lengths, 10, 1))
    spread = [
        max(lengths[row] for row in order[at : at + 10]) - min(lengths[row] for row in order[at : at + 10])
        for at in range(0, 1000, 10)
    ]
    assert sum(spread) / len(spread) < 5  # any ten rows: about 80


def test_the_order_depends_on_seed_and_epoch_only() -> None:
    lengths = list(range(100))
    first = LengthBuckets(lengths, 4, 1)
    orders = [list(first)]
    first.set_epoch(1)
    orders.append(list(first))
    assert orders[0] != orders[1]
    assert orders[1] == list(LengthBuckets(lengths, 4, 1, epoch=1))
    assert orders[0] != list(LengthBuckets(lengths, 4, 2))
