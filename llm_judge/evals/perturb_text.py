"""Ways to write a text differently that a reader sees through: the words stay, the characters change.

Every function takes the text, a random source and the language tag, and returns a text that is never empty
unless it was. All randomness comes from the source, so the same source gives the same text. Knows nothing
about items, labels or judging.
"""

from __future__ import annotations

import base64
from random import Random
from typing import TYPE_CHECKING

from llm_judge.evals.perturb_words import FRAMES, PADDING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# Shares of the places where a change is possible. High enough to break word pieces, low enough to read.
ZERO_WIDTH_SHARE = 0.3
LOOKALIKE_SHARE = 0.5
LEET_SHARE = 0.6
SPACED_SHARE = 0.3
TYPO_SHARE = 0.25

# Zero-width space, word joiner and byte-order mark: unlike the joiners they change no script's shaping.
_ZERO_WIDTH = "\u200b\u2060\ufeff"
# Cyrillic and Greek letters drawn like Latin ones, a choice from Unicode's confusables.txt.
_LOOKALIKES = dict(
    zip(
        "aceijopsxyABEHIKMNOPTXYZ",
        "\u0430\u0441\u0435\u0456\u0458\u043e\u0440\u0455\u0445\u0443"
        "\u0391\u0392\u0395\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a7\u03a5\u0396",
        strict=True,
    )
)
_LEET = {"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "t": "7", "b": "8", "g": "9"}
_LEAST_LETTERS = 4  # shorter words become other words by one typo


def zero_width(text: str, rng: Random, lang: str) -> str:
    """Put invisible characters between letters."""
    del lang
    places = _some(rng, _joints(text), ZERO_WIDTH_SHARE)
    return "".join((rng.choice(_ZERO_WIDTH) if i in places else "") + char for i, char in enumerate(text))


def homoglyph(text: str, rng: Random, lang: str) -> str:
    """Replace Latin letters by Cyrillic and Greek ones that look the same."""
    del lang
    return _replaced(text, rng, _LOOKALIKES, LOOKALIKE_SHARE)


def leet(text: str, rng: Random, lang: str) -> str:
    """Replace Latin letters by digits of a similar shape."""
    del lang
    digits = _LEET | {letter.upper(): digit for letter, digit in _LEET.items()}
    return _replaced(text, rng, digits, LEET_SHARE)


def spacing(text: str, rng: Random, lang: str) -> str:
    """Space out some words, letter by letter."""
    del lang
    joints = set(_joints(text))
    starts = sorted(
        i for i in joints if i - 1 not in joints
    )  # one place for each word of two letters or more
    chosen = _some(rng, starts, SPACED_SHARE)
    spaced: set[int] = set()
    for start in chosen:
        at = start
        while at in joints:
            spaced.add(at)
            at += 1
    return "".join((" " if i in spaced else "") + char for i, char in enumerate(text))


def casing(text: str, rng: Random, lang: str) -> str:
    """Shout, alternate or scatter capitals."""
    del lang
    style = rng.choice((_shouted, _alternating, lambda text: _scattered(text, rng)))
    return style(text)


def typos(text: str, rng: Random, lang: str) -> str:
    """Swap, double or drop a letter inside some longer words of scripts that have capitals."""
    del lang
    chars = list(text)
    words = [(start, end) for start, end in _cased_words(text) if end - start >= _LEAST_LETTERS]
    for word in sorted(_some(rng, range(len(words)), TYPO_SHARE)):
        start, end = words[word]
        at = rng.randrange(start + 1, end - 1)  # the first and the last letter stay
        edit = rng.choice(("swap", "double", "drop"))
        if edit == "swap" and at + 1 < end - 1:
            chars[at], chars[at + 1] = chars[at + 1], chars[at]
        elif edit == "drop":
            chars[at] = ""
        else:
            chars[at] *= 2
    return "".join(chars)


def padding(text: str, rng: Random, lang: str) -> str:
    """Put everyday sentences before and after, in the text's language where we have some, else English."""
    sentences = _in_language(PADDING, lang)
    before, after = rng.sample(sentences, 2)
    return f"{before} {text} {after}"


def foreign_frame(text: str, rng: Random, lang: str) -> str:
    """Introduce the text by a neutral line in another language, as a forwarded message."""
    others = [frame for tag, frame in sorted(FRAMES.items()) if tag != lang.partition("-")[0]]
    return f"{rng.choice(others)}\n{text}"


def base64_encoded(text: str, rng: Random, lang: str) -> str:
    """Encode the text as Base64 (RFC 4648); only who decodes it can read it."""
    del rng, lang
    return base64.b64encode(text.encode("utf-8", "surrogatepass")).decode("ascii")


def unchanged(text: str, rng: Random, lang: str) -> str:
    """The text itself, for families that change the medium only."""
    del rng, lang
    return text


def _in_language(sentences: Mapping[str, Sequence[str]], lang: str) -> Sequence[str]:
    """Those of a language tag's first part, else English."""
    return sentences.get(lang.partition("-")[0], sentences["en"])


def _some(rng: Random, places: Sequence[int], share: float) -> set[int]:
    """A share of the places, at least one where there is one."""
    count = min(len(places), max(1, round(share * len(places))))
    return set(rng.sample(list(places), count))


def _joints(text: str) -> list[int]:
    """Every place between two letters or digits; not beside combining marks, which belong to a letter."""
    return [i for i in range(1, len(text)) if text[i - 1].isalnum() and text[i].isalnum()]


def _replaced(text: str, rng: Random, table: Mapping[str, str], share: float) -> str:
    places = _some(rng, [i for i, char in enumerate(text) if char in table], share)
    return "".join(table[char] if i in places else char for i, char in enumerate(text))


def _cased(char: str) -> bool:
    return char.lower() != char.upper()


def _cased_words(text: str) -> list[tuple[int, int]]:
    found, start = [], None
    for i, char in enumerate(text + " "):
        if _cased(char):
            start = i if start is None else start
        elif start is not None:
            found.append((start, i))
            start = None
    return found


def _map_letters(text: str, upper: Callable[[int], bool]) -> str:
    """Change case letter by letter; a letter whose other case is longer, such as ß, stays."""
    out = []
    for i, char in enumerate(text):
        changed = char.upper() if upper(i) else char.lower()
        out.append(changed if len(changed) == 1 else char)
    return "".join(out)


def _shouted(text: str) -> str:
    return _map_letters(text, lambda _: True)


def _alternating(text: str) -> str:
    return _map_letters(text, lambda i: i % 2 == 0)


def _scattered(text: str, rng: Random) -> str:
    return _map_letters(text, lambda _: rng.random() < 0.5)  # one draw a letter
