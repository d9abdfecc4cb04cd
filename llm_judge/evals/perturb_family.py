"""One way to change items while their labels stay, and what it makes of an item.

A family changes the words (``change``), the medium, or both. The same item, family and seed give the same
result on every machine and in every order. Knows nothing about single families or judging.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Literal

from llm_judge.errors import UsageError
from llm_judge.evals.perturb_media import MediaFile, drawn, spoken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from llm_judge.evals.outcomes import EvalItem

MARK = "~"  # stands between the id of an item and the family in the id of what was made of it
_SUFFIXES = {"image": ".png", "audio": ".wav"}


@dataclass(frozen=True, slots=True)
class Family:
    """One way to change an item.

    Attributes:
        name: unique over perturbations and injections; ends the ids of what it makes.
        kind: ``perturb`` or ``inject``; begins the slice ``kind:name``.
        about: what it does, for the report.
        change: text, random source and language tag → text.
        medium: ``image`` or ``audio`` where the words are shown or said; None where they stay text.
        aligned: whether every character keeps its place, so that marked spans stay true.
        encoded: whether a reader has to decode the words first; the label is kept all the same.
    """

    name: str
    kind: str
    about: str
    change: Callable[[str, Random, str], str]
    medium: Literal["image", "audio"] | None = None
    aligned: bool = False
    encoded: bool = False

    @property
    def slice(self) -> str:
        """Name of the slice that its items are in."""
        return f"{self.kind}:{self.name}"


def named(families: Mapping[str, Family], name: str) -> Family:
    """Look a family up.

    Raises:
        UsageError: there is none of this name.
    """
    if name not in families:
        raise UsageError(f"there is no family `{name}`", f"families: {', '.join(sorted(families))}")
    return families[name]


def words_of(item: EvalItem, family: Family, seed: int) -> str:
    """The words that are judged after the change, whatever their medium.

    Raises:
        UsageError: the item has no words to change.
    """
    if item.text is None or not item.text.strip():
        raise UsageError(f"`{item.id}` has no text to change", "give texts that are not empty")
    rng = Random(f"{seed}|{family.name}|{item.id}")  # noqa: S311  # repeatable, not secret
    return family.change(item.text, rng, item.lang)


def changed(item: EvalItem, family: Family, seed: int) -> EvalItem:
    """The item after the change: labels and group stay, ``~family`` ends its id, a slice names the family.

    An item of a media family has no text, and as ``media`` the name of ``media_file``. Spans that a person
    marked move along where the text stands unbroken in the new one, else there are none.

    Raises:
        UsageError: the item has no words to change.
    """
    words = words_of(item, family, seed)
    shown = family.medium is not None
    return replace(
        item,
        id=f"{item.id}{MARK}{family.name}",
        text=None if shown else words,
        media=_media_name(item, family, seed) if shown else None,
        modality=family.medium or item.modality,
        slices=(*item.slices, family.slice),
        spans=() if shown else _moved(item, words, aligned=family.aligned),
    )


def media_file(item: EvalItem, family: Family, seed: int) -> MediaFile:
    """The file of an item that ``changed`` by a media family; ``item`` is the original.

    Raises:
        UsageError: a family without files, an item without words, or words that cannot be shown or said here.
    """
    if family.medium is None:
        raise UsageError(f"family `{family.name}` makes no files", "ask for `image` or `audio` families")
    words = words_of(item, family, seed)
    try:
        data = drawn(words) if family.medium == "image" else spoken(words, item.lang)
    except UsageError as error:
        raise UsageError(f"`{item.id}{MARK}{family.name}`: {error.message}", error.hint) from error
    return MediaFile(_media_name(item, family, seed), family.medium, data)


def variants(items: Iterable[EvalItem], families: Sequence[Family], seed: int) -> Iterator[EvalItem]:
    """Every item changed by every family, without items that have no words or that a family leaves as is."""
    for item in items:
        if item.text is None or not item.text.strip():
            continue
        for family in families:
            made = changed(item, family, seed)
            if made.text != item.text:
                yield made


def _media_name(item: EvalItem, family: Family, seed: int) -> str:
    key = f"{seed}|{family.name}|{item.id}".encode("utf-8", "surrogatepass")
    return f"{family.name}/{hashlib.sha256(key).hexdigest()[:20]}{_SUFFIXES[str(family.medium)]}"


def _moved(item: EvalItem, words: str, *, aligned: bool) -> tuple[tuple[int, int], ...]:
    text = item.text or ""
    if aligned and len(words) == len(text):
        return item.spans
    at = words.find(text)
    return tuple((start + at, end + at) for start, end in item.spans) if at >= 0 else ()
