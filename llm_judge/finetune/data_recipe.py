"""The recipe of the training data: strict YAML in, typed settings out, every mistake with its place.

Knows nothing about other stages' recipes or how data is made.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from llm_judge.evals import inject, perturb
from llm_judge.finetune.recipe_file import load_recipe, parse_recipe
from llm_judge.finetune.training_rows import Kind, Variant
from llm_judge.policy.model import Node
from llm_judge.policy.shape import suggestion
from llm_judge.resources import content_folder
from llm_judge.source import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from llm_judge.diagnostics import Diagnostic
    from llm_judge.evals.perturb_family import Family
    from llm_judge.source import Source, SourceNode

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class DataRecipe(Node):
    """What one data recipe holds; ``finetune/README.md`` explains every key.

    Attributes:
        model: packaged model, or the folder of one, whose tokenizer counts and whose control tokens are kept
            out of contents.
        data, out: folders; options of the command go before them.
        per_cell, dev_per_cell: rows of each source, language and set of answers.
        languages: only rows in these, as `en`; all where none is named.
        own_rows: rows written for this project, of each split, at most.
        whole_policy: share of the rows that stand behind all the shipped guidelines, as they do by default.
        alike: area that no label map knows → areas it is made of.
        variants: edit or attack → share of the rows it can be applied to.
        weights: kind → weight of its rows.
    """

    schema_version: Annotated[Literal[1], Field(alias="schema")]
    stage: Literal["data"]
    model: Name = "smollm2-135m-instruct"
    data: Name | None = None
    out: Name | None = None
    seed: Annotated[int, Field(ge=0)] = 1
    per_cell: Count = 250
    dev_per_cell: Count = 8
    languages: tuple[Name, ...] = ()
    own_rows: Annotated[int, Field(ge=0, le=1_000_000)] = 1_000_000
    agreement_at_least: Share = 0.66
    content_tokens: Annotated[int, Field(ge=16, le=8_192)] = 320
    leave_out: tuple[Name, ...] = ()
    leave_out_policies: tuple[Name, ...] = ()
    alike: dict[str, tuple[Name, ...]] = Field(default_factory=dict)
    deals: Annotated[int, Field(ge=1, le=100)] = 6
    areas_of_a_prompt: Annotated[int, Field(ge=1, le=64)] = 6
    whole_policy: Share = 0.0
    other_areas: Annotated[int, Field(ge=0, le=64)] = 3
    other_rules: Share = 0.15
    framed: Share = 0.3
    explained: Share = 0.15
    variants: dict[str, Share] = Field(default_factory=dict)
    inject: tuple[Name, ...] = ("order_no",)
    obfuscate: tuple[Name, ...] = ("casing",)
    answer_ratio: Annotated[float, Field(ge=1, le=1_000)] = 2.0
    single_answer: Count = 60
    per_area_language: Count = 1_500
    pairs: Annotated[int, Field(ge=0, le=1_000_000)] = 2_000
    weights: dict[str, Annotated[float, Field(ge=0, le=1_000)]] = Field(default_factory=dict)

    def share(self, variant: Variant) -> float:
        """How often an edit or attack is made; 0 where the recipe does not name it."""
        return self.variants.get(variant.value, 0.0)


def default_recipe() -> Path:
    """The recipe that ships with the project."""
    return content_folder("finetune") / "recipes" / "data.yaml"


def load_data_recipe(path: Path, policies: Collection[str]) -> DataRecipe:
    """Read a recipe.

    Args:
        path: the file.
        policies: ids of the policies it may name.

    Raises:
        PolicyError: it is wrong or cannot be read; ``diagnostics`` holds every problem, in file order.
    """
    return load_recipe(path, DataRecipe, lambda tree, source: _names(tree, source, policies))


def parse_data_recipe(
    text: str, file: str, policies: Collection[str]
) -> tuple[DataRecipe | None, list[Diagnostic]]:
    """Read a recipe from text; None where anything is wrong, and every problem in file order."""
    return parse_recipe(text, file, DataRecipe, lambda tree, source: _names(tree, source, policies))


def _names(tree: SourceNode, source: Source, policies: Collection[str]) -> Iterator[Diagnostic]:
    """Names of things that do not exist."""
    variants = [variant.value for variant in Variant if variant is not Variant.PLAIN]
    lists = {
        "leave_out_policies": policies,
        "inject": _of_texts(inject.FAMILIES),
        "obfuscate": _of_texts(perturb.FAMILIES),
    }
    blocks = {"variants": variants, "weights": [kind.value for kind in Kind], "alike": policies}
    for key, known in (lists | blocks).items():
        block = tree.get(key)
        if block is None:
            continue
        named = [name for name, _ in block.entries] if key in blocks else list(block.items)
        if key == "alike":
            named += [item for _, value in block.entries for item in value.items]
        for node in named:
            if node.text and node.text not in known:
                message = f"{quoted(node.text)} is not known under `{key}`"
                yield source.error("P003", node.span, message, suggestion(node.text, sorted(known), "known"))


def _of_texts(families: Mapping[str, Family]) -> list[str]:
    return [name for name, family in families.items() if family.medium is None]
