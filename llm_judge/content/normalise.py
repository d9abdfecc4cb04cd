"""Text as a model may safely see it: one line, nothing invisible, no control tokens.

The original words stay in the segments; only what is shown to the model goes through here. Knows
nothing about prompts or about which model reads the result.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

# Code points Unicode calls default-ignorable (DerivedCoreProperties.txt), plus the annotation marks.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
# C0 and C1 controls, line and paragraph separators, the blank Braille cell.
_BLANK = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u2800]")
_SPACES = re.compile(r"\s{2,}|[^\S ]")
_SURROGATE = re.compile("[\ud800-\udfff]")
# Letters that only imitate ASCII ones: fullwidth, enclosed and mathematical alphabets.
_COMPATIBILITY = re.compile(
    "[\uff21-\uff3a\uff41-\uff5a\u24b6-\u24e9\U0001d400-\U0001d7ff\U0001f130-\U0001f189]"
)
# Scripts in which the joiners change what is written: Arabic to N'Ko, Indic to Sinhala, Myanmar,
# Khmer, Mongolian.
_JOINING = re.compile("[\u0600-\u07ff\u0860-\u0dff\u1000-\u109f\u1780-\u17ff\u1800-\u18af]")
_MONGOLIAN = re.compile("[\u1800-\u18af]")
_ZWNJ, _ZWJ, _TEXT_STYLE, _EMOJI_STYLE = "\u200c", "\u200d", "\ufe0e", "\ufe0f"
_KEYCAP = "\u20e3"
_SKIN_TONES = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
_VIRAMA = 9  # canonical combining class
# Tried in this order; none of them folds to, or composes with, anything else.
_BREAKERS = "·¦×§¤¶†‡"
_MAX_ROUNDS = 64


def clean(text: str) -> tuple[str, tuple[str, ...]]:
    """Return ``text`` as shown to a model, and facts about what was taken out.

    Line breaks, tabs and control characters become single spaces; invisible characters are removed
    except where an emoji or a script needs them; compatibility forms are folded (NFKC); lone
    surrogates become U+FFFD. Applying it twice changes nothing more. Never raises.
    """
    invisible, lookalike = 0, len(_COMPATIBILITY.findall(text))
    for _ in range(_MAX_ROUNDS):  # removal can let NFKC compose again, and NFKC can yield invisibles
        before = text
        text, removed = _without_invisible(_SURROGATE.sub("\ufffd", text))
        invisible += removed
        text = unicodedata.normalize("NFKC", _BLANK.sub(" ", text))
        text = _SPACES.sub(" ", text).strip()
        if text == before:
            break
    facts = []
    if invisible:
        facts.append(f"contains {invisible} invisible character{'s' * (invisible > 1)}")
    if lookalike:
        facts.append(f"contains {lookalike} letter{'s' * (lookalike > 1)} in look-alike forms")
    return text, tuple(facts)


def is_blank(text: str) -> bool:
    """Return whether nothing can be seen of ``text``: only white space and invisible characters."""
    return not clean(text)[0]


def neutralise(text: str, special_tokens: Iterable[str]) -> str:
    """Return ``clean(text)`` with every occurrence of a special token broken by a visible mark.

    The result holds none of the tokens, is its own ``clean`` form, and is a fixed point of this
    function. A mark is only ever put in, so breaking one token cannot join the halves of another.
    """
    tokens = sorted({token for token in special_tokens if token}, key=len, reverse=True)
    breaker = next((mark for mark in _BREAKERS if not any(mark in token for token in tokens)), None)
    if breaker is None:
        raise ValueError("the special tokens use every character that could break them")
    for _ in range(_MAX_ROUNDS):
        text = clean(text)[0]
        if not any(token in text for token in tokens):
            return text
        text = _break(text, tokens, breaker)
    return ""  # unreachable in practice: each round leaves strictly fewer occurrences


def _break(text: str, tokens: list[str], breaker: str) -> str:
    for token in tokens:
        broken = token[0] + breaker + token[1:] if len(token) > 1 else breaker
        while token in text:
            text = text.replace(token, broken)
    return text


def _without_invisible(text: str) -> tuple[str, int]:
    if text.isascii():
        return text, 0
    removed = 0

    def keep_or_drop(match: re.Match[str]) -> str:
        nonlocal removed
        if _is_needed(
            match[0], text[max(0, match.start() - 2) : match.start()], text[match.end() : match.end() + 1]
        ):
            return match[0]
        removed += 1
        return ""

    return _INVISIBLE.sub(keep_or_drop, text), removed


def _is_needed(char: str, before: str, after: str) -> bool:
    """Return whether an emoji or a script needs ``char``, given two characters before and one after."""
    previous = before[-1:]
    if char in (_TEXT_STYLE, _EMOJI_STYLE):
        return _is_symbol(previous) or (previous in "0123456789#*" and previous != "" and after == _KEYCAP)
    if char in (_ZWJ, _ZWNJ):
        if char == _ZWJ and _is_symbol(after):
            return _is_symbol(previous) or (previous == _EMOJI_STYLE and _is_symbol(before[:1]))
        if not _JOINING.match(previous):
            return False
        return bool(_JOINING.match(after)) or unicodedata.combining(previous) == _VIRAMA
    return (
        "\u180b" <= char <= "\u180f" and bool(_MONGOLIAN.match(previous)) and not _INVISIBLE.match(previous)
    )


def _is_symbol(char: str) -> bool:
    return char != "" and (unicodedata.category(char) in ("So", "Sm") or char in _SKIN_TONES)
