"""Which families change which items, and how the pictures and sounds among them are made when needed.

A file is made once to see whether it can be, and again when its turn comes, so that a thousand of them fill
neither memory nor disk. Knows nothing about judging.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_judge.errors import UsageError
from llm_judge.evals import inject, perturb
from llm_judge.evals.perturb_family import Family, media_file, named
from llm_judge.evals.robustness_file import FamilyCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llm_judge.evals.outcomes import EvalItem

EVERY_FAMILY = "all"
FAMILIES: Mapping[str, Family] = {**perturb.FAMILIES, **inject.FAMILIES}
_UNCHANGED = "it changes nothing about the words"
_UNKNOWN = "an order to the judge makes every label unknown"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a robustness run judges.

    Attributes:
        originals: the items as they were.
        changed: what was made of them, item by item and family by family.
        families: in the order asked for, with what they changed and left out.
        files: name of a media file → makes its bytes.
    """

    originals: tuple[EvalItem, ...]
    changed: tuple[EvalItem, ...]
    families: tuple[FamilyCounts, ...]
    files: Mapping[str, Callable[[], bytes]]

    def file(self, name: str) -> bytes:
        """Make one media file; raises ``UsageError`` where that has become impossible."""
        return self.files[name]()


def chosen_families(names: Sequence[str]) -> list[Family]:
    """Return the families of these names, once each; ``all`` is all of them, no names those of text.

    Media families need a font or a synthesiser, and a perceiver that takes seconds an item, so they run only
    when asked for.

    Raises:
        UsageError: there is no family of a name.
    """
    if not names:
        return [family for family in FAMILIES.values() if family.medium is None]
    wanted = {name: named(FAMILIES, name) for name in names if name != EVERY_FAMILY}
    return list(FAMILIES.values()) if EVERY_FAMILY in names else list(wanted.values())


def plan(
    items: Sequence[EvalItem],
    families: Sequence[Family],
    seed: int,
    advance: Callable[[int], None] = lambda _: None,
) -> Plan:
    """Change every item by every family, and leave out what cannot be changed or says nothing afterwards.

    Args:
        items: labelled texts with unique ids.
        families: unique.
        seed: of the changes.
        advance: called with the number of items done.

    Raises:
        UsageError: no item has words, or no family could change any.
    """
    texts = tuple(item for item in items if item.text is not None and item.text.strip())
    if not texts:
        raise UsageError("there are no texts to change", "choose a suite of texts")
    changed: list[EvalItem] = []
    skipped: dict[str, Counter[str]] = {family.name: Counter() for family in families}
    files: dict[str, Callable[[], bytes]] = {}
    for item in texts:
        for family in families:
            made = _made(item, family, seed)
            why = _why_not(item, made, family, seed)
            if why is None:
                changed.append(made)
                if made.media is not None:
                    files[made.media] = _maker(item, family, seed)
            else:
                skipped[family.name][why] += 1
        advance(1)
    counts = tuple(_counts(family, len(texts), skipped[family.name]) for family in families)
    if not changed:
        (why, _), *_ = sum(skipped.values(), Counter()).most_common()
        raise UsageError(f"no item could be changed: {why}", "choose other families, or a larger sample")
    return Plan(texts, tuple(changed), counts, files)


def left_out(families: Sequence[FamilyCounts], most: int = 3) -> list[str]:
    """Return one line for each family that left items out: how many, and the most frequent reasons."""
    lines = []
    for family in families:
        reasons = [f"{why} ({number:,})" for why, number in family.skipped.items()]
        more = f"; and {len(reasons) - most} other reasons" if len(reasons) > most else ""
        if reasons:
            number = sum(family.skipped.values())
            told = f"{number:,} of {family.changed + number:,} items left out"
            lines.append(f"{family.name}: {told}: {'; '.join(reasons[:most])}{more}")
    return lines


def _made(item: EvalItem, family: Family, seed: int) -> EvalItem:
    by = perturb.perturbed if family.kind == perturb.KIND else inject.perturbed
    return by(item, family.name, seed)


def _why_not(item: EvalItem, made: EvalItem, family: Family, seed: int) -> str | None:
    """Why a changed item is not judged; None where it is."""
    if made.text == item.text:
        return _UNCHANGED
    if not made.areas and not made.rules and made.harmful is None:
        return _UNKNOWN
    if family.medium is not None:
        try:
            media_file(item, family, seed)
        except UsageError as error:
            return error.message.removeprefix(f"`{made.id}`: ")
    return None


def _maker(item: EvalItem, family: Family, seed: int) -> Callable[[], bytes]:
    return lambda: media_file(item, family, seed).data


def _counts(family: Family, items: int, skipped: Counter[str]) -> FamilyCounts:
    changed = items - skipped.total()
    return FamilyCounts(family.slice, family.about, family.medium, changed, dict(skipped.most_common()))
