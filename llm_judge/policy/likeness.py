"""When two sentences say the same: compared as sets of content words, without grammar.

A rule of thumb for people who write guidelines, not a measure of meaning. Knows nothing about
policies.
"""

from __future__ import annotations

import re
from collections import Counter
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NEAR = 0.75  # share of all content words that two sentences must have in common to be near-equal
MIN_WORDS = 3  # shorter sentences are compared whole or not at all

_NEGATIONS = frozenset("not no never none nobody nothing neither nor without cannot".split())  # noqa: SIM905
_STOP = frozenset(
    """a an the of to in on at by for from with about into as or and but that this these those such so
    is are was were be been being it its they them their there any some other another one than then
    which who whom whose what when where how does do did has have had may can could would will shall
    must also too only very just if because""".split()  # noqa: SIM905
)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")


class Sentence(NamedTuple):
    """A sentence as compared: its content words, and whether it holds an odd number of negations."""

    words: frozenset[str]
    negated: bool


def sentence(text: str) -> Sentence:
    """Return the words that carry meaning, in lower case and a crude singular, negations counted apart."""
    words = [word.replace("’", "'") for word in _WORD.findall(text.replace("_", " ").casefold())]
    negations = [word for word in words if word in _NEGATIONS or word.endswith("n't")]
    kept = frozenset(_stem(word) for word in words if word not in _STOP and word not in negations)
    return Sentence(kept, len(negations) % 2 == 1)


def near_equal(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether two sets of content words are nearly the same sentence."""
    if min(len(one), len(other)) < MIN_WORDS:
        return bool(one) and one == other
    return len(one & other) >= NEAR * len(one | other)


def first_alike(sentences: Sequence[Sentence]) -> Iterator[tuple[int, int]]:
    """Yield ``(earlier, later)`` for every sentence that nearly repeats an earlier one, negation included.

    Sets that share ``NEAR`` of their words must share one of their rarest few (prefix filtering, as in
    Chaudhuri et al. 2006), so only those are compared and thousands of sentences take no longer than
    reading them did.
    """
    count = Counter(word for each in sentences for word in each.words)
    holders: dict[str, list[int]] = {}
    for later, each in enumerate(sentences):
        rare = sorted(each.words, key=lambda word: (count[word], word))
        prefix = rare[: len(rare) - ceil(NEAR * len(rare)) + 1]
        for earlier in sorted({index for word in prefix for index in holders.get(word, ())}):
            other = sentences[earlier]
            if other.negated == each.negated and near_equal(other.words, each.words):
                yield earlier, later
                break
        else:  # a repetition of a repetition is found by the first
            for word in prefix:
                holders.setdefault(word, []).append(later)


def _stem(word: str) -> str:
    """``claims`` and ``claimed`` → ``claim``; good enough to compare, not to show."""
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            return word[: -len(ending)]
    return word
