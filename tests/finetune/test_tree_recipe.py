"""Recipes of tree training: the shipped one is right, and what cannot be served is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_judge.errors import PolicyError
from llm_judge.finetune.data_recipe import load_data_recipe
from llm_judge.finetune.labelled import training_policies
from llm_judge.finetune.tree_recipe import load_tree_recipe, tree_recipe


def test_the_shipped_recipes_are_right() -> None:
    assert load_tree_recipe(tree_recipe()).stage == "tree"
    rows = tree_recipe().with_name("shipped-data.yaml")
    assert load_data_recipe(rows, [policy.policy for policy in training_policies()]).languages


@pytest.mark.parametrize(
    ("line", "place"), [("rank: 12", "3:7"), ("epochs: 0", "3:9"), ("stage: sft", "2:8"), ("batch: 4", "3:1")]
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, line: str, place: str) -> None:
    kept = [each for each in ("schema: 1", "stage: tree") if each.partition(":")[0] != line.partition(":")[0]]
    path = tmp_path / "recipe.yaml"
    path.write_text("\n".join([*kept, line]) + "\n", encoding="utf-8")
    with pytest.raises(PolicyError) as caught:
        load_tree_recipe(path)
    (found,) = caught.value.diagnostics
    assert f"{found.span.line}:{found.span.column}" == place
