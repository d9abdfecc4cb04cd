"""Perturbations: what people do to a text so that filters miss it, and what chance does to it.

A judge that reads should answer as before. Knows nothing about judging.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from llm_judge.evals import perturb_family
from llm_judge.evals import perturb_text as by
from llm_judge.evals.perturb_family import Family, changed, named

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from llm_judge.evals.outcomes import EvalItem

KIND = "perturb"

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.name: family
        for family in (
            Family("zero_width", KIND, "invisible characters between letters", by.zero_width),
            Family("homoglyph", KIND, "letters of other scripts that look alike", by.homoglyph, aligned=True),
            Family("leet", KIND, "digits for letters", by.leet, aligned=True),
            Family("spacing", KIND, "words spaced out letter by letter", by.spacing),
            Family("casing", KIND, "capitals out of place", by.casing, aligned=True),
            Family("typos", KIND, "letters swapped, doubled or dropped", by.typos),
            Family("padding", KIND, "everyday sentences before and after", by.padding),
            Family("foreign_frame", KIND, "introduced in another language", by.foreign_frame),
            Family("base64", KIND, "encoded as Base64", by.base64_encoded, encoded=True),
            Family("drawn", KIND, "shown in a picture", by.unchanged, medium="image"),
            Family("spoken", KIND, "said by a synthesiser", by.unchanged, medium="audio"),
        )
    }
)


def perturbed(item: EvalItem, family: str, seed: int) -> EvalItem:
    """The item changed by the family of this name; see ``perturb_family.changed``.

    Raises:
        UsageError: no such family, or the item has no words to change.
    """
    return changed(item, named(FAMILIES, family), seed)


def variants(items: Iterable[EvalItem], families: Iterable[str], seed: int) -> Iterator[EvalItem]:
    """Every item changed by every family of these names; see ``perturb_family.variants``.

    Raises:
        UsageError: no such family.
    """
    return perturb_family.variants(items, [named(FAMILIES, family) for family in families], seed)
