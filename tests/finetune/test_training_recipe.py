"""Recipes of training runs: the shipped ones load, and what would waste a run has its place and reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge.finetune.training_recipe import (
    REFUSED,
    SERVED_RANKS,
    STAGES,
    load_training_recipe,
    parse_training_recipe,
    recipe_named,
)
from llm_judge.policy.shape import keys

HEAD = "schema: 1\nstage: sft\n"


@pytest.mark.parametrize("name", ["sft", "sft-vlm", "dpo", "grpo"])
def test_shipped_recipes_load(name: str) -> None:
    recipe = load_training_recipe(recipe_named(name), name.partition("-")[0])
    assert recipe.rank in SERVED_RANKS
    assert recipe.patience > 0


@pytest.mark.parametrize(
    ("stage", "text", "place", "message", "help_line"),
    [
        ("sft", "schema: 1\nstage: dpo\n", (2, 8), "`stage` cannot be `dpo`", "sft"),
        ("sft", f"{HEAD}rank: 12\n", (3, 7), "vLLM serves no adapter of rank 12", "one of 1, 8, 16"),
        ("sft", f"{HEAD}targets: [q_proj, lm_head]\n", (3, 19), "`lm_head` is no layer", "known"),
        ("sft", f"{HEAD}targets: []\n", (3, 10), "names no layer", "delete"),
        ("sft", f"{HEAD}kinds: [rules]\n", (3, 9), "`rules`", None),
        ("sft", f"{HEAD}weights: {{rules: 1.0}}\n", (3, 11), "`rules` is not known", "did you mean `rule`?"),
        ("sft", f"{HEAD}learning_rate: 2.0\n", (3, 16), "`learning_rate`", "at most 1"),
        ("sft", f"{HEAD}lerning_rate: 0.1\n", (3, 1), "unknown key", "did you mean `learning_rate`?"),
        ("sft", f"{HEAD}beta: 0.1\n", (3, 1), "unknown key `beta`", None),
        ("sft", f"{HEAD}packing: true\n", (3, 1), "pictures cannot be packed", "delete the line"),
        ("sft", f"{HEAD}padding_free: true\n", (3, 1), "pictures need padding", "delete the line"),
        ("sft", f"{HEAD}truncation_mode: keep_end\n", (3, 1), "drops the tokens of pictures", "`max_tokens`"),
        ("sft", f"{HEAD}max_length: 512\n", (3, 1), "`max_length` is not offered", "`max_tokens`"),
        ("dpo", "schema: 1\nstage: dpo\nprecompute_ref_log_probs: true\n", (3, 1), "pictures", "delete"),
        ("dpo", "schema: 1\nstage: dpo\nloss: robust\n", (3, 7), "needs `label_smoothing`", "0.1"),
        (
            "dpo",
            "schema: 1\nstage: dpo\nloss: ipo\nlabel_smoothing: 0.1\n",
            (4, 18),
            "`ipo` knows no `label_smoothing`",
            "delete",
        ),
        ("grpo", "schema: 1\nstage: grpo\nbatch: 6\ngenerations: 4\n", (4, 14), "no multiple", "divisor"),
        ("grpo", "schema: 1\nstage: grpo\ngenerations: 1\n", (3, 14), "`generations`", "at least 2"),
    ],
)
def test_what_would_waste_a_run_is_refused(
    stage: str, text: str, place: tuple[int, int], message: str, help_line: str | None
) -> None:
    recipe, found = parse_training_recipe(text, "my.yaml", stage)
    assert recipe is None
    (one,) = found
    assert (one.span.line, one.span.column) == place
    assert message in one.message
    assert help_line is None or help_line in str(one.help)


def test_nothing_is_both_offered_and_refused() -> None:
    for model in STAGES.values():
        assert not set(keys(model)) & set(REFUSED)


KEY = st.sampled_from(
    ["schema", "stage", "rank", "targets", "weights", "packing", "generations", "loss", "x"]
)
VALUE = st.sampled_from(["1", "sft", "[a]", "{a: 1}", "[[a]]", "{a: [b]}", "true", "-1", "''", "[1]", "0.5"])


@given(
    lines=st.lists(st.tuples(KEY, VALUE), max_size=6) | st.text(max_size=60),
    stage=st.sampled_from(list(STAGES)),
)
def test_whatever_a_file_holds_is_read_or_refused(lines: list[tuple[str, str]] | str, stage: str) -> None:
    text = lines if isinstance(lines, str) else "\n".join(f"{key}: {value}" for key, value in lines)
    recipe, found = parse_training_recipe(text, "my.yaml", stage)
    assert (recipe is None) == bool(found)
