"""Recipes of `llm-judge finetune tree`: strict YAML in, typed settings out.

Knows nothing about how training is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from llm_judge.finetune.recipe_file import load_recipe
from llm_judge.finetune.training_recipe import PACKAGED, SERVED_RANKS, Count, Name, Positive, Rate, Share
from llm_judge.policy.model import Node
from llm_judge.resources import content_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llm_judge.diagnostics import Diagnostic
    from llm_judge.source import Source, SourceNode


class TreeRecipe(Node):
    """Training of a small text model on a CPU, on token trees.

    Attributes:
        model, start_from, data, out: as for the other stages.
        rank: of the LoRA adapter on every linear layer; its change is scaled by 2.
        first_layer: layers under it keep the factors they start with.
        learning_rate: the highest, reached after ``warmup_steps``; half a cosine leads to ``end_rate`` of it.
        tokens_per_step: of contents and questions, padding included; prefixes are not counted.
        epochs: a part of one takes a part of its steps.
        max_steps: 0 is no limit.
        prefix_steps: steps for which a computed prefix is reused.
        explanation_weight: of each token of an explanation; the answer to a question counts 1.
        dev_answers: measured before and after, at least.
    """

    schema_version: Annotated[Literal[1], Field(alias="schema")]
    stage: Literal["tree"]
    model: Name = PACKAGED
    start_from: Name | None = None
    data: Name | None = None
    out: Name | None = None
    seed: Annotated[int, Field(ge=0, le=2**31)] = 1
    rank: int = 16
    first_layer: Annotated[int, Field(ge=0, le=10_000)] = 0
    learning_rate: Rate = 8e-4
    end_rate: Share = 0.05
    warmup_steps: Count = 20
    tokens_per_step: Annotated[int, Field(ge=16, le=1_000_000)] = 2_048
    epochs: Annotated[float, Field(gt=0, le=10_000)] = 1.0
    max_steps: Count = 0
    prefix_steps: Positive = 16
    explanation_weight: Annotated[float, Field(ge=0, le=1_000)] = 0.25
    dev_answers: Positive = 1_200


def tree_recipe() -> Path:
    """The recipe of the shipped adapter's last phase."""
    return content_folder("finetune") / "recipes" / "tree.yaml"


def load_tree_recipe(path: Path) -> TreeRecipe:
    """Read a recipe.

    Raises:
        PolicyError: it is wrong or cannot be read; ``diagnostics`` holds every problem, in file order.
    """
    return load_recipe(path, TreeRecipe, _wrong)


def _wrong(root: SourceNode, source: Source) -> Iterator[Diagnostic]:
    rank = root.get("rank")
    if rank is not None and isinstance(rank.value, int) and rank.value not in SERVED_RANKS:
        ranks = ", ".join(map(str, SERVED_RANKS))
        message = f"vLLM serves no adapter of rank {rank.value}"
        yield source.error("P006", rank.span, message, f"one of {ranks}")
