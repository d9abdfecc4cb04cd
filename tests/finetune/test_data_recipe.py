"""The recipe of the training data: the shipped one loads, and every mistake has its place and its fix."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_judge.errors import PolicyError
from llm_judge.finetune.data_recipe import default_recipe, load_data_recipe, parse_data_recipe
from llm_judge.finetune.labelled import training_policies
from llm_judge.finetune.training_rows import Variant

KNOWN = [policy.policy for policy in training_policies()]
HEAD = "schema: 1\nstage: data\n"


def test_the_shipped_recipe_loads_and_uses_every_edit() -> None:
    recipe = load_data_recipe(default_recipe(), KNOWN)
    assert all(recipe.share(variant) > 0 for variant in Variant if variant is not Variant.PLAIN)
    assert recipe.share(Variant.PLAIN) == 0
    assert set(recipe.alike) < {name for name in KNOWN if name.startswith("areas/")}


@pytest.mark.parametrize(
    ("text", "place", "message", "help_line"),
    [
        ("stage: data\n", (1, 1), "missing key `schema`", "add"),
        ("schema: 1\nstage: sft\n", (2, 8), "`stage` cannot be `sft`", "data"),
        (f"{HEAD}per_cel: 3\n", (3, 1), "unknown key `per_cel`", "did you mean `per_cell`?"),
        (f"{HEAD}per_cell: 0\n", (3, 11), "`per_cell`", "at least 1"),
        (f"{HEAD}framed: 1.5\n", (3, 9), "`framed`", "at most 1"),
        (f"{HEAD}variants:\n  inverse: 0.1\n", (4, 3), "`inverse` is not known", "did you mean `inverted`?"),
        (f"{HEAD}variants: {{plain: 0.1}}\n", (3, 12), "`plain` is not known", "known"),
        (f"{HEAD}inject: [order_now]\n", (3, 10), "`order_now` is not known", "did you mean `order_no`?"),
        (f"{HEAD}inject: [order_spoken]\n", (3, 10), "`order_spoken` is not known", None),
        (f"{HEAD}obfuscate: [drawn]\n", (3, 13), "`drawn` is not known", None),
        (f"{HEAD}alike:\n  areas/profanity: [mature/strong]\n", (4, 21), "`mature/strong`", "did you mean"),
        (f"{HEAD}leave_out_policies: [no/such]\n", (3, 22), "`no/such` is not known", None),
        (f"{HEAD}weights: {{areas: 1.0}}\n", (3, 11), "`areas` is not known", "did you mean `area`?"),
    ],
)
def test_a_mistake_has_a_place_and_a_fix(
    text: str, place: tuple[int, int], message: str, help_line: str | None
) -> None:
    recipe, found = parse_data_recipe(text, "my.yaml", KNOWN)
    assert recipe is None
    (one,) = found
    assert (one.span.file, one.span.line, one.span.column) == ("my.yaml", *place)
    assert message in one.message
    assert help_line is None or help_line in str(one.help)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="none"):
        load_data_recipe(tmp_path / "none.yaml", KNOWN)
    (tmp_path / "empty.yaml").touch()
    with pytest.raises(PolicyError):
        load_data_recipe(tmp_path / "empty.yaml", KNOWN)


KEY = st.sampled_from(["schema", "stage", "per_cell", "variants", "inject", "alike", "weights", "x"])
VALUE = st.sampled_from(["1", "data", "[a]", "{a: 1}", "[[a]]", "{a: [b]}", "true", "-1", "''", "[1]"])


@given(lines=st.lists(st.tuples(KEY, VALUE), max_size=6) | st.text(max_size=60))
def test_whatever_a_file_holds_is_read_or_refused(lines: list[tuple[str, str]] | str) -> None:
    text = lines if isinstance(lines, str) else "\n".join(f"{key}: {value}" for key, value in lines)
    recipe, found = parse_data_recipe(text, "my.yaml", KNOWN)
    assert (recipe is None) == bool(found)
