"""A recipe file → typed settings: strict YAML in, every mistake with its place.

Knows nothing about what a recipe says.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from llm_judge.policy.load import has_errors, wrong_files
from llm_judge.policy.model import Node
from llm_judge.policy.shape import shape
from llm_judge.source import Source, decode, read
from llm_judge.strict_yaml import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from llm_judge.diagnostics import Diagnostic
    from llm_judge.source import SourceNode

R = TypeVar("R", bound=Node)


def load_recipe(
    path: Path,
    model: type[R],
    check: Callable[[SourceNode, Source], Iterable[Diagnostic]],
    without: Collection[str] = (),
) -> R:
    """Read a recipe.

    Args:
        path: the file.
        model: what it must hold.
        check: finds what a model cannot: names that do not exist, settings that do not go together.
        without: keys that the check speaks about; the model does not see them.

    Raises:
        PolicyError: it is wrong or cannot be read; ``diagnostics`` holds every problem, in file order.
    """
    text, found = decode(read(path), str(path))
    recipe = None
    if text is not None:
        recipe, found = parse_recipe(text, str(path), model, check, without)
    if recipe is None:
        raise wrong_files(found)
    return recipe


def parse_recipe(
    text: str,
    file: str,
    model: type[R],
    check: Callable[[SourceNode, Source], Iterable[Diagnostic]],
    without: Collection[str] = (),
) -> tuple[R | None, list[Diagnostic]]:
    """Read a recipe from text; None where anything is wrong, and every problem in file order."""
    root, found = parse(text, file)
    if root is None:
        return None, found
    source = Source(file, text)
    entries = tuple((key, value) for key, value in root.entries if key.text not in without)
    tree, recipe, wrong = shape(replace(root, entries=entries), model, source)
    refused = tuple((key, value) for key, value in root.entries if key.text in without)
    checked = check(replace(tree, entries=(*tree.entries, *refused)), source)
    found = sorted([*found, *wrong, *checked], key=lambda each: each.span)
    return None if has_errors(found) else recipe, found
